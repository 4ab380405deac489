// warm(): opens what is missing before anyone asks, and parks it.

import { expect } from "chai";
import { ArgumentError, PoolClosedError } from "edgepool";
import {
  connects,
  counts,
  expectSound,
  gate,
  never,
  pass,
  rejection,
  scriptedPool,
  settled,
  stateOf,
} from "./scripted.mjs";
import { newCalls, traced } from "./scripted-kind.mjs";

const down = new Error("down");

export default (test) => {
  test("warm() opens poolSize connections and parks them; their first callers open nothing", async () => {
    const context = scriptedPool({ poolSize: 3, maxOverflow: 2 });
    const { pool, server } = context;
    expect(await pool.warm()).to.equal(undefined);
    expect(pool.stats()).to.include({ total: 3, idle: 3, used: 0, opening: 0, opened: 3, checkouts: 0 });
    expect(counts(pool)).to.deep.equal([3, 3, 0, 0]);
    const leases = await connects(pool, 3);
    expect(server.connections).to.have.length(3);
    for (const lease of leases) await lease.close();
    await expectSound(context);
  });

  test("it runs the creator and the connect listeners, and nothing of a checkout or a return", async () => {
    const context = traced(scriptedPool({ poolSize: 2, maxOverflow: 0, maxConnecting: 1 }));
    await context.pool.warm();
    expect(newCalls(context)).to.deep.equal(["open", "on firstConnect 1", "on connect 1", "open", "on connect 2"]);
  });

  test("warm(count) opens up to so many", async () => {
    const { pool, server } = scriptedPool({ poolSize: 5, maxOverflow: 0 });
    await pool.warm(2);
    expect(pool.stats().idle).to.equal(2);
    await pool.warm(0);
    await pool.warm(1);
    await pool.warm(2);
    expect(server.connections).to.have.length(2);
    await pool.warm(4);
    expect([pool.stats().idle, server.connections.length]).to.deep.equal([4, 4]);
    await pool.warm(undefined);
    expect(pool.stats().idle).to.equal(5);
  });

  test("never above poolSize, whatever is asked for", async () => {
    const context = scriptedPool({ poolSize: 3, maxOverflow: 10 });
    const { pool, server } = context;
    await pool.warm(50);
    expect([pool.stats().idle, server.connections.length]).to.deep.equal([3, 3]);
    await expectSound(context);
  });

  test("a pool without a limit is warmed as far as is asked for; of itself it opens nothing", async () => {
    const { pool } = scriptedPool({ poolSize: 0 });
    await pool.warm();
    expect(pool.stats().total).to.equal(0);
    await pool.warm(7);
    expect(pool.stats()).to.include({ idle: 7, total: 7 });
  });

  test("it opens at most as many as it is asked for, however many die meanwhile", async () => {
    for (const maxConnecting of [1, 2, Infinity]) {
      const { pool, server } = scriptedPool({ poolSize: 5, maxConnecting });
      pool.on("connect", (_connection, record) => void record.close());
      await pool.warm(3);
      expect(server.connections.length).to.be.at.most(3);
    }
  });

  test("what is in use or opening is not missing", async () => {
    const context = scriptedPool({ poolSize: 4, maxOverflow: 2 });
    const { pool, server } = context;
    const leases = await connects(pool, 2);
    const opening = gate();
    server.script.open = () => opening.promise;
    const caller = pool.connect();
    server.script = {};
    await pool.warm();
    // What it opens serves the caller that waits for an opening.
    expect(server.connections, "three in use, one on its way").to.have.length(3);
    expect(pool.stats()).to.include({ used: 3, idle: 0, opening: 1 });
    opening.open();
    for (const lease of [...leases, await caller]) await lease.close();
    expect(server.connections).to.have.length(4);
    await expectSound(context);
  });

  test("while leases beyond poolSize are out, nothing is missing", async () => {
    const { pool, server } = scriptedPool({ poolSize: 2, maxOverflow: 3 });
    await connects(pool, 4);
    await pool.warm();
    expect(server.connections).to.have.length(4);
  });

  test("an emptied slot is filled", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const { pool } = context;
    await (await pool.connect()).invalidate();
    expect(pool.stats().total).to.equal(0);
    await pool.warm();
    expect(pool.stats()).to.include({ idle: 1, total: 1 });
    expect(counts(pool)).to.deep.equal([1, 1, 0, 0]);
    expect(await pool.use(({ id }) => id)).to.equal(2);
    await expectSound(context);
  });

  test("it rejects with the creator's error; what could be opened is kept", async () => {
    for (const bad of [1, 2, 3]) {
      const context = scriptedPool({ poolSize: 3, maxOverflow: 0, maxConnecting: 3 });
      const { pool, server } = context;
      let number = 0;
      server.script.open = () => (++number === bad ? Promise.reject(down) : undefined);
      expect(await rejection(pool.warm()), String(bad)).to.equal(down);
      await settled();
      expect(pool.stats(), String(bad)).to.include({ idle: 2, opening: 0, openFailed: 1 });
      server.script = {};
      await pool.warm();
      expect(pool.stats().idle, String(bad)).to.equal(3);
      await expectSound(context, String(bad));
    }
  });

  test("it rejects where every opening fails, or a connect listener does, and the pool is as it was", async () => {
    for (const fault of ["throws", "rejects", "listener"]) {
      const context = scriptedPool({ poolSize: 3, maxOverflow: 0 });
      const { pool, server } = context;
      const fail = () => {
        throw down;
      };
      const remove = fault === "listener" ? pool.on("connect", fail) : () => {};
      if (fault === "throws") server.script.open = fail;
      if (fault === "rejects") server.script.open = () => Promise.reject(down);
      expect(await rejection(pool.warm()), fault).to.equal(down);
      await settled();
      expect(pool.stats(), fault).to.include({ total: 0, waiting: 0 });
      expect(server.live, fault).to.equal(0);
      remove();
      await expectSound(context, fault);
    }
  });

  test("an opening that hangs is given driverTimeout", async () => {
    const context = scriptedPool({ poolSize: 2, maxOverflow: 0, driverTimeout: "2s" });
    const { pool, server, clock } = context;
    server.script.open = never;
    const warmed = rejection(pool.warm());
    await pass(clock, 2_500);
    expect((await warmed).code).to.equal("ERR_POOL_TIMEOUT");
    expect(pool.stats()).to.include({ total: 0, opening: 0 });
    await expectSound(context);
  });

  test("it keeps to maxConnecting", async () => {
    const context = scriptedPool({ poolSize: 6, maxOverflow: 0, maxConnecting: 2 });
    const { pool, server } = context;
    let running = 0;
    let most = 0;
    server.script.open = async () => {
      most = Math.max(most, ++running);
      await settled(4);
      running--;
    };
    await pool.warm();
    expect([most, pool.stats().idle]).to.deep.equal([2, 6]);
    await expectSound(context);
  });

  test("a caller that comes meanwhile has the first connection, and no more are opened than fit", async () => {
    const context = scriptedPool({ poolSize: 2, maxOverflow: 0 });
    const { pool, server } = context;
    const openings = [];
    server.script.open = () => (openings.push(gate()), openings.at(-1).promise);
    const warmed = pool.warm();
    const caller = pool.connect();
    await settled();
    expect(openings.length).to.equal(2);
    openings[1].open();
    const lease = await caller;
    expect(lease.connection.id).to.equal(1);
    openings[0].open();
    await warmed;
    expect(pool.stats()).to.include({ idle: 1, used: 1, opened: 2 });
    await lease.close();
    await expectSound(context);
  });

  test("two at once open no more than one", async () => {
    const { pool, server } = scriptedPool({ poolSize: 3, maxOverflow: 3 });
    server.script.open = () => settled(3).then(() => undefined);
    await Promise.all([pool.warm(), pool.warm()]);
    expect(server.connections).to.have.length(3);
  });

  test("what dispose() finds opening is not kept", async () => {
    const context = scriptedPool({ poolSize: 2, maxOverflow: 0 });
    const { pool, server } = context;
    const opening = gate();
    server.script.open = () => opening.promise;
    const warmed = pool.warm();
    warmed.catch(() => {});
    await pool.dispose();
    opening.open();
    await settled();
    expect(await stateOf(warmed)).to.not.equal("pending");
    expect([server.connections.length, server.live]).to.deep.equal([2, 0]);
    await expectSound(context);
  });

  test("close() while it opens: it ends, and so does everything that was opened", async () => {
    const context = scriptedPool({ poolSize: 3, maxOverflow: 0, maxConnecting: 2 });
    const { pool, server } = context;
    const opening = gate();
    server.script.open = () => opening.promise;
    const warmed = pool.warm();
    warmed.catch(() => {});
    const closed = pool.close();
    opening.open();
    await closed;
    await settled();
    expect(await stateOf(warmed)).to.not.equal("pending");
    expect([server.connections.length, server.live]).to.deep.equal([2, 0]);
    await expectSound(context);
  });

  test("on a closed pool it rejects and opens nothing", async () => {
    const { pool, server } = scriptedPool();
    await pool.close();
    expect(await rejection(pool.warm())).to.be.instanceOf(PoolClosedError);
    expect(server.calls).to.deep.equal([]);
  });

  test("a count that is no whole number of 0 or more is refused, and nothing is opened", async () => {
    const { pool, server } = scriptedPool();
    for (const [count, shown] of [
      [-1, "-1"],
      [1.5, "1.5"],
      [NaN, "NaN"],
      ["3", '"3"'],
      [null, "null"],
      [{}, "an object (Object)"],
      [true, "true"],
    ]) {
      const error = await rejection(pool.warm(count));
      expect(error, shown).to.be.instanceOf(ArgumentError);
      expect(error.message, shown).to.contain("count").and.to.contain(`it is ${shown}`).and.to.contain("whole number");
    }
    expect(server.calls).to.deep.equal([]);
  });
};
