// stats(), SQLAlchemy's four counts and status(): at each moment total = idle + used + opening + closing, and every
// counter counts one thing.

import { expect } from "chai";
import { QueuePool } from "edgepool";
import { connects, counts, expectSound, gate, pass, rejection, scriptedPool, settled } from "./scripted.mjs";

const gauges = ["total", "idle", "used", "opening", "closing", "waiting", "detached", "max"];
const counters = [
  "opened",
  "openFailed",
  "checkouts",
  "waited",
  "timedOut",
  "aborted",
  "recycled",
  "invalidated",
  "leaked",
];

/** The gauges in their order; checks what holds at each moment. */
function gaugesOf(pool) {
  const stats = pool.stats();
  expect(stats.total).to.equal(stats.idle + stats.used + stats.opening + stats.closing);
  expect(stats.returning).to.be.at.most(stats.used);
  expect(stats.total).to.be.at.most(stats.max);
  expect(pool.checkedIn() + pool.checkedOut()).to.be.at.least(stats.total);
  return gauges.slice(0, -1).map((name) => stats[name]);
}

export default (test) => {
  test("a new pool has every number, and every one but its limits is 0", async () => {
    const { pool } = scriptedPool();
    expect(pool.stats()).to.deep.equal({
      ...Object.fromEntries([...gauges, "returning", ...counters].map((name) => [name, 0])),
      max: 15,
      maxIdle: 5,
      minIdle: 0,
    });
  });

  test("the gauges follow one connection through its life", async () => {
    const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const gates = { open: gate(), rollback: gate(), close: gate() };
    for (const [call, { promise }] of Object.entries(gates)) server.script[call] = () => promise;
    //                                      total idle used opening closing waiting detached
    expect(gaugesOf(pool)).to.deep.equal([0, 0, 0, 0, 0, 0, 0]);
    const caller = pool.connect();
    expect(gaugesOf(pool)).to.deep.equal([1, 0, 0, 1, 0, 0, 0]);
    const waiter = pool.connect();
    expect(gaugesOf(pool)).to.deep.equal([1, 0, 0, 1, 0, 1, 0]);
    gates.open.open();
    const lease = await caller;
    expect(gaugesOf(pool)).to.deep.equal([1, 0, 1, 0, 0, 1, 0]);
    void lease.close();
    expect(gaugesOf(pool)).to.deep.equal([1, 0, 1, 0, 0, 1, 0]);
    expect(pool.stats().returning).to.equal(1);
    gates.rollback.open();
    const second = await waiter;
    expect(gaugesOf(pool)).to.deep.equal([1, 0, 1, 0, 0, 0, 0]);
    expect(pool.stats().returning).to.equal(0);
    await second.close();
    expect(gaugesOf(pool)).to.deep.equal([1, 1, 0, 0, 0, 0, 0]);
    const disposed = pool.dispose();
    expect(gaugesOf(pool)).to.deep.equal([1, 0, 0, 0, 1, 0, 0]);
    gates.close.open();
    await disposed;
    expect(gaugesOf(pool)).to.deep.equal([0, 0, 0, 0, 0, 0, 0]);
  });

  test("the gauges follow a detached connection until its close", async () => {
    const { pool } = scriptedPool();
    const lease = await pool.connect();
    await lease.detach();
    expect(gaugesOf(pool)).to.deep.equal([0, 0, 0, 0, 0, 0, 1]);
    await lease.close();
    expect(gaugesOf(pool)).to.deep.equal([0, 0, 0, 0, 0, 0, 0]);
  });

  test("a stale connection that is being replaced is opening", async () => {
    const { pool, server } = scriptedPool();
    const gates = { terminate: gate(), open: gate() };
    await (await pool.connect()).close();
    for (const [call, { promise }] of Object.entries(gates)) server.script[call] = () => promise;
    pool.invalidateAll();
    expect(gaugesOf(pool)).to.deep.equal([1, 1, 0, 0, 0, 0, 0]);
    const caller = pool.connect();
    expect(gaugesOf(pool)).to.deep.equal([1, 0, 0, 1, 0, 0, 0]);
    gates.terminate.open();
    await settled();
    expect(gaugesOf(pool)).to.deep.equal([1, 0, 0, 1, 0, 0, 0]);
    gates.open.open();
    await caller;
    expect(gaugesOf(pool)).to.deep.equal([1, 0, 1, 0, 0, 0, 0]);
    expect(pool.stats()).to.include({ recycled: 1, opened: 2, invalidated: 0 });
  });

  test("an emptied slot counts as checked in, but neither as idle nor in the total", async () => {
    const { pool } = scriptedPool();
    const lease = await pool.connect();
    await lease.invalidate();
    expect(gaugesOf(pool)).to.deep.equal([0, 0, 0, 0, 0, 0, 0]);
    expect(counts(pool)).to.deep.equal([5, 1, -4, 0]);
  });

  test("every counter counts one thing", async () => {
    const { pool, server, clock } = scriptedPool({ poolSize: 1, maxOverflow: 0, maxWaiters: 3, timeout: "1s" });
    const changes = async (run) => {
      const before = pool.stats();
      await run();
      const after = pool.stats();
      return Object.fromEntries(
        counters.filter((name) => after[name] !== before[name]).map((name) => [name, after[name] - before[name]]),
      );
    };
    let lease;
    expect(await changes(async () => (lease = await pool.connect()))).to.deep.equal({ opened: 1, checkouts: 1 });
    expect(await changes(() => lease.close())).to.deep.equal({});
    expect(await changes(async () => (lease = await pool.connect()))).to.deep.equal({ checkouts: 1 });
    expect(
      await changes(async () => void (await Promise.all([rejection(pool.connect()), pass(clock, 1100)]))),
    ).to.deep.equal({ waited: 1, timedOut: 1 });
    expect(await changes(() => rejection(pool.connect({ timeout: 0 })))).to.deep.equal({ timedOut: 1 });
    const controller = new AbortController();
    expect(
      await changes(() => {
        const waiter = rejection(pool.connect({ signal: controller.signal }));
        controller.abort(new Error("enough"));
        return waiter;
      }),
    ).to.deep.equal({ waited: 1, aborted: 1 });
    expect(await changes(() => rejection(pool.connect({ signal: controller.signal })))).to.deep.equal({});
    expect(
      await changes(async () => {
        const waiter = pool.connect();
        await lease.close();
        lease = await waiter;
      }),
    ).to.deep.equal({ waited: 1, checkouts: 1 });
    expect(await changes(() => lease.invalidate())).to.deep.equal({ invalidated: 1 });
    server.script.open = () => {
      throw new Error("down");
    };
    expect(await changes(() => rejection(pool.connect()))).to.deep.equal({ openFailed: 1 });
    server.script.open = undefined;
    expect(await changes(async () => (await pool.connect()).close())).to.deep.equal({ opened: 1, checkouts: 1 });
    expect(await changes(() => pool.invalidateAll())).to.deep.equal({});
    expect(await changes(async () => (lease = await pool.connect()))).to.deep.equal({
      recycled: 1,
      opened: 1,
      checkouts: 1,
    });
    server.script.rollback = () => Promise.reject(new Error("reset failed"));
    expect(await changes(() => lease.close())).to.deep.equal({ invalidated: 1 });
  });

  test("stats() is a snapshot: what happens later does not change it", async () => {
    const { pool } = scriptedPool();
    const before = pool.stats();
    await pool.connect();
    expect(before).to.include({ total: 0, used: 0, opened: 0 });
    expect(pool.stats()).to.not.equal(before);
  });

  test("max is poolSize and maxOverflow together, or Infinity", async () => {
    for (const [poolSize, maxOverflow, max] of [
      [5, 10, 15],
      [1, 0, 1],
      [3, -1, Infinity],
      [0, 0, Infinity],
      [0, 7, Infinity],
      [0, -1, Infinity],
    ]) {
      expect(new QueuePool(() => ({}), { poolSize, maxOverflow }).stats().max, `${poolSize}/${maxOverflow}`).to.equal(
        max,
      );
    }
  });

  test("022 023 counts follow returns and the next connects", async () => {
    const { pool } = scriptedPool({ poolSize: 3, maxOverflow: -1 });
    const leases = await connects(pool, 6);
    for (const index of [3, 2, 1]) await leases[index].close();
    expect(counts(pool)).to.deep.equal([3, 3, 3, 3]);
    for (const index of [0, 4, 5]) await leases[index].close();
    expect(counts(pool)).to.deep.equal([3, 3, 0, 0]);
    const [first] = await connects(pool, 2);
    expect(counts(pool)).to.deep.equal([3, 1, 0, 2]);
    await first.close();
    expect(counts(pool)).to.deep.equal([3, 2, 0, 1]);
  });

  test("025 with no limit on the size there is no overflow, whatever maxOverflow says", async () => {
    for (const maxOverflow of [42, 0, -1, 1]) {
      const { pool } = scriptedPool({ poolSize: 0, maxOverflow });
      expect(pool.overflow()).to.equal(0);
      const leases = await connects(pool, 2);
      expect(counts(pool)).to.deep.equal([0, 0, 0, 2]);
      for (const lease of leases) await lease.close();
      expect(counts(pool)).to.deep.equal([0, 2, 0, 0]);
    }
  });

  test("026 with no limit on the size every connection is kept, until dispose()", async () => {
    const { pool, server } = scriptedPool({ poolSize: 0, maxOverflow: 3 });
    const leases = await connects(pool, 30);
    expect(counts(pool)).to.deep.equal([0, 0, 0, 30]);
    await Promise.all(leases.map((lease) => lease.close()));
    expect(counts(pool)).to.deep.equal([0, 30, 0, 0]);
    await pool.dispose();
    expect(counts(pool)).to.deep.equal([0, 0, 0, 0]);
    expect(server.live).to.equal(0);
  });

  test("027 a pool recreated from one without limit has none", async () => {
    const pool = scriptedPool({ poolSize: 0 }).pool.recreate();
    expect(pool.size()).to.equal(0);
    expect(pool.stats().max).to.equal(Infinity);
  });

  test("029 a connect that fails in the creator leaves the overflow as it was", async () => {
    const { pool, server } = scriptedPool({ poolSize: 2, maxOverflow: 3 });
    await connects(pool, 3);
    for (const down of [
      () => Promise.reject(new Error("down")),
      () => {
        throw new Error("down");
      },
    ]) {
      server.script.open = down;
      await rejection(pool.connect());
      expect(counts(pool)).to.deep.equal([2, 0, 1, 3]);
    }
    server.script.open = undefined;
    await connects(pool, 2);
    expect(counts(pool)).to.deep.equal([2, 0, 3, 5]);
  });

  test("030 of two returns the first is kept, the second is reset and closed", async () => {
    const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 1 });
    const [first, second] = await connects(pool, 2);
    await first.close();
    expect(counts(pool)).to.deep.equal([1, 1, 1, 1]);
    await second.close();
    expect(counts(pool)).to.deep.equal([1, 1, 0, 0]);
    expect(server.calls).to.deep.equal(["open", "open", "rollback 1", "rollback 2", "close 2"]);
  });

  test("031 detached connections do not count, however many there are", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const { pool, server } = context;
    const detached = [];
    for (let number = 0; number < 5; number++) {
      const lease = await pool.connect();
      await lease.detach();
      detached.push(lease);
    }
    await (await pool.connect()).close();
    expect(counts(pool)).to.deep.equal([1, 1, 0, 0]);
    expect(server.live).to.equal(6);
    expect(pool.stats()).to.include({ detached: 5, total: 1 });
    for (const lease of detached) await lease.close();
    expect(server.live).to.equal(1);
    await expectSound(context);
  });

  test("a slot that opens, resets or closes counts as checked out", async () => {
    const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const gates = { open: gate(), rollback: gate() };
    for (const [call, { promise }] of Object.entries(gates)) server.script[call] = () => promise;
    const caller = pool.connect();
    expect(counts(pool)).to.deep.equal([1, 0, 0, 1]);
    gates.open.open();
    const closed = (await caller).close();
    expect(counts(pool)).to.deep.equal([1, 0, 0, 1]);
    gates.rollback.open();
    await closed;
    expect(counts(pool)).to.deep.equal([1, 1, 0, 0]);
  });

  test("status() is one line that has the name and the numbers", async () => {
    const { pool } = scriptedPool({ poolSize: 2, maxOverflow: 0 });
    const [first] = await connects(pool, 2);
    const waiter = pool.connect();
    expect(pool.status()).to.equal("pool scripted: 2 in use, 0 idle, 0 opening, 0 closing, of at most 2; 1 waiting");
    await first.close();
    await (await waiter).close();
    expect(pool.status()).to.equal("pool scripted: 1 in use, 1 idle, 0 opening, 0 closing, of at most 2; 0 waiting");
  });

  test("a scope without a caller yet has zeros, whatever the first scope has", async () => {
    let key;
    const { pool } = scriptedPool({ poolSize: 2, maxOverflow: 0, scope: () => key });
    const [first] = await connects(pool, 2);
    await first.close();
    key = {};
    expect(pool.stats()).to.deep.equal({
      ...pool.stats(),
      total: 0,
      idle: 0,
      used: 0,
      opening: 0,
      closing: 0,
      waiting: 0,
      detached: 0,
      max: 2,
      opened: 2,
      checkouts: 2,
    });
    expect(counts(pool)).to.deep.equal([2, 0, -2, 0]);
    expect(pool.status()).to.include("0 in use, 0 idle");
    expect(pool.stats({ scope: "all" })).to.include({ used: 1, idle: 1 });
    await pool.use(() => {});
    expect(pool.stats()).to.include({ used: 0, idle: 1 });
    key = undefined;
    expect(pool.stats()).to.include({ used: 1, idle: 1 });
  });
};
