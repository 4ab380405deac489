// idleTimeout and minIdle: what has been idle for so long is closed politely, down to minIdle, by one timer that keeps
// no process alive and does not run while nothing is idle.

import { expect } from "chai";
import { QueuePool } from "edgepool";
import {
  connects,
  counts,
  expectSound,
  gate,
  never,
  pass,
  scriptedPool,
  settled,
  stateOf,
  virtualClock,
} from "./scripted.mjs";
import { newCalls, traced } from "./scripted-kind.mjs";

const down = new Error("down");

/** Not before its time, and soon after it. */
const latest = (ms) => ms + Math.max(ms / 8, 50);

/** `count` connections, returned in the order of their numbers. */
async function returned(pool, count) {
  for (const lease of await connects(pool, count)) await lease.close();
}

/** A clock whose timers can keep the process alive or not, as Node's. `holding()`: do any of those that are due? */
function referringClock() {
  const { clock } = virtualClock();
  const handles = new Set();
  const poolClock = {
    now: () => clock.now,
    setTimeout(run, ms) {
      const handle = {
        held: true,
        ref: () => ((handle.held = true), handle),
        unref: () => ((handle.held = false), handle),
      };
      handles.add(handle);
      handle.timer = clock.setTimeout(() => {
        handles.delete(handle);
        clock.due.delete(handle);
        run();
      }, ms);
      clock.due.set(handle, clock.now + ms);
      return handle;
    },
    clearTimeout(handle) {
      handles.delete(handle);
      clock.due.delete(handle);
      if (handle !== undefined) clock.clearTimeout(handle.timer);
    },
  };
  return { clock, poolClock, handles, holding: () => [...handles].some(({ held }) => held) };
}

