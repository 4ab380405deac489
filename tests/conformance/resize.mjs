// resize(): other sizes while the pool runs.

import { expect } from "chai";
import {
  connects,
  counts,
  expectSound,
  gate,
  pass,
  rejection,
  scriptedPool,
  settled,
  stateOf,
  thrown,
} from "./scripted.mjs";

export default (test) => {
  test("a pool that grows serves its waiters at once, in order", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const { pool, server } = context;
    const lease = await pool.connect();
    const waiters = [pool.connect(), pool.connect(), pool.connect()];
    expect(pool.resize({ poolSize: 2, maxOverflow: 1 })).to.equal(undefined);
    const states = [];
    for (const waiter of waiters) states.push(await stateOf(waiter));
    expect(states).to.deep.equal(["fulfilled", "fulfilled", "pending"]);
    expect([pool.size(), pool.stats().max, server.connections.length]).to.deep.equal([2, 3, 3]);
    await lease.close();
    for (const waiter of waiters) await (await waiter).close();
    expect(counts(pool)).to.deep.equal([2, 2, 0, 0]);
    await expectSound(context);
  });

  test("a pool that shrinks closes idle connections at once, and the others at their return", async () => {
    const context = scriptedPool({ poolSize: 5, maxOverflow: 0 });
    const { pool, server } = context;
    const leases = await connects(pool, 5);
    await leases[0].close();
    await leases[1].close();
    server.calls.length = 0;
    pool.resize({ poolSize: 2 });
    expect(server.calls).to.deep.equal(["close 1", "close 2"]);
    await settled();
    await leases[2].close();
    expect(server.calls.slice(2)).to.deep.equal(["rollback 3", "close 3"]);
    await leases[3].close();
    await leases[4].close();
    expect(counts(pool)).to.deep.equal([2, 2, 0, 0]);
    expect(pool.stats().max).to.equal(2);
    await expectSound(context);
  });

  test("a waiter has a connection as soon as the pool is within its new sizes", async () => {
    const context = scriptedPool({ poolSize: 3, maxOverflow: 0 });
    const { pool } = context;
    const leases = await connects(pool, 3);
    pool.resize({ poolSize: 1 });
    const waiter = pool.connect();
    await leases[0].close();
    await leases[1].close();
    expect(await stateOf(waiter)).to.equal("pending");
    await leases[2].close();
    expect((await waiter).connection.id).to.equal(3);
    await (await waiter).close();
    await expectSound(context);
  });

  test("what is not given stays, and undefined is not given", async () => {
    const { pool } = scriptedPool({ poolSize: 2, maxOverflow: 3 });
    pool.resize({});
    pool.resize({ poolSize: 4, maxOverflow: undefined });
    expect([pool.size(), pool.stats().max]).to.deep.equal([4, 7]);
    pool.resize({ maxOverflow: -1 });
    expect([pool.size(), pool.stats().max]).to.deep.equal([4, Infinity]);
    pool.resize({ poolSize: 0, maxOverflow: 0 });
    expect([pool.size(), pool.stats().max]).to.deep.equal([0, Infinity]);
  });

  test("a wrong size is named by an ArgumentError, and nothing changes", async () => {
    const { pool } = scriptedPool({ poolSize: 2, maxOverflow: 3, minIdle: 1 });
    const all = "poolSize, maxOverflow, minIdle, min, idleTimeout, maxUses, maxAge";
    for (const [sizes, message] of [
      [{ poolSize: -1 }, "poolSize must be a whole number, 0 or more (0 = no limit); it is -1"],
      [{ poolSize: 9, maxOverflow: "3" }, 'maxOverflow must be a whole number, 0 or more, or -1 (no limit); it is "3"'],
      [{ poolSize: 9, minIdle: 0.5 }, "minIdle must be a whole number, 0 or more; it is 0.5"],
      [{ poolSize: null }, "poolSize must be a whole number, 0 or more (0 = no limit); it is null"],
      [{ size: 9 }, `resize() has no option "size" (its value is 9); it has ${all}`],
      [undefined, "the options of resize() must be an object; they are undefined"],
    ]) {
      const error = thrown(() => pool.resize(/** @type {any} */ (sizes)));
      expect([error.code, error.message]).to.deep.equal(["ERR_POOL_ARGUMENT", message]);
      expect([pool.size(), pool.stats().max, pool.recreate().stats().max]).to.deep.equal([2, 5, 5]);
    }
  });

  test("a lower minIdle closes what was kept for it", async () => {
    const context = scriptedPool({ poolSize: 3, maxOverflow: 0, minIdle: 3, idleTimeout: "1s" });
    const { pool, clock, server } = context;
    for (const lease of await connects(pool, 3)) await lease.close();
    clock.tick(5_000);
    await settled();
    expect(server.live).to.equal(3);
    pool.resize({ minIdle: 1 });
    await settled();
    expect(server.live).to.equal(1);
    await expectSound(context);
  });

  test("recreate() has the new sizes, and warm() opens as many", async () => {
    const { pool, server } = scriptedPool({ poolSize: 1 });
    pool.resize({ poolSize: 3, maxOverflow: 1 });
    const recreated = pool.recreate();
    expect([recreated.size(), recreated.stats().max]).to.deep.equal([3, 4]);
    await pool.warm();
    expect(server.live).to.equal(3);
  });

  test("every scope follows, also one that begins later, and each serves its own waiters", async () => {
    let key = { key: 1 };
    const keys = [key, { key: 2 }];
    const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0, scope: () => key });
    const waiters = [];
    for (key of keys) {
      await pool.connect();
      waiters.push(pool.connect());
    }
    pool.resize({ poolSize: 2 });
    for (key of [...keys, {}]) {
      expect(pool.stats().max).to.equal(2);
      const caller = pool.connect({ timeout: 0 });
      expect(await stateOf(caller)).to.equal(keys.includes(key) ? "rejected" : "fulfilled");
      caller.catch(() => {});
    }
    // In Workers the scope of another key follows at its next call.
    for (const waiter of waiters) expect(await stateOf(waiter)).to.equal("fulfilled");
  });

  test("a listener may change the sizes, and every waiter is settled before the next listener runs", async () => {
    const context = scriptedPool({ poolSize: 4, maxOverflow: 0 });
    const { pool, server } = context;
    for (const lease of await connects(pool, 4)) await lease.close();
    pool.on("close", () => pool.resize({ poolSize: 2 }));
    pool.resize({ poolSize: 3 });
    await settled();
    expect([server.live, server.closedTwice]).to.deep.equal([2, 0]);
    await expectSound(context);
  });

  test("a creator under way for a slot too many serves its caller, whose return closes the connection", async () => {
    const context = scriptedPool({ poolSize: 2, maxOverflow: 0 });
    const { pool, server } = context;
    const openings = gate();
    server.script.open = () => openings.promise;
    const callers = [pool.connect(), pool.connect()];
    pool.resize({ poolSize: 1 });
    openings.open();
    for (const caller of callers) await (await caller).close();
    expect(server.live).to.equal(1);
    await expectSound(context);
  });

  test("a closed pool stays closed", async () => {
    const { pool } = scriptedPool({ poolSize: 1 });
    await pool.close();
    pool.resize({ poolSize: 2 });
    expect((await rejection(pool.connect())).code).to.equal("ERR_POOL_CLOSED");
  });

  test("idleTimeout, maxUses and maxAge may change, each for what comes later", async () => {
    const context = scriptedPool({ poolSize: 2, maxOverflow: 0 });
    const { pool, server } = context;
    await (await pool.connect()).close();
    pool.resize({ idleTimeout: "1s" });
    await pass(context.clock, 2_000);
    expect(server.live).to.equal(0);
    pool.resize({ idleTimeout: null, maxUses: 1 });
    await (await pool.connect()).close();
    expect(server.live).to.equal(0);
    pool.resize({ maxUses: Infinity, maxAge: "1s" });
    await (await pool.connect()).close();
    await pass(context.clock, 2_000);
    expect(server.live).to.equal(0);
    expect(pool.stats().recycled).to.equal(1);
    expect(thrown(() => pool.resize({ maxUses: 0 })).message).to.match(/^maxUses must be a whole number, 1 or more/);
    expect(thrown(() => pool.resize({ idleTimeout: "soon" })).message).to.match(/^idleTimeout must be a duration/);
    await expectSound(context);
  });
};
