// The queue: whatever comes free goes to the caller that has waited longest, at once, and no caller overtakes. Capacity
// that appears in any way (a return, a failed opening, an invalidation, a detach) is never left lying while a caller
// waits.

import { expect } from "chai";
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

/** `count` callers in the queue, each noting its number when it is served and returning at once. */
function queue(pool, count, served, name = "") {
  return Array.from({ length: count }, (_, number) =>
    pool.connect().then(async (lease) => {
      served.push(`${name}${number}`);
      await lease.close();
    }),
  );
}

export default (test) => {
  test("waiters are served in the order of their arrival", async () => {
    const { pool } = scriptedPool({ poolSize: 2, maxOverflow: 0 });
    const leases = await connects(pool, 2);
    const served = [];
    const waiters = queue(pool, 50, served);
    for (const lease of leases) void lease.close();
    await Promise.all(waiters);
    expect(served).to.deep.equal(Array.from({ length: 50 }, (_, number) => String(number)));
  });

  test("useLifo changes the order of idle connections, not of waiters", async () => {
    const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0, useLifo: true });
    const lease = await pool.connect();
    const served = [];
    const waiters = queue(pool, 3, served);
    await lease.close();
    await Promise.all(waiters);
    expect(served).to.deep.equal(["0", "1", "2"]);
  });

  test("waiters with options of their own stand in the same queue", async () => {
    const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const lease = await pool.connect();
    const served = [];
    const asked = [
      undefined,
      { timeout: "5m" },
      { signal: new AbortController().signal },
      { deadline: "1s" },
      undefined,
      { timeout: null },
    ];
    const waiters = asked.map((options, number) =>
      pool.connect(options).then(async (held) => (served.push(number), held.close())),
    );
    await lease.close();
    await Promise.all(waiters);
    expect(served).to.deep.equal([0, 1, 2, 3, 4, 5]);
  });

  test("054 a caller that loops connect and close cannot starve a waiter", async () => {
    const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    let lease = await pool.connect();
    let rounds = 0;
    let served = false;
    const waiter = pool.connect().then(async (mine) => {
      served = true;
      await mine.close();
    });
    while (!served && rounds < 10) {
      void lease.close();
      lease = await pool.connect();
      rounds++;
    }
    await waiter;
    expect(rounds).to.equal(1);
  });

  test("the state changes before any promise is settled: the returned slot is the waiter's at once", async () => {
    const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0, resetOnReturn: "none" });
    const lease = await pool.connect();
    const waiter = pool.connect();
    void lease.close();
    expect(pool.stats()).to.include({ used: 1, idle: 0, waiting: 0, checkouts: 2 });
    await (await waiter).close();
  });

  test("a connection is reset before the waiter has it", async () => {
    const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const reset = gate();
    server.script.rollback = () => reset.promise;
    const lease = await pool.connect();
    const waiter = pool.connect();
    void lease.close();
    expect(await stateOf(waiter)).to.equal("pending");
    expect(pool.stats()).to.include({ used: 1, waiting: 1 });
    reset.open();
    expect((await waiter).connection.id).to.equal(1);
  });

  test("a waiter whose slot was emptied opens a new connection for it", async () => {
    const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const lease = await pool.connect();
    const waiter = pool.connect();
    server.script.rollback = () => {
      throw new Error("reset failed");
    };
    await lease.close();
    expect((await waiter).connection.id).to.equal(2);
    expect(server.connections[0].closed).to.equal(1);
  });

  test("049 after an invalidation one connection is opened, and every waiter is served", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0, timeout: null });
    const { pool, server } = context;
    const lease = await pool.connect();
    const served = [];
    const waiters = queue(pool, 5, served);
    await lease.invalidate();
    await Promise.all(waiters);
    expect(served).to.deep.equal(["0", "1", "2", "3", "4"]);
    expect(server.connections).to.have.length(2);
    await expectSound(context);
  });

  test("050 after a pool-wide invalidation every waiter is served, whatever the overflow and the timeout", async () => {
    for (const timeout of [null, "30s"]) {
      for (const maxOverflow of [0, -1, 3]) {
        const note = `timeout ${timeout}, overflow ${maxOverflow}`;
        const context = scriptedPool({ poolSize: 2, maxOverflow, timeout });
        const { pool } = context;
        const [first, second] = await connects(pool, 2);
        const served = [];
        const waiters = queue(pool, 2, served);
        await first.invalidate(new Error("gone"), { pool: true });
        await second.close();
        await Promise.all(waiters);
        expect(served, note).to.have.length(2);
        await expectSound(context, note);
      }
    }
  });

  test("051 when a lease is detached the waiter has a new connection in its place", async () => {
    const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const lease = await pool.connect();
    const waiter = pool.connect();
    await lease.detach();
    expect((await waiter).connection.id).to.equal(2);
    expect(server.live).to.equal(2);
    await lease.close();
    expect(server.live).to.equal(1);
  });

  test("the place of a failed opening goes to the waiter; each caller has the error of its own opening", async () => {
    const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 0, timeout: null });
    const openings = [];
    server.script.open = () => (openings.push(gate()), openings.at(-1).promise);
    const callers = Array.from({ length: 3 }, () => pool.connect());
    for (let number = 0; number < 2; number++) {
      const error = new Error(`down ${number}`);
      openings[number].fail(error);
      expect(await rejection(callers[number])).to.equal(error);
      expect(openings).to.have.length(number + 2);
    }
    openings[2].open();
    expect((await callers[2]).connection.id).to.equal(1);
  });

  test("the place of an idle connection that died goes to a caller without delay", async () => {
    let died;
    const { pool, server } = scriptedPool({
      poolSize: 1,
      maxOverflow: 0,
      dialect: { onDisconnect: (_, tell) => ((died = tell), () => {}) },
    });
    server.script.terminate = () => closing.promise;
    const closing = gate();
    await (await pool.connect()).close();
    died(new Error("gone"));
    const waiter = pool.connect();
    expect(await stateOf(waiter)).to.equal("pending");
    closing.open();
    expect((await waiter).connection.id).to.equal(2);
  });

  test("the place of a surplus connection goes to a waiter as soon as the close has ended", async () => {
    const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 1, resetOnReturn: "none" });
    const closing = gate();
    server.script.close = () => closing.promise;
    const [first, second] = await connects(pool, 2);
    await first.close();
    void second.close();
    await settled();
    expect(pool.stats()).to.include({ idle: 1, closing: 1, total: 2 });
    const again = await pool.connect();
    expect(again.connection.id).to.equal(1);
    const waiter = pool.connect();
    expect(await stateOf(waiter)).to.equal("pending");
    closing.open();
    expect((await waiter).connection.id).to.equal(3);
  });

  test("while callers wait, a surplus connection is handed over instead of closed", async () => {
    const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 1 });
    const leases = await connects(pool, 2);
    const waiters = [pool.connect(), pool.connect()];
    await Promise.all(leases.map((lease) => lease.close()));
    await Promise.all(waiters);
    expect(server.connections).to.have.length(2);
    expect(server.live).to.equal(2);
  });

  test("a new caller does not take a place that is reserved for a woken waiter", async () => {
    const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const lease = await pool.connect();
    const served = [];
    const [waiter] = queue(pool, 1, served, "waiter ");
    void lease.detach();
    const [late] = queue(pool, 1, served, "late ");
    await Promise.all([waiter, late]);
    expect(served).to.deep.equal(["waiter 0", "late 0"]);
    expect(server.connections).to.have.length(2);
  });

  test("a woken waiter calls the creator in a microtask of its own, not in the stack that made room", async () => {
    const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const lease = await pool.connect();
    const waiter = pool.connect();
    void lease.detach();
    expect(server.calls).to.deep.equal(["open"]);
    await waiter;
    expect(server.calls).to.deep.equal(["open", "open"]);
  });

  test("a waiter that gave up is passed over", async () => {
    const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const lease = await pool.connect();
    const controller = new AbortController();
    const gone = pool.connect({ signal: controller.signal });
    const stays = pool.connect();
    controller.abort(new Error("enough"));
    await rejection(gone);
    await lease.close();
    expect((await stays).connection.id).to.equal(1);
  });

  test("waiters that come in while others are served stand behind them", async () => {
    const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const order = [];
    const again = [];
    const lease = await pool.connect();
    const take = (name, next) =>
      pool.connect().then(async (mine) => {
        order.push(name);
        if (next !== undefined) again.push(take(next));
        await mine.close();
      });
    const first = [take("a", "d"), take("b", "e"), take("c")];
    await lease.close();
    await Promise.all(first);
    await Promise.all(again);
    expect(order).to.deep.equal(["a", "b", "c", "d", "e"]);
  });

  test("034 ten callers in ten rounds never share a connection, whatever the size", async () => {
    for (const [poolSize, maxOverflow] of [
      [10, 0],
      [3, 5],
      [3, 0],
      [7, 0],
    ]) {
      const context = scriptedPool({ poolSize, maxOverflow });
      const { pool, server } = context;
      server.script.open = () => Promise.resolve();
      const inUse = new Set();
      const work = async () => {
        for (let round = 0; round < 10; round++) {
          await pool.use(async (connection) => {
            expect(inUse.has(connection)).to.equal(false);
            inUse.add(connection);
            await settled(3);
            inUse.delete(connection);
          });
        }
      };
      await Promise.all(Array.from({ length: 10 }, work));
      await expectSound(context, `${poolSize}/${maxOverflow}`);
    }
  });

  test("035 forty callers on a slow creator never grow the pool beyond its maximum", async () => {
    for (const maxOverflow of [0, 5]) {
      const context = scriptedPool({ poolSize: 3, maxOverflow, timeout: null });
      const { pool, server, clock } = context;
      server.script.open = () => new Promise((open) => clock.setTimeout(() => open(undefined), 50));
      let most = 0;
      const work = async () => {
        for (let round = 0; round < 5; round++) {
          await pool.use(() => {
            most = Math.max(most, pool.overflow());
            expect(server.live).to.be.at.most(3 + maxOverflow);
          });
        }
      };
      const all = Promise.all(Array.from({ length: 40 }, work));
      for (let step = 0; step < 500 && (await stateOf(all)) === "pending"; step++) clock.tick(50);
      await all;
      expect(most).to.equal(maxOverflow);
      await expectSound(context, `overflow ${maxOverflow}`);
    }
  });

  test("a creator that hangs holds up neither its own caller nor those behind it", async () => {
    const { pool, server, clock } = scriptedPool({ poolSize: 2, maxOverflow: 0, driverTimeout: null });
    const [first, second] = await connects(pool, 2);
    const waiters = [pool.connect(), pool.connect(), pool.connect()];
    server.script.open = never;
    await first.detach();
    await second.close();
    // The first came before the others, so what comes back serves it before its creator has answered.
    for (const waiter of waiters) await (await waiter).close();
    await pass(clock, 60_000);
    expect(counts(pool)).to.deep.equal([2, 1, 0, 1]);
  });
};
