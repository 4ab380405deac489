// min: connections that the pool opens by itself and keeps open, in use or idle.

import { expect } from "chai";
import {
  connects,
  expectSound,
  isWorkers,
  never,
  pass,
  rejection,
  scriptedPool,
  settled,
  stateOf,
} from "./scripted.mjs";

export default (test) => {
  test("they are opened after the constructor has returned, and in Workers with the first call", async () => {
    const context = scriptedPool({ min: 3 });
    const { pool, server, clock } = context;
    expect(server.calls, "not in the constructor").to.deep.equal([]);
    expect([clock.reads, clock.set]).to.deep.equal([0, 0]);
    const seen = [];
    pool.on("connect", ({ id }) => seen.push(id));
    await settled();
    expect(server.live).to.equal(isWorkers ? 0 : 3);
    await pool.use(() => {});
    await settled();
    expect([server.live, seen.length, pool.stats().idle]).to.deep.equal([3, 3, 3]);
    await expectSound(context);
  });

  test("without it nothing is opened, and no timer runs", async () => {
    const { pool, server, clock } = scriptedPool();
    await settled();
    await (await pool.connect()).invalidate();
    await settled();
    expect([server.live, clock.due.size]).to.deep.equal([0, 0]);
  });

  test("each connection that ends is replaced: died, invalidated, worn out, detached", async () => {
    let died;
    const context = scriptedPool({
      min: 2,
      maxUses: 3,
      dialect: { onDisconnect: (_connection, report) => void (died = report) },
    });
    const { pool, server } = context;
    await pool.use(() => {});
    await settled();
    died(new Error("gone"));
    await settled();
    expect(server.live).to.equal(2);
    await (await pool.connect()).invalidate();
    await settled();
    expect(server.live).to.equal(2);
    for (let use = 0; use < 6; use++) await pool.use(() => {});
    await settled();
    expect([server.live, pool.stats().idle]).to.deep.equal([2, 2]);
    const lease = await pool.connect();
    await lease.detach();
    await settled();
    expect(pool.stats().total).to.equal(2);
    await lease.close();
    await expectSound(context);
  });

  test("idleTimeout closes down to it, and no timer runs then", async () => {
    const context = scriptedPool({ min: 2, idleTimeout: "1s" });
    const { pool, server, clock } = context;
    for (const lease of await connects(pool, 4)) await lease.close();
    await pass(clock, 10_000);
    expect([server.live, server.connections.length, clock.due.size]).to.deep.equal([2, 4, 0]);
    await expectSound(context);
  });

  test("a dead server is tried again after 100 ms, then twice as long each time, one opening at a time", async () => {
    const context = scriptedPool({ min: 3 });
    const { pool, server, clock, log } = context;
    const down = new Error("down");
    server.script.open = () => Promise.reject(down);
    const caller = rejection(pool.connect());
    await pass(clock, 0);
    expect(await caller).to.equal(down);
    const first = server.calls.length;
    expect(first).to.be.within(3, 4);
    for (const ms of [100, 200, 400, 800]) {
      await pass(clock, ms + ms / 16 + 6);
    }
    expect(server.calls.length - first).to.equal(4);
    server.script.open = undefined;
    await pass(clock, 2_000);
    expect([server.live, clock.due.size]).to.deep.equal([3, 0]);
    expect(new Set(log.errors)).to.deep.equal(new Set([down]));
    await expectSound(context);
  });

  test("what fails is emitted as the error of an opening, and rejects no caller", async () => {
    const { pool, server, clock } = scriptedPool({ min: 2 });
    const errors = [];
    pool.on("error", (error, { operation }) => errors.push([operation, error.message]));
    await pool.use(() => {});
    await settled();
    server.script.open = () => Promise.reject(new Error("down"));
    await (await pool.connect()).invalidate();
    await pass(clock, 50);
    expect(errors).to.deep.equal([["open", "down"]]);
    expect(await pool.use(({ id }) => typeof id)).to.equal("number");
  });

  test("warm() opens its own and rejects with its own error", async () => {
    const { pool, server } = scriptedPool({ min: 3 });
    await pool.warm(1);
    await settled();
    expect(server.live).to.equal(3);
  });

  test("a caller that waits is served by a connection that the pool opens by itself", async () => {
    const context = scriptedPool({ min: 2, poolSize: 2, maxOverflow: 0 });
    const { pool } = context;
    const leases = await connects(pool, 2);
    const waiter = pool.connect();
    await leases[0].detach();
    expect(await stateOf(waiter)).to.equal("fulfilled");
    await leases[0].close();
    await leases[1].close();
    await (await waiter).close();
    await expectSound(context);
  });

  test("dispose() leaves the pool empty until its next call", async () => {
    const { pool, server, clock } = scriptedPool({ min: 2 });
    await pool.use(() => {});
    await settled();
    await pool.dispose();
    await pass(clock, 60_000);
    expect(server.live).to.equal(0);
    await pool.use(() => {});
    await settled();
    expect(server.live).to.equal(2);
  });

  test("close() ends it, also while an opening hangs or a pause runs", async () => {
    for (const open of [never, () => Promise.reject(new Error("down"))]) {
      const { pool, server, clock } = scriptedPool({ min: 2 });
      server.script.open = open;
      pool.connect().catch(() => {});
      await settled();
      const closed = pool.close({ timeout: "1s" });
      await pass(clock, 60_000);
      expect(await stateOf(closed)).to.equal("fulfilled");
      expect([clock.due.size, server.live]).to.deep.equal([0, 0]);
    }
  });

  test("resize() changes it", async () => {
    const { pool, server } = scriptedPool();
    await pool.use(() => {});
    pool.resize({ min: 4 });
    await settled();
    expect(server.live).to.equal(4);
    pool.resize({ min: 0 });
    await (await pool.connect()).invalidate();
    await settled();
    expect(server.live).to.equal(3);
  });

  test("each scope of a key keeps its own, from its first call on", async () => {
    let key = {};
    const { pool, server } = scriptedPool({ min: 2, scope: () => key });
    await settled();
    expect(server.live).to.equal(0);
    const first = key;
    await pool.use(() => {});
    await settled();
    expect(server.live).to.equal(2);
    key = {};
    await pool.use(() => {});
    await settled();
    expect(server.live).to.equal(4);
    await pool.endScope(first);
    await settled();
    expect(server.live).to.equal(2);
  });

  test("dispose() ends the openings that have not begun, and the next call begins them again", async () => {
    const { pool, server } = scriptedPool({ poolSize: 3, maxOverflow: 0, min: 3 });
    await settled();
    await pool.dispose();
    let openings = 0;
    server.script.open = () => {
      if (++openings === 2) void pool.dispose();
    };
    const leases = [await pool.connect()];
    await settled();
    server.script.open = undefined;
    // The second opening disposed of the pool, before the third began.
    expect([openings, pool.stats().total]).to.deep.equal([2, 1]);
    leases.push(await pool.connect());
    expect(pool.stats()).to.include({ used: 2, idle: 1 });
    await Promise.all(leases.map((lease) => lease.close()));
    await pool.close();
  });

  test("without refill none is opened by itself, and those that callers have opened are kept", async () => {
    const context = scriptedPool({ poolSize: 3, maxOverflow: 0, min: 2, refill: false, idleTimeout: "1s" });
    const { pool, server } = context;
    await settled();
    expect(server.live).to.equal(0);
    const leases = await connects(pool, 3);
    await leases[0].close();
    await pass(context.clock, 2_000);
    expect([server.live, pool.stats().idle]).to.deep.equal([2, 0]);
    await leases[1].close();
    await leases[2].close();
    await pass(context.clock, 10_000);
    expect([server.live, pool.stats().idle]).to.deep.equal([2, 2]);
    await expectSound(context);
  });
};
