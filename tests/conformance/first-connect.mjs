// The firstConnect event: once for each pool, before any connect listener, and every caller waits for it.

import { expect } from "chai";
import { NullPool } from "edgepool";
import { connects, counts, expectSound, gate, rejection, scriptedPool, settled, stateOf } from "./scripted.mjs";
import { cycle, leavable, onePool, thrower, tracedPool } from "./tracing.mjs";

const firsts = (steps) => steps.filter((step) => step.startsWith("firstConnect"));

export default (test) => {
  test("085 firstConnect is fired by the first connection, with it and its record", async () => {
    const { pool, server, given } = tracedPool();
    const lease = await pool.connect();
    expect(given("firstConnect")).to.have.length(1);
    const [connection, record, ...rest] = given("firstConnect")[0];
    expect(connection).to.equal(server.connections[0]);
    expect(record).to.equal(lease.record);
    expect(rest).to.deep.equal([]);
  });

  test("086 a second connection does not fire it again, nor does a reconnect", async () => {
    const { pool, steps } = tracedPool();
    const [first] = await connects(pool, 2);
    await first.invalidate();
    await pool.connect();
    expect(firsts(steps())).to.deep.equal(["firstConnect 1"]);
  });

  test("087 a recreated pool has a first connection of its own, recreated before or after the old one's", async () => {
    for (const when of ["before", "after"]) {
      const { pool, steps } = tracedPool();
      let again;
      if (when === "before") again = pool.recreate();
      await cycle(pool);
      again ??= pool.recreate();
      await cycle(again);
      expect(firsts(steps()), when).to.deep.equal(["firstConnect 1", "firstConnect 2"]);
    }
  });

  test("091 firstConnect comes before connect, and connect before checkout", async () => {
    const { pool, steps } = tracedPool();
    await pool.connect();
    expect(steps()).to.deep.equal(["open", "firstConnect 1", "connect 1", "checkout 1"]);
  });

  test("a listener that is added after the first connection is not called", async () => {
    const { pool, server } = onePool();
    await cycle(pool);
    let calls = 0;
    pool.on("firstConnect", () => calls++);
    await (await pool.connect()).invalidate();
    await cycle(pool);
    expect([calls, server.connections.length]).to.deep.equal([0, 2]);
  });

  test("092 while it runs no caller is served; then it has run once, and connect for each connection", async () => {
    const context = tracedPool({ poolSize: 3, maxOverflow: 0 });
    const { pool, server, steps } = context;
    const running = gate();
    server.script.open = () => Promise.resolve();
    server.script.firstConnect = () => running.promise;
    let served = 0;
    const work = Array.from({ length: 5 }, () => pool.use(() => served++));
    await settled();
    expect(steps()).to.deep.equal(["open", "open", "open", "firstConnect 1"]);
    expect(served).to.equal(0);
    running.open();
    await Promise.all(work);
    const after = steps();
    expect(firsts(after)).to.deep.equal([]);
    expect(after.filter((step) => step.startsWith("connect"))).to.deep.equal(["connect 1", "connect 2", "connect 3"]);
    expect(served).to.equal(5);
    await expectSound(context);
  });

  test("100 ten callers of a NullPool: firstConnect once, before any of the ten connects", async () => {
    const { pool, server, steps } = tracedPool({}, NullPool);
    server.script.open = () => Promise.resolve();
    server.script.firstConnect = () => settled(5);
    await Promise.all(Array.from({ length: 10 }, () => pool.use(() => {})));
    const listened = steps().filter((step) => /^(firstConnect|connect) /.test(step));
    expect(listened[0]).to.match(/^firstConnect /);
    expect(listened.slice(1).map((step) => step.split(" ")[0])).to.deep.equal(Array(10).fill("connect"));
  });

  test("one that fails rejects its caller, terminates the connection and removes the slot", async () => {
    const context = onePool();
    const { pool, server, steps } = context;
    const failure = new Error("first");
    server.script.firstConnect = thrower(failure);
    expect(await rejection(pool.connect())).to.equal(failure);
    expect(steps()).to.deep.equal(["open", "firstConnect 1", "terminate 1"]);
    expect(counts(pool)).to.deep.equal([1, 0, -1, 0]);
    expect(pool.stats().total).to.equal(0);
    await expectSound(context);
  });

  test("099 one that fails is tried again with each connection; once it succeeded, never again", async () => {
    const { pool, server, steps } = onePool();
    server.script.firstConnect = thrower(new Error("first"));
    for (let round = 0; round < 3; round++) {
      await rejection(pool.connect());
      expect(counts(pool)).to.deep.equal([1, 0, -1, 0]);
      await pool.dispose();
    }
    server.script = {};
    await cycle(pool);
    expect(firsts(steps())).to.deep.equal(["firstConnect 1", "firstConnect 2", "firstConnect 3", "firstConnect 4"]);
    await pool.dispose();
    await cycle(pool);
    expect(firsts(steps())).to.deep.equal([]);
  });

  test("when it fails while others wait for it, the next of them runs it with its own connection", async () => {
    const context = tracedPool();
    const { pool, server, steps } = context;
    const running = gate();
    const failure = new Error("first");
    server.script.firstConnect = ({ id }) => (id === 1 ? running.promise : undefined);
    const [first, second, third] = [pool.connect(), pool.connect(), pool.connect()];
    const error = rejection(first);
    await settled();
    expect(steps()).to.deep.equal(["open", "firstConnect 1", "open", "open"]);
    running.fail(failure);
    expect(await error).to.equal(failure);
    expect((await second).connection.id).to.equal(2);
    expect((await third).connection.id).to.equal(3);
    const after = steps();
    expect(firsts(after)).to.deep.equal(["firstConnect 2"]);
    expect(after.indexOf("firstConnect 2")).to.be.below(after.indexOf("connect 2"));
    expect(server.connections.map(({ closed }) => closed)).to.deep.equal([1, 0, 0]);
    await (await second).close();
    await (await third).close();
    await expectSound(context);
  });

  test("a caller that leaves while running it is refused at once, and it runs on for the others", async () => {
    const context = tracedPool();
    const { pool, server, steps } = context;
    const running = gate();
    server.script.firstConnect = () => running.promise;
    const { error, reason, leave } = leavable(pool);
    const other = pool.connect();
    leave();
    expect(await error).to.equal(reason);
    expect(await stateOf(other)).to.equal("pending");
    running.open();
    await (await other).close();
    expect(firsts(steps())).to.deep.equal(["firstConnect 1"]);
    expect(server.live).to.equal(2);
    await expectSound(context);
  });

  test("a caller that leaves while waiting for it is refused at once, and the opened connection is kept", async () => {
    const context = tracedPool();
    const { pool, server, steps } = context;
    const running = gate();
    server.script.firstConnect = () => running.promise;
    const first = pool.connect();
    const { error, reason, leave } = leavable(pool);
    await settled();
    leave();
    expect(await error).to.equal(reason);
    running.open();
    await (await first).close();
    await settled();
    expect(pool.stats()).to.include({ idle: 2, used: 0, opening: 0 });
    expect(steps()).to.include("connect 2").and.not.to.include("checkout 2");
    await expectSound(context);
  });

  test("a waiter that is given the connection of an opener that left is served at once", async () => {
    const context = scriptedPool({ poolSize: 2, maxOverflow: 0, timeout: null, driverTimeout: null });
    const { pool } = context;
    const first = gate();
    pool.on("firstConnect", () => first.promise);
    const opener = pool.connect();
    const controller = new AbortController();
    const leaver = rejection(pool.connect({ signal: controller.signal }));
    const waiters = [pool.connect(), pool.connect()];
    await settled();
    controller.abort(new Error("enough"));
    await leaver;
    first.open();
    await settled();
    expect(await Promise.all([opener, waiters[0]].map(stateOf))).to.deep.equal(["fulfilled", "fulfilled"]);
    expect(await stateOf(waiters[1])).to.equal("pending");
    const late = pool.connect({ signal: new AbortController().signal });
    await (await opener).close();
    await (await waiters[0]).close();
    for (const lease of await Promise.all([waiters[1], late])) await lease.close();
    await expectSound(context);
  });
};
