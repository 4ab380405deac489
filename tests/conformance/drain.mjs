// close({ drain: true }): serves the callers that came before it, then closes, within its timeout.

import { expect } from "chai";
import { PoolClosedError, QueuePool } from "edgepool";
import {
  connects,
  everywhere,
  expectSound,
  gate,
  never,
  pass,
  rejection,
  scriptedPool,
  settled,
  stateOf,
  virtualClock,
} from "./scripted.mjs";

const drain = true;

export default (test) => {
  test("an empty pool closes at once, without a clock", async () => {
    const { pool, clock } = scriptedPool();
    const closed = pool.close({ drain });
    expect(pool.closed).to.equal(true);
    expect(await closed).to.equal(undefined);
    expect([clock.reads, clock.set]).to.deep.equal([0, 0]);
  });

  test("waiters are served in order on the open connections, and after the last return they are closed", async () => {
    const context = scriptedPool({ poolSize: 2, maxOverflow: 0 });
    const { pool, server, clock } = context;
    const held = await connects(pool, 2);
    const served = [];
    const waiters = [1, 2, 3, 4].map((number) => pool.use(({ id }) => void served.push([number, id])));
    const closed = pool.close({ drain });
    for (const lease of held) await lease.close();
    await Promise.all(waiters);
    await closed;
    expect(served.map(([number]) => number)).to.deep.equal([1, 2, 3, 4]);
    expect(server.connections.map(({ closed: times }) => times)).to.deep.equal([1, 1]);
    expect(server.calls.filter((call) => call.startsWith("terminate"))).to.deep.equal([]);
    expect(clock.due.size).to.equal(0);
    await expectSound(context);
  });

  test("a later caller is refused at once with the error of a closed pool", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const { pool } = context;
    const lease = await pool.connect();
    const waiter = pool.connect();
    const closed = pool.close({ drain });
    for (const options of [undefined, { timeout: null }, { signal: new AbortController().signal }]) {
      const error = await rejection(pool.connect(options));
      expect(error).to.be.instanceOf(PoolClosedError);
    }
    expect(await rejection(pool.warm(1))).to.be.instanceOf(PoolClosedError);
    await lease.close();
    await (await waiter).close();
    await closed;
    await expectSound(context);
  });

  test("a caller whose connection is being opened gets it", async () => {
    const context = scriptedPool();
    const { pool, server } = context;
    const opening = gate();
    server.script.open = () => opening.promise;
    const caller = pool.connect();
    const closed = pool.close({ drain });
    opening.open();
    const lease = await caller;
    expect(await stateOf(closed)).to.equal("pending");
    await lease.close();
    await closed;
    expect(server.calls).to.deep.equal(["open", "rollback 1", "close 1"]);
    await expectSound(context);
  });

  test("the signal of an opening is aborted when the close has ended, and not before", async () => {
    const { clock, poolClock } = virtualClock();
    const signals = [];
    const hangs = (_record, { signal }) => {
      signals.push(signal);
      return new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    };
    const pool = new QueuePool(hangs, { clock: poolClock, ...everywhere });
    const caller = rejection(pool.connect());
    const closed = pool.close({ drain, timeout: "2s" });
    expect(signals.map(({ aborted }) => aborted)).to.deep.equal([false]);
    await pass(clock, 2100);
    await closed;
    expect(await caller).to.be.instanceOf(PoolClosedError);
    expect(signals.map(({ aborted }) => aborted)).to.deep.equal([true]);
  });

  test("a caller whose ping finds a dead connection gets another one", async () => {
    const pings = [];
    const dialect = { doPing: () => pings.push(1) > 1 };
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0, prePing: true, dialect });
    const { pool, server } = context;
    await pool.use(() => {});
    const caller = pool.connect();
    const closed = pool.close({ drain });
    const lease = await caller;
    expect(lease.connection.id).to.equal(2);
    await lease.close();
    await closed;
    expect(server.live).to.equal(0);
  });

  test("at the end of its timeout waiters are refused, leases terminated, and openings not waited for", async () => {
    const context = scriptedPool({ poolSize: 2, maxOverflow: 0 });
    const { pool, server, clock } = context;
    await pool.connect();
    const late = gate();
    server.script.open = () => late.promise;
    const callers = [pool.connect(), pool.connect({ timeout: null })].map(rejection);
    const closed = pool.close({ drain, timeout: "2s" });
    await pass(clock, 1_900);
    expect(await stateOf(closed)).to.equal("pending");
    await pass(clock, 200);
    expect(await stateOf(closed)).to.equal("fulfilled");
    for (const error of await Promise.all(callers)) expect(error).to.be.instanceOf(PoolClosedError);
    expect(server.calls).to.deep.equal(["open", "open", "terminate 1"]);
    late.open();
    await settled();
    expect(server.live).to.equal(0);
    await expectSound(context);
  });

  test("a later call without drain refuses the waiters and goes on with its own or the first timeout", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const { pool } = context;
    const lease = await pool.connect();
    const waiter = rejection(pool.connect());
    const closed = pool.close({ drain });
    expect(pool.close()).to.equal(closed);
    expect(await waiter).to.be.instanceOf(PoolClosedError);
    expect(await stateOf(closed)).to.equal("pending");
    await lease.close();
    await closed;
    await expectSound(context);
  });

  test("a later call with drain and a timeout of 0 ends it now", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const { pool, server } = context;
    await pool.connect();
    const waiter = rejection(pool.connect());
    const closed = pool.close({ drain });
    void pool.close({ drain, timeout: 0 });
    expect(await waiter).to.be.instanceOf(PoolClosedError);
    await closed;
    expect(server.calls).to.deep.equal(["open", "terminate 1"]);
    await expectSound(context);
  });

  test("a waiter that times out or aborts while it drains leaves, and the close does not wait for it", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const { pool, clock } = context;
    const lease = await pool.connect();
    const controller = new AbortController();
    const waiters = [pool.connect({ signal: controller.signal }), pool.connect({ timeout: "1s" })].map(rejection);
    const closed = pool.close({ drain, timeout: "1m" });
    controller.abort(new Error("enough"));
    await pass(clock, 1_100);
    expect((await Promise.all(waiters)).map(({ message }) => message)[0]).to.equal("enough");
    await lease.close();
    expect(await stateOf(closed)).to.equal("fulfilled");
    await expectSound(context);
  });

  test("a creator that fails refuses its caller, and the next waiter opens its own", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const { pool, server } = context;
    const opening = gate();
    server.script.open = () => opening.promise;
    const failed = rejection(pool.connect());
    const waiter = pool.connect();
    const closed = pool.close({ drain });
    server.script.open = undefined;
    const down = new Error("down");
    opening.fail(down);
    expect(await failed).to.equal(down);
    await (await waiter).close();
    await closed;
    await expectSound(context);
  });

  test("a driver that never answers is waited for until the timeout", async () => {
    const { pool, server, clock } = scriptedPool({ poolSize: 1, maxOverflow: 0, driverTimeout: null });
    const lease = await pool.connect();
    server.script.rollback = never;
    void lease.close();
    const waiter = rejection(pool.connect());
    const closed = pool.close({ drain, timeout: "3s" });
    await pass(clock, 3_200);
    expect(await waiter).to.be.instanceOf(PoolClosedError);
    expect(await stateOf(closed)).to.equal("fulfilled");
  });

  test("not awaited inside use(), it lets the function and the waiters end first", async () => {
    const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    let closed;
    const order = [];
    const used = pool.use(async () => {
      closed = pool.close({ drain });
      await null;
      order.push("function");
    });
    const waiter = pool.use(() => void order.push("waiter"));
    await Promise.all([used, waiter]);
    await closed;
    expect(order).to.deep.equal(["function", "waiter"]);
  });

  test("each scope serves its own callers", async () => {
    let key = { key: 1 };
    const keys = [key, { key: 2 }];
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0, scope: () => key });
    const { pool, server } = context;
    const held = [];
    const served = [];
    for (key of keys) {
      held.push(await pool.connect());
      void pool.use(({ id }) => void served.push(id));
    }
    const closed = pool.close({ drain });
    for (key of [...keys, {}]) expect(await rejection(pool.connect())).to.be.instanceOf(PoolClosedError);
    for (const lease of held) await lease.close();
    await closed;
    expect(served).to.deep.equal([1, 2]);
    expect(server.live).to.equal(0);
  });

  test("drain must be true or false, and a wrong value closes nothing", async () => {
    for (const wrong of ["yes", 1, null]) {
      const { pool } = scriptedPool();
      const error = await rejection(pool.close({ drain: wrong }));
      expect([error.code, pool.closed]).to.deep.equal(["ERR_POOL_ARGUMENT", false]);
      expect(error.message).to.include("drain must be true or false");
      await pool.close({ drain: undefined, timeout: undefined });
    }
  });
};
