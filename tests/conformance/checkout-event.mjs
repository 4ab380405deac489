// The checkout event: at every checkout, last of all, with the lease; it may refuse the connection and have another
// tried.

import { expect } from "chai";
import { DisconnectionError, InvalidRequestError, PoolError, PoolTimeoutError } from "edgepool";
import { connects, counts, expectSound, gate, never, pass, rejection, rejectionTime, settled } from "./scripted.mjs";
import { cycle, leavable, onePool, thrower, tracedPool } from "./tracing.mjs";

const stale = () => new DisconnectionError("stale");

/** A checkout listener that refuses these connections. */
const refuse =
  (ids, make = stale) =>
  ({ id }) => {
    if (ids.includes(id)) throw make();
  };

/** Everything after the checkout that ends a connection for good and gives its slot back. */
const discarded = (id) => [`invalidate ${id}`, `close event ${id}`, `terminate ${id}`, "checkin null"];
const replaced = (id) => [`invalidate ${id}`, `close event ${id}`, `terminate ${id}`, "open", `connect ${id + 1}`];

export default (test) => {
  test("102 checkout is fired once for each connect(), of a new connection and of one that is used again", async () => {
    const { pool, steps } = onePool();
    await cycle(pool);
    await cycle(pool);
    expect(steps().filter((step) => step.startsWith("checkout"))).to.deep.equal(["checkout 1", "checkout 1"]);
    await cycle(pool.recreate());
    expect(steps().filter((step) => step.startsWith("checkout"))).to.deep.equal(["checkout 2"]);
  });

  test("it is fired for a waiter and for use(), too", async () => {
    const { pool, steps } = onePool();
    const lease = await pool.connect();
    const waiter = pool.use(() => steps().at(-1));
    steps();
    await lease.close();
    expect(await waiter).to.equal("checkout 1");
  });

  test("it is shown the lease that the caller will have, valid and on its record, which is in use", async () => {
    const { pool, server } = onePool();
    let seen;
    server.script.checkout = (connection, record, lease) => {
      seen = [
        connection,
        record,
        lease,
        lease.connection,
        lease.record,
        lease.isValid,
        record.inUse,
        record.connection,
      ];
    };
    const lease = await pool.connect();
    const [connection] = server.connections;
    expect(seen.slice(0, 3)).to.have.ordered.members([connection, lease.record, lease]);
    expect(seen.slice(3)).to.have.ordered.members([connection, lease.record, true, true, connection]);
  });

  test("a DisconnectionError: the connection is replaced in its slot, and all listeners run again", async () => {
    const context = onePool();
    const { pool, server, steps, given } = context;
    await cycle(pool);
    steps();
    const error = stale();
    const called = [];
    pool.on("checkout", ({ id }) => void called.push(id), { insert: true });
    pool.on("checkout", ({ id }) => void called.push(`behind ${id}`));
    server.script.checkout = refuse([1], () => error);
    const lease = await pool.connect();
    expect(steps()).to.deep.equal(["checkout 1", ...replaced(1), "checkout 2"]);
    expect(called).to.deep.equal([1, 2, "behind 2"]);
    expect(given("invalidate")[0][2]).to.equal(error);
    expect(lease.connection).to.equal(server.connections[1]);
    expect(given("checkout").at(-1)[1]).to.equal(given("checkout")[0][1]).and.to.equal(lease.record);
    expect(given("checkout").at(-1)[2]).to.equal(lease);
    expect(given("error")).to.deep.equal([]);
    await lease.close();
    await expectSound(context);
  });

  test("the second try may refuse a connection that was opened for it, or pass it", async () => {
    const context = onePool();
    const { pool, server, steps } = context;
    server.script.checkout = refuse([1]);
    const lease = await pool.connect();
    expect(steps()).to.deep.equal(["open", "firstConnect 1", "connect 1", "checkout 1", ...replaced(1), "checkout 2"]);
    expect(lease.info).to.equal(lease.record.info);
    await lease.close();
    await expectSound(context);
  });

  test("117 after two disconnections a third connection is discarded, and connect() rejects", async () => {
    const context = onePool();
    const { pool, server, steps, given } = context;
    const errors = [];
    server.script.checkout = () => {
      errors.push(stale());
      throw errors.at(-1);
    };
    const error = await rejection(pool.connect());
    expect(steps()).to.deep.equal([
      "open",
      "firstConnect 1",
      "connect 1",
      "checkout 1",
      ...replaced(1),
      "checkout 2",
      ...replaced(2),
      ...discarded(3),
    ]);
    expect(error).to.be.instanceOf(InvalidRequestError);
    expect(error.code).to.equal("ERR_POOL_INVALID_REQUEST");
    expect(error.cause).to.equal(errors[1]);
    expect(error.message).to.include("scripted");
    expect(given("invalidate").map(([, , reason]) => reason)).to.deep.equal([errors[0], errors[1], undefined]);
    expect(counts(pool)).to.deep.equal([1, 1, 0, 0]);
    expect(pool.stats()).to.include({ total: 0, opened: 3, invalidated: 3 });
    await expectSound(context);
  });

  test("an error is a DisconnectionError by its class or by its code", async () => {
    const branded = () => Object.assign(new Error("another copy of the package"), { code: "ERR_POOL_DISCONNECTION" });
    class Own extends DisconnectionError {}
    for (const make of [stale, () => new Own("own"), branded, () => ({ code: "ERR_POOL_DISCONNECTION" })]) {
      const context = onePool();
      const { pool, server } = context;
      const error = make();
      server.script.checkout = refuse([1], () => error);
      const lease = await pool.connect();
      expect(lease.connection.id).to.equal(2);
      await lease.close();
      await expectSound(context);
    }
  });

  test("no other error is one, not even one that isDisconnect recognises", async () => {
    const { pool, server } = onePool({ dialect: { isDisconnect: () => true } });
    const failure = Object.assign(new Error("ERR_POOL_DISCONNECTION"), { code: "ECONNRESET" });
    server.script.checkout = thrower(failure);
    expect(await rejection(pool.connect())).to.equal(failure);
    expect(server.connections).to.have.length(1);
  });

  test("a DisconnectionError says what it is, and keeps its cause", () => {
    const cause = new Error("socket");
    const error = new DisconnectionError("gone", { cause, invalidatePool: true });
    expect(error).to.be.instanceOf(PoolError).and.instanceOf(Error);
    expect(error).to.include({ code: "ERR_POOL_DISCONNECTION", message: "gone", invalidatePool: true, cause });
    expect(new DisconnectionError().invalidatePool).to.equal(false);
    expect(new DisconnectionError("gone", {}).invalidatePool).to.equal(false);
  });

  test("a DisconnectionError of its own leaves the other connections alone", async () => {
    const { pool, server } = tracedPool({ poolSize: 2 });
    for (const lease of await connects(pool, 2)) await lease.close();
    server.script.checkout = refuse([1]);
    const leases = await connects(pool, 2);
    expect(leases.map(({ connection }) => connection.id)).to.deep.equal([3, 2]);
  });

  test("118 with invalidatePool: true every connection as old is replaced at its next checkout, too", async () => {
    const branded = (message, { invalidatePool }) =>
      Object.assign(new Error(message), { code: "ERR_POOL_DISCONNECTION", invalidatePool });
    for (const make of [(...given) => new DisconnectionError(...given), branded]) {
      const context = tracedPool({ poolSize: 2 });
      const { pool, server, steps } = context;
      for (const lease of await connects(pool, 2)) await lease.close();
      server.script.checkout = refuse([1], () => make("failover", { invalidatePool: true }));
      steps();
      const first = await pool.connect();
      expect(steps()).to.deep.equal([
        "checkout 1",
        "invalidate 1",
        "close event 1",
        "terminate 1",
        "open",
        "connect 3",
        "checkout 3",
      ]);
      const second = await pool.connect();
      expect(steps()).to.deep.equal(["close event 2", "terminate 2", "open", "connect 4", "checkout 4"]);
      await first.close();
      await second.close();
      await cycle(pool);
      expect(steps(), "what was opened since is kept").to.not.include("open");
      await expectSound(context);
    }
  });

  test("119 when the creator then fails, its error is the caller's, and the slot is back, empty", async () => {
    const context = onePool();
    const { pool, server, steps } = context;
    await cycle(pool);
    steps();
    const failure = new Error("down");
    server.script.checkout = refuse([1]);
    server.script.open = thrower(failure);
    expect(await rejection(pool.connect())).to.equal(failure);
    expect(steps()).to.deep.equal([
      "checkout 1",
      "invalidate 1",
      "close event 1",
      "terminate 1",
      "open",
      "checkin null",
    ]);
    expect(counts(pool)).to.deep.equal([1, 1, 0, 0]);
    await expectSound(context);
  });

  test("when a connect listener then fails, both connections are terminated, and its error is thrown", async () => {
    const context = onePool();
    const { pool, server, steps } = context;
    await cycle(pool);
    steps();
    const failure = new Error("connect");
    server.script.checkout = refuse([1]);
    server.script.connect = thrower(failure);
    expect(await rejection(pool.connect())).to.equal(failure);
    expect(steps()).to.deep.equal(["checkout 1", ...replaced(1), "terminate 2", "checkin null"]);
    expect(counts(pool)).to.deep.equal([1, 1, 0, 0]);
    await expectSound(context);
  });

  test("any other error rejects connect() as it is; the slot is back, empty", async () => {
    const context = onePool();
    const { pool, server, steps, given } = context;
    const failure = new Error("refused");
    server.script.checkout = thrower(failure);
    expect(await rejection(pool.connect())).to.equal(failure);
    expect(steps()).to.deep.equal(["open", "firstConnect 1", "connect 1", "checkout 1", ...discarded(1)]);
    expect(given("invalidate")[0][2]).to.equal(failure);
    expect(counts(pool)).to.deep.equal([1, 1, 0, 0]);
    expect(pool.stats()).to.include({ total: 0, invalidated: 1 });
    await expectSound(context);
  });

  test("121 a listener that fails on an idle connection loses no place: three leases work afterwards", async () => {
    const context = tracedPool({ poolSize: 1, maxOverflow: 2 });
    const { pool, server } = context;
    await cycle(pool);
    const failure = new Error("down");
    server.script.checkout = () => Promise.reject(failure);
    for (let round = 0; round < 4; round++) {
      expect(await rejection(pool.connect())).to.equal(failure);
      expect(counts(pool)).to.deep.equal([1, 1, 0, 0]);
    }
    server.script = {};
    for (const lease of await connects(pool, 3)) await lease.close();
    await expectSound(context);
  });

  test("122 an emptied slot whose creator is down loses no place either", async () => {
    const context = tracedPool({ poolSize: 1, maxOverflow: 2 });
    const { pool, server } = context;
    await (await pool.connect()).invalidate();
    const failure = new Error("down");
    server.script.open = thrower(failure);
    for (let round = 0; round < 4; round++) {
      expect(await rejection(pool.connect())).to.equal(failure);
      expect(counts(pool)).to.deep.equal([1, 1, 0, 0]);
    }
    server.script = {};
    for (const lease of await connects(pool, 3)) await lease.close();
    await expectSound(context);
  });

  test("125 when a replaced connection's lease is closed, only the new connection is reset", async () => {
    const { pool, server, steps } = onePool();
    await cycle(pool);
    server.script.checkout = refuse([1]);
    const lease = await pool.connect();
    steps();
    await lease.close();
    expect(steps()).to.deep.equal(["reset 2", "rollback 2", "checkin 2"]);
    expect(server.connections.map(({ closed }) => closed)).to.deep.equal([1, 0]);
  });

  test("a failed checkout hands its place to the next waiter at once", async () => {
    const context = onePool({ timeout: null });
    const { pool, server } = context;
    const running = gate();
    const failure = new Error("refused");
    server.script.checkout = ({ id }) => (id === 1 ? running.promise : undefined);
    const first = rejection(pool.connect());
    const waiter = pool.connect();
    running.fail(failure);
    expect(await first).to.equal(failure);
    expect((await waiter).connection.id).to.equal(2);
    await (await waiter).close();
    await expectSound(context);
  });

  test("while it runs no other caller has the connection", async () => {
    const context = onePool();
    const { pool, server, steps } = context;
    const running = gate();
    server.script.checkout = () => running.promise;
    const caller = pool.connect();
    const waiter = pool.connect();
    await settled();
    expect(pool.stats()).to.include({ idle: 0, waiting: 1 });
    expect(steps()).to.deep.equal(["open", "firstConnect 1", "connect 1", "checkout 1"]);
    running.open();
    await (await caller).close();
    await (await waiter).close();
    await expectSound(context);
  });

  const ends = {
    closes: (lease) => lease.close(),
    invalidates: (lease) => lease.invalidate(new Error("by the listener")),
    detaches: (lease) => lease.detach(),
  };
  for (const [what, end] of Object.entries(ends)) {
    for (const awaited of [true, false]) {
      test(`a listener that ${what} its lease${awaited ? ", awaited" : ""} makes connect() reject`, async () => {
        const context = onePool();
        const { pool, server, clock } = context;
        server.script.checkout = (connection, record, lease) => {
          const ended = end(lease);
          return awaited ? ended : undefined;
        };
        const caller = rejection(pool.connect());
        await pass(clock, 1_000);
        expect(await caller).to.be.instanceOf(InvalidRequestError);
        await settled();
        expect([server.connections.length, server.live]).to.deep.equal([1, 0]);
        expect(server.calls).to.include("terminate 1");
        expect(pool.stats()).to.include({ used: 0, detached: 0, idle: 0 });
        await expectSound(context);
      });
    }
  }

  test("a listener may invalidate softly: the connection is replaced at its next checkout", async () => {
    const { pool, server } = onePool();
    pool.on("checkout", (connection, record, lease) => lease.invalidate(undefined, { soft: true }), { once: true });
    const lease = await pool.connect();
    expect(lease.connection.id).to.equal(1);
    await lease.close();
    expect((await pool.connect()).connection.id).to.equal(2);
    expect(server.connections[0].closed).to.equal(1);
  });

  test("a caller that leaves while it runs is refused at once, and the connection is terminated", async () => {
    const context = onePool();
    const { pool, server, steps } = context;
    await cycle(pool);
    steps();
    server.script.checkout = never;
    const { error, reason, leave } = leavable(pool);
    leave();
    expect(await error).to.equal(reason);
    await settled();
    expect(steps()).to.deep.equal(["checkout 1", ...discarded(1)]);
    expect(counts(pool)).to.deep.equal([1, 1, 0, 0]);
    expect(pool.stats()).to.include({ aborted: 1, used: 0 });
    await expectSound(context);
  });

  test("what it answers after its caller has left changes nothing", async () => {
    for (const end of ["open", "fail"]) {
      const context = onePool();
      const { pool, server, steps } = context;
      const running = gate();
      server.script.checkout = () => running.promise;
      const { error, reason, leave } = leavable(pool);
      leave();
      expect(await error).to.equal(reason);
      await settled();
      steps();
      running[end](stale());
      await settled();
      expect(
        steps().filter((step) => step !== "error listener"),
        end,
      ).to.deep.equal([]);
      await expectSound(context, end);
    }
  });

  test("a caller that leaves while it runs makes room for the next waiter", async () => {
    const context = onePool({ timeout: null });
    const { pool, server } = context;
    server.script.checkout = ({ id }) => (id === 1 ? never() : undefined);
    const { error, leave } = leavable(pool);
    const waiter = pool.connect();
    leave();
    await error;
    expect((await waiter).connection.id).to.equal(2);
    await (await waiter).close();
    await expectSound(context);
  });

  test('a deadline that ends while it runs refuses the caller with step "listener"', async () => {
    const context = onePool();
    const { pool, server, clock, steps } = context;
    await cycle(pool);
    steps();
    server.script.checkout = never;
    const noted = rejectionTime(pool.connect({ deadline: "1s" }), clock);
    await pass(clock, 1_100);
    expect(noted.error).to.be.instanceOf(PoolTimeoutError);
    expect(noted.error).to.include({ step: "listener", timeoutMs: 1000 });
    expect(noted.at).to.be.within(1_000, 1_063);
    expect(steps()).to.deep.equal(["checkout 1", ...discarded(1)]);
    expect(pool.stats()).to.include({ timedOut: 1, used: 0 });
    await expectSound(context);
  });

  test("driverTimeout ends a listener that hangs like an error of its own", async () => {
    const context = onePool({ driverTimeout: "5s" });
    const { pool, server, clock, steps, given } = context;
    await cycle(pool);
    steps();
    server.script.checkout = never;
    const caller = rejection(pool.connect());
    await pass(clock, 5_500);
    const error = await caller;
    expect(error).to.include({ step: "listener", timeoutMs: 5000 });
    expect(steps()).to.deep.equal(["checkout 1", ...discarded(1)]);
    expect(given("invalidate")[0][2]).to.equal(error);
    await expectSound(context);
  });
};
