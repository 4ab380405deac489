// The connect event: for every new connection, before it is a caller's.

import { expect } from "chai";
import { DisconnectionError, PoolTimeoutError } from "edgepool";
import { connects, counts, expectSound, gate, pass, rejection, rejectionTime, settled, stateOf } from "./scripted.mjs";
import { cycle, leavable, onePool, thrower, tracedPool } from "./tracing.mjs";

const only = (steps, name) => steps.filter((step) => step.startsWith(`${name} `));

export default (test) => {
  test("088 connect is emitted once for each new connection, and not when one is used again", async () => {
    const { pool, server, given } = tracedPool();
    const [first, second] = await connects(pool, 2);
    expect(given("connect").map(([connection]) => connection)).to.deep.equal(server.connections);
    expect(given("connect").map(([, record]) => record)).to.deep.equal([first.record, second.record]);
    expect(given("connect")[0]).to.have.length(2);
    await first.close();
    await pool.connect();
    expect(given("connect")).to.have.length(2);
  });

  test("089 a recreated pool fires it for its own connections, recreated before or after", async () => {
    for (const when of ["before", "after"]) {
      const { pool, steps } = tracedPool();
      let again;
      if (when === "before") again = pool.recreate();
      await cycle(pool);
      again ??= pool.recreate();
      await cycle(again);
      expect(only(steps(), "connect"), when).to.deep.equal(["connect 1", "connect 2"]);
    }
  });

  test("090 an inserted listener is called first", async () => {
    const { pool } = tracedPool();
    const called = [];
    pool.on("connect", () => void called.push("one"));
    pool.on("connect", () => void called.push("two"), { insert: true });
    pool.on("connect", () => void called.push("three"));
    await pool.connect();
    expect(called).to.deep.equal(["two", "one", "three"]);
  });

  test("while it runs the record holds the connection and is not in use", async () => {
    const { pool, server } = tracedPool();
    let seen;
    server.script.connect = (connection, record) =>
      void (seen = [record.connection === connection, record.inUse, record.info]);
    await pool.connect();
    expect(seen).to.deep.equal([true, false, {}]);
  });

  test("066 the info that it writes is in the lease, also on a connection that replaced a stale one", async () => {
    const { pool, server } = onePool();
    const seen = [];
    server.script.connect = ({ id }, record) => void (record.info.opened = id);
    server.script.checkout = (connection, record, lease) => void seen.push(record.info.opened, lease.info.opened);
    await cycle(pool);
    pool.invalidateAll();
    const lease = await pool.connect();
    expect(seen).to.deep.equal([1, 1, 2, 2]);
    expect(lease.info).to.deep.equal({ opened: 2 });
  });

  test("093 of the first three openers one runs its listeners after the other; of later ones all at once", async () => {
    const context = tracedPool({ poolSize: 3 });
    const { pool, server, steps } = context;
    let running = [];
    server.script.open = () => Promise.resolve();
    server.script.connect = () => (running.push(gate()), running.at(-1).promise);
    const callers = connects(pool, 3);
    await settled();
    expect(steps()).to.deep.equal(["open", "open", "open", "firstConnect 1", "connect 1"]);
    for (let number = 0; number < 3; number++) {
      expect(running, "nobody else has begun").to.have.length(number + 1);
      running[number].open();
      await settled();
    }
    for (const lease of await callers) await lease.invalidate();
    running = [];
    const later = connects(pool, 3);
    await settled();
    expect(running).to.have.length(3);
    for (const { open } of running) open();
    for (const lease of await later) await lease.close();
    await expectSound(context);
  });

  test("093 when the first one's listener fails, the next opener runs its own before the others", async () => {
    const context = tracedPool({ poolSize: 3 });
    const { pool, server } = context;
    const failure = new Error("connect");
    const running = [];
    server.script.open = () => Promise.resolve();
    server.script.connect = () => (running.push(gate()), running.at(-1).promise);
    const callers = [pool.connect(), pool.connect()];
    const error = rejection(callers[0]);
    await settled();
    expect(running).to.have.length(1);
    running[0].fail(failure);
    expect(await error).to.equal(failure);
    await settled();
    expect(running).to.have.length(2);
    running[1].open();
    await (await callers[1]).close();
    await expectSound(context);
  });

  test("094 a listener that fails on a reconnect is the caller's error, and a later connect() works", async () => {
    const context = onePool({ timeout: "5s" });
    const { pool, server, clock } = context;
    pool.on("connect", (connection, record) => void (record.info.important = connection.id));
    const lease = await pool.connect();
    expect(lease.info.important).to.equal(1);
    await lease.invalidate();
    const failure = new Error("connect");
    server.script.connect = () => Promise.reject(failure);
    expect(await rejection(pool.connect())).to.equal(failure);
    expect(clock.now).to.equal(0);
    server.script = {};
    const next = await pool.connect();
    expect(next.info.important).to.equal(3);
    await next.close();
    await expectSound(context);
  });

  test("095 a listener that fails on a new connection terminates it once, and the slot is gone", async () => {
    const context = onePool();
    const { pool, server, steps } = context;
    const failure = new Error("connect");
    server.script.connect = thrower(failure);
    expect(await rejection(pool.connect())).to.equal(failure);
    expect(steps()).to.deep.equal(["open", "firstConnect 1", "connect 1", "terminate 1"]);
    expect(counts(pool)).to.deep.equal([1, 0, -1, 0]);
    expect(pool.stats()).to.include({ total: 0, invalidated: 0 });
    await expectSound(context);
  });

  test("097 a firstConnect that has passed is not run again because connect failed", async () => {
    const { pool, server, steps } = onePool();
    server.script.connect = thrower(new Error("connect"));
    await rejection(pool.connect());
    server.script = {};
    steps();
    await pool.connect();
    expect(steps()).to.deep.equal(["open", "connect 2", "checkout 2"]);
  });

  test("098 on a reconnect a listener that fails has the connection terminated and the slot back, empty", async () => {
    const context = onePool();
    const { pool, server, steps, given } = context;
    const lease = await pool.connect();
    const { record } = lease;
    await lease.invalidate();
    steps();
    server.script.connect = thrower(new Error("connect"));
    await rejection(pool.connect());
    expect(steps()).to.deep.equal(["open", "connect 2", "terminate 2", "checkin null"]);
    expect(given("checkin").at(-1)).to.deep.equal([null, record]);
    expect([record.connection, record.inUse]).to.deep.equal([null, false]);
    expect(counts(pool)).to.deep.equal([1, 1, 0, 0]);
    server.script = {};
    const next = await pool.connect();
    expect(next.record).to.equal(record);
    expect(next.connection.id).to.equal(3);
    await next.close();
    await expectSound(context);
  });

  test("a listener that fails while a stale connection is replaced: both are terminated", async () => {
    const context = onePool();
    const { pool, server, steps } = context;
    await cycle(pool);
    pool.invalidateAll();
    steps();
    server.script.connect = thrower(new Error("connect"));
    await rejection(pool.connect());
    expect(steps()).to.deep.equal(["close event 1", "terminate 1", "open", "connect 2", "terminate 2", "checkin null"]);
    expect(counts(pool)).to.deep.equal([1, 1, 0, 0]);
    await expectSound(context);
  });

  test("a termination that fails after a failed listener is reported; the caller has the first error", async () => {
    const context = onePool();
    const { pool, server, given } = context;
    const [failure, second] = [new Error("connect"), new Error("terminate")];
    server.script.connect = thrower(failure);
    server.script.terminate = () => Promise.reject(second);
    expect(await rejection(pool.connect())).to.equal(failure);
    await settled();
    expect(given("error").map(([error, { operation }]) => [error, operation])).to.deep.equal([[second, "terminate"]]);
    await expectSound(context);
  });

  test("when a listener fails, the next waiter is served at once", async () => {
    const context = onePool({ timeout: null });
    const { pool, server } = context;
    const running = gate();
    const failure = new Error("connect");
    server.script.connect = ({ id }) => (id === 1 ? running.promise : undefined);
    const first = rejection(pool.connect());
    const waiter = pool.connect();
    await settled();
    running.fail(failure);
    expect(await first).to.equal(failure);
    expect((await waiter).connection.id).to.equal(2);
    await (await waiter).close();
    await expectSound(context);
  });

  test("101 openings that fail fire neither connect nor checkout; the one that works fires each once", async () => {
    const { pool, server, steps } = tracedPool({ poolSize: 2 });
    const [first, second] = await connects(pool, 2);
    await first.invalidate();
    await second.close();
    pool.invalidateAll();
    steps();
    server.script.open = thrower(new Error("down"));
    for (let round = 0; round < 2; round++) {
      await rejection(pool.connect());
      expect(steps().filter((step) => /^(connect|checkout)/.test(step))).to.deep.equal([]);
    }
    server.script = {};
    await pool.connect();
    expect(steps().filter((step) => /^(connect|checkout)/.test(step))).to.deep.equal(["connect 3", "checkout 3"]);
  });

  test("on a reconnect a creator that fails has the slot back, empty, with checkin", async () => {
    const { pool, server, steps } = onePool();
    await (await pool.connect()).invalidate();
    steps();
    const failure = new Error("down");
    server.script.open = () => Promise.reject(failure);
    expect(await rejection(pool.connect())).to.equal(failure);
    expect(steps()).to.deep.equal(["open", "checkin null"]);
    expect(counts(pool)).to.deep.equal([1, 1, 0, 0]);
  });

  test("a DisconnectionError of a connect listener comes out as it is: nothing is tried again", async () => {
    const { pool, server, steps } = onePool();
    const failure = new DisconnectionError("connect");
    server.script.connect = thrower(failure);
    expect(await rejection(pool.connect())).to.equal(failure);
    expect(steps()).to.deep.equal(["open", "firstConnect 1", "connect 1", "terminate 1"]);
  });

  test("a caller that leaves while it runs is refused at once; the connection becomes idle", async () => {
    const context = onePool();
    const { pool, server, steps } = context;
    const running = gate();
    server.script.connect = () => running.promise;
    const { error, reason, leave } = leavable(pool);
    leave();
    expect(await error).to.equal(reason);
    expect(server.live).to.equal(1);
    expect(pool.stats()).to.include({ idle: 0, opening: 1, aborted: 1 });
    running.open();
    await settled();
    expect(pool.stats()).to.include({ idle: 1, opening: 0, used: 0 });
    expect(steps()).not.to.include("checkout 1");
    expect((await pool.connect()).connection.id).to.equal(1);
    expect(only(steps(), "checkout")).to.deep.equal(["checkout 1"]);
  });

  test("a caller that leaves while it runs hands the connection to the next waiter", async () => {
    const context = onePool();
    const { pool, server, steps } = context;
    const running = gate();
    server.script.connect = () => running.promise;
    const { error, reason, leave } = leavable(pool);
    const waiter = pool.connect();
    leave();
    expect(await error).to.equal(reason);
    expect(await stateOf(waiter)).to.equal("pending");
    running.open();
    expect((await waiter).connection.id).to.equal(1);
    expect(only(steps(), "checkout")).to.deep.equal(["checkout 1"]);
    await (await waiter).close();
    await expectSound(context);
  });

  test("when it fails after its caller has left, the log and `error` have it, and the next waiter opens", async () => {
    const context = onePool();
    const { pool, server, log, given } = context;
    const running = gate();
    const failure = new Error("connect");
    server.script.connect = ({ id }) => (id === 1 ? running.promise : undefined);
    const { error, leave } = leavable(pool);
    const waiter = pool.connect();
    leave();
    await error;
    running.fail(failure);
    expect((await waiter).connection.id).to.equal(2);
    await settled();
    expect(given("error").map(([reported]) => reported)).to.deep.equal([failure]);
    expect(log.errors).to.deep.equal([failure]);
    await (await waiter).close();
    await expectSound(context);
  });

  test('a deadline that ends while it runs refuses the caller with step "listener"; the opening goes on', async () => {
    const context = onePool();
    const { pool, server, clock } = context;
    const running = gate();
    server.script.connect = () => running.promise;
    const noted = rejectionTime(pool.connect({ deadline: "1s" }), clock);
    await pass(clock, 1_100);
    expect(noted.error).to.be.instanceOf(PoolTimeoutError);
    expect(noted.error).to.include({ step: "listener", timeoutMs: 1000 });
    expect(noted.at).to.be.within(1_000, 1_063);
    expect(server.live).to.equal(1);
    running.open();
    await settled();
    expect(pool.stats()).to.include({ idle: 1, opening: 0, timedOut: 1 });
    expect((await pool.connect()).connection.id).to.equal(1);
  });

  test("the deadline counts the opening and the listener together", async () => {
    const { pool, server, clock } = onePool();
    const delay = () => new Promise((done) => clock.setTimeout(() => done(undefined), 600));
    server.script.open = delay;
    server.script.connect = delay;
    const noted = rejectionTime(pool.connect({ deadline: "1s" }), clock);
    await pass(clock, 650);
    await pass(clock, 450);
    expect(noted.error).to.include({ step: "listener", timeoutMs: 1000 });
    expect(noted.at).to.be.within(1_000, 1_063);
  });
};