export default (test) => {
  test("a connection that was idle for so long is closed politely, with its event, and its slot ends", async () => {
    const context = traced(scriptedPool({ poolSize: 2, maxOverflow: 0, idleTimeout: "30s" }));
    const { pool, clock } = context;
    await returned(pool, 1);
    newCalls(context);
    await pass(clock, 29_990);
    expect(newCalls(context)).to.deep.equal([]);
    expect(pool.stats().idle).to.equal(1);
    await pass(clock, latest(30_000) - 29_990);
    expect(newCalls(context)).to.deep.equal(["on close 1", "close 1"]);
    expect(pool.stats()).to.include({ total: 0, idle: 0, invalidated: 0, recycled: 0 });
    expect(counts(pool)).to.deep.equal([2, 0, -2, 0]);
    expect(await pool.use(({ id }) => id)).to.equal(2);
    await expectSound(context);
  });

  test("without idleTimeout nothing is closed, and no timer runs", async () => {
    const { pool, clock } = scriptedPool({ poolSize: 3, minIdle: 0 });
    await returned(pool, 3);
    expect(clock.due.size).to.equal(0);
    await pass(clock, 10_000_000);
    expect(pool.stats().idle).to.equal(3);
  });

  test("it is closed neither early nor late, whatever the time", async () => {
    for (const ms of [100, 1_000, 30_000, 600_000]) {
      const { pool, server, clock } = scriptedPool({ poolSize: 1, idleTimeout: `${ms}ms` });
      await pass(clock, 12_345);
      await returned(pool, 1);
      await pass(clock, ms - 1);
      expect(server.live, `${ms} not early`).to.equal(1);
      await pass(clock, latest(ms) - ms + 1);
      expect(server.live, `${ms} not late`).to.equal(0);
    }
  });

  test("minIdle connections stay, however long they are idle", async () => {
    for (const minIdle of [1, 2, 5]) {
      const context = scriptedPool({ poolSize: 5, maxOverflow: 0, idleTimeout: "30s", minIdle });
      const { pool, server, clock } = context;
      await returned(pool, 5);
      await pass(clock, 100_000);
      expect(pool.stats(), String(minIdle)).to.include({ idle: minIdle, total: minIdle });
      expect(server.live, String(minIdle)).to.equal(minIdle);
      await expectSound(context, String(minIdle));
    }
  });

  test("minIdle opens nothing by itself", async () => {
    const { pool, server, clock } = scriptedPool({ poolSize: 5, idleTimeout: "30s", minIdle: 3 });
    await returned(pool, 1);
    await pass(clock, 100_000);
    expect([pool.stats().idle, server.connections.length]).to.deep.equal([1, 1]);
  });

  test("those in use count for no minIdle: only idle ones do", async () => {
    const { pool, server, clock } = scriptedPool({ poolSize: 4, maxOverflow: 0, idleTimeout: "30s", minIdle: 1 });
    const leases = await connects(pool, 4);
    await leases[0].close();
    await leases[1].close();
    await pass(clock, 100_000);
    expect(pool.stats()).to.include({ idle: 1, used: 2 });
    expect(server.connections.map(({ closed }) => closed).slice(2)).to.deep.equal([0, 0]);
  });

  test("a checkout restarts its time", async () => {
    const { pool, server, clock } = scriptedPool({ poolSize: 1, maxOverflow: 0, idleTimeout: "30s" });
    for (let round = 0; round < 5; round++) {
      await returned(pool, 1);
      await pass(clock, 20_000);
      expect(server.live, String(round)).to.equal(1);
    }
    await pass(clock, latest(30_000) - 20_000);
    expect(server.live).to.equal(0);
  });

  test("time in use is not idle time", async () => {
    const { pool, server, clock } = scriptedPool({ poolSize: 1, maxOverflow: 0, idleTimeout: "30s" });
    const lease = await pool.connect();
    await pass(clock, 100_000);
    await lease.close();
    await pass(clock, 29_000);
    expect(server.live).to.equal(1);
  });

  test("FIFO and LIFO: those that have been idle longest go, wherever they stand", async () => {
    for (const useLifo of [false, true]) {
      const { pool, server, clock } = scriptedPool({ poolSize: 3, maxOverflow: 0, idleTimeout: "30s", useLifo });
      await returned(pool, 3);
      await pass(clock, 20_000);
      const used = await pool.connect();
      expect(used.connection.id, String(useLifo)).to.equal(useLifo ? 3 : 1);
      await used.close();
      await pass(clock, latest(30_000) - 20_000);
      const survivor = useLifo ? 3 : 1;
      expect(
        server.connections.filter(({ closed }) => closed === 0).map(({ id }) => id),
        String(useLifo),
      ).to.deep.equal([survivor]);
      expect(await pool.use(({ id }) => id), String(useLifo)).to.equal(survivor);
    }
  });

  test("with minIdle, too, those go that have been idle longest", async () => {
    for (const useLifo of [false, true]) {
      const { pool, server, clock } = scriptedPool({
        poolSize: 3,
        maxOverflow: 0,
        idleTimeout: "30s",
        minIdle: 1,
        useLifo,
      });
      const leases = await connects(pool, 3);
      for (const number of [1, 2, 0]) {
        await leases[number].close();
        await pass(clock, 1_000);
      }
      await pass(clock, 60_000);
      expect(
        server.connections.filter(({ closed }) => closed === 0).map(({ id }) => id),
        String(useLifo),
      ).to.deep.equal([1]);
    }
  });

  test("connections that were returned at different times are closed at different times", async () => {
    const { pool, server, clock } = scriptedPool({ poolSize: 3, maxOverflow: 0, idleTimeout: "30s" });
    const leases = await connects(pool, 3);
    for (const lease of leases) {
      await lease.close();
      await pass(clock, 10_000);
    }
    // Their ages are 30, 20 and 10 s now; at each look the next one is past its time by half of the distance.
    const live = [];
    for (let round = 0; round < 3; round++) {
      await pass(clock, round === 0 ? 5_000 : 10_000);
      live.push(server.live);
    }
    expect(live).to.deep.equal([2, 1, 0]);
  });

  test("no timer runs without idle connections: before the first return and after the last close", async () => {
    const { pool, clock } = scriptedPool({ poolSize: 2, maxOverflow: 0, idleTimeout: "30s" });
    expect(clock.due.size).to.equal(0);
    let leases = await connects(pool, 2);
    expect(clock.due.size, "all out").to.equal(0);
    for (const lease of leases) await lease.close();
    expect(clock.due.size, "one timer, however many are idle").to.equal(1);
    leases = await connects(pool, 2);
    // A timer set before may run out; it is not set again.
    await pass(clock, 40_000);
    expect(clock.due.size, "all out again").to.equal(0);
    for (const lease of leases) await lease.close();
    await pass(clock, 100_000);
    expect([clock.due.size, pool.stats().idle], "all closed").to.deep.equal([0, 0]);
  });

  test("a busy pool sets few timers: not one for every return", async () => {
    const { pool, clock } = scriptedPool({ poolSize: 2, maxOverflow: 0, idleTimeout: "30s", resetOnReturn: "none" });
    for (let round = 0; round < 1_000; round++) await (await pool.connect()).close();
    expect(clock.set).to.be.at.most(10);
  });

  test("its timer does not keep the process alive", async () => {
    const { clock, poolClock, handles, holding } = referringClock();
    const pool = new QueuePool(() => ({ close() {} }), {
      poolSize: 2,
      maxOverflow: 0,
      idleTimeout: "30s",
      resetOnReturn: "none",
      clock: poolClock,
    });
    await returned(pool, 2);
    expect([handles.size, holding()]).to.deep.equal([1, false]);
    await pass(clock, 20_000);
    await returned(pool, 1);
    await pass(clock, 12_000);
    expect([handles.size, holding()], "set again").to.deep.equal([1, false]);
    await pool.close();
    expect(handles.size).to.equal(0);
  });

  test("a caller that waits keeps the process alive beside it, and no longer than it waits", async () => {
    const { poolClock, holding } = referringClock();
    let opening = gate();
    const pool = new QueuePool(() => opening.promise, {
      poolSize: 2,
      maxOverflow: 0,
      idleTimeout: "30s",
      resetOnReturn: "none",
      clock: poolClock,
    });
    opening.open({ close() {} });
    await returned(pool, 1);
    expect(holding(), "only idle").to.equal(false);
    const lease = await pool.connect();
    opening = gate();
    const caller = pool.connect();
    await lease.close();
    expect(holding(), "one idle, one opening").to.equal(true);
    opening.open({ close() {} });
    await (await caller).close();
    await settled();
    expect(holding(), "only idle again").to.equal(false);
    await pool.close();
  });

  test("while it is being closed it counts against the maximum; a waiter is served when it has ended", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0, idleTimeout: "30s" });
    const { pool, server, clock } = context;
    await returned(pool, 1);
    const closing = gate();
    server.script.close = () => closing.promise;
    await pass(clock, latest(30_000));
    expect(pool.stats()).to.include({ closing: 1, total: 1, idle: 0 });
    const caller = pool.connect();
    expect(await stateOf(caller)).to.equal("pending");
    closing.open();
    expect((await caller).connection.id).to.equal(2);
    server.script = {};
    await (await caller).close();
    await expectSound(context);
  });

  test("a close that fails or hangs is reported, and its slot ends anyway", async () => {
    for (const close of [
      () => Promise.reject(down),
      () => {
        throw down;
      },
      never,
    ]) {
      const context = traced(scriptedPool({ poolSize: 2, maxOverflow: 0, idleTimeout: "30s", driverTimeout: "5s" }));
      const { pool, server, clock, log } = context;
      await returned(pool, 2);
      newCalls(context);
      server.script.close = ({ id }) => (id === 1 ? close() : undefined);
      await pass(clock, latest(30_000) + 6_000);
      expect(newCalls(context).filter((call) => call.startsWith("on error"))).to.deep.equal(["on error close"]);
      expect(log.errors).to.have.length(1);
      expect(pool.stats().total).to.equal(0);
      await expectSound(context);
    }
  });

  test("an emptied slot is not closed again, and counts for no minIdle", async () => {
    const context = scriptedPool({ poolSize: 2, maxOverflow: 0, idleTimeout: "30s", minIdle: 1 });
    const { pool, server, clock } = context;
    const [first, second] = await connects(pool, 2);
    await first.close();
    await second.invalidate();
    await pass(clock, 100_000);
    expect(server.connections.map(({ closed }) => closed)).to.deep.equal([0, 1]);
    await expectSound(context);
  });

  test("what is stale goes in its time like the rest", async () => {
    const context = scriptedPool({ poolSize: 2, maxOverflow: 0, idleTimeout: "30s" });
    const { pool, server, clock } = context;
    await returned(pool, 2);
    pool.invalidateAll();
    await pass(clock, latest(30_000));
    expect(server.connections.map(({ closed }) => closed)).to.deep.equal([1, 1]);
    expect(pool.stats().total).to.equal(0);
    await expectSound(context);
  });

  test("what warm() opened is idle from then on", async () => {
    const { pool, server, clock } = scriptedPool({ poolSize: 2, maxOverflow: 0, idleTimeout: "30s" });
    await pass(clock, 100_000);
    await pool.warm();
    await pass(clock, 29_000);
    expect(server.live).to.equal(2);
    await pass(clock, latest(30_000) - 29_000);
    expect(server.live).to.equal(0);
  });

  test("what an opening brings whose caller has left is idle from then on", async () => {
    const { pool, server, clock } = scriptedPool({ poolSize: 1, maxOverflow: 0, idleTimeout: "30s" });
    const opening = gate();
    server.script.open = () => opening.promise;
    const controller = new AbortController();
    pool.connect({ signal: controller.signal }).catch(() => {});
    controller.abort(down);
    await pass(clock, 10_000);
    opening.open();
    await pass(clock, 29_000);
    expect(pool.stats().idle).to.equal(1);
    await pass(clock, latest(30_000) - 29_000);
    expect(server.live).to.equal(0);
  });

  test("dispose() and close() leave no timer behind", async () => {
    for (const end of ["dispose", "close"]) {
      const { pool, clock, server } = scriptedPool({ poolSize: 2, idleTimeout: "30s" });
      await returned(pool, 2);
      await pool[end]();
      await pass(clock, end === "dispose" ? 40_000 : 0);
      expect([clock.due.size, server.live], end).to.deep.equal([0, 0]);
    }
  });

  test("recreate() carries idleTimeout and minIdle", async () => {
    const { pool, server, clock } = scriptedPool({ poolSize: 3, maxOverflow: 0, idleTimeout: "30s", minIdle: 1 });
    await returned(pool.recreate(), 3);
    await pass(clock, 100_000);
    expect(server.live).to.equal(1);
  });
};
