// timeout and maxWaiters: how long a caller may queue, and how many may. A time-out is never early, and late by at most
// 1/50 of its length or 10 ms. It covers the queue only.

import { expect } from "chai";
import { PoolError, PoolTimeoutError, QueueFullError, QueuePool } from "edgepool";
import {
  connects,
  counts,
  expectSound,
  gate,
  pass,
  rejection,
  rejectionTime,
  scriptedPool,
  settled,
  stateOf,
  virtualClock,
} from "./scripted.mjs";

/** A full pool of one, its lease out. */
async function fullPool(options) {
  const context = scriptedPool({ poolSize: 1, maxOverflow: 0, ...options });
  return { ...context, lease: await context.pool.connect() };
}

/** What the documentation promises for a time-out of `ms`. */
const latest = (ms) => ms + Math.max(ms / 50, 10);

function expectInTime(noted, startedAt, ms, note) {
  expect(noted.error, note).to.be.instanceOf(PoolTimeoutError);
  expect(noted.at - startedAt, note)
    .to.be.at.least(ms)
    .and.at.most(latest(ms));
}

export default (test) => {
  test("the error of a time-out names the connections that are being returned, and for how long", async () => {
    const { pool, server, clock, lease } = await fullPool({ timeout: "500ms" });
    const reset = gate();
    server.script.rollback = () => reset.promise;
    await pass(clock, 100);
    void lease.close();
    const noted = rejectionTime(pool.connect(), clock);
    await pass(clock, 600);
    expect(noted.error.stats).to.include({ used: 1, returning: 1 });
    expect(noted.error.longestHeld).to.deep.equal([]);
    const [, ms] = /: 1 in use \(1 being returned, for at least (\d+) ms\), 0 idle/.exec(noted.error.message);
    expect(Number(ms)).to.be.at.least(500).and.at.most(latest(500));
    expect(pool.status()).to.contain("1 in use (1 being returned), 0 idle");
    reset.open();
    await settled();
    expect(pool.stats().returning).to.equal(0);
  });

  test("043 045 a waiter is refused after the timeout with the pool's own error", async () => {
    const context = scriptedPool({ poolSize: 3, maxOverflow: 0, timeout: "2s" });
    const { pool, clock } = context;
    const leases = await connects(pool, 3);
    const noted = rejectionTime(pool.connect(), clock);
    await pass(clock, 3000);
    expectInTime(noted, 0, 2000);
    expect(pool.stats()).to.include({ waiting: 0, timedOut: 1, waited: 1, used: 3 });
    await Promise.all(leases.map((lease) => lease.close()));
    await expectSound(context);
  });

  test("a timeout of any length is never early and late by at most a fiftieth or 10 ms", async () => {
    const lengths = [
      1, 2, 3, 5, 9, 10, 33, 64, 65, 97, 100, 129, 160, 250, 319, 320, 321, 500, 1000, 1023, 1025, 4097, 10_000, 30_000,
      60_001, 600_000, 3_600_001,
    ];
    for (const ms of lengths) {
      const { pool, clock } = await fullPool({ timeout: `${ms}ms` });
      clock.tick(12_345);
      const start = clock.now;
      const noted = rejectionTime(pool.connect(), clock);
      await pass(clock, latest(ms) + 1);
      expectInTime(noted, start, ms, `${ms} ms`);
    }
  });

  test("the same holds for the timeout of one call", async () => {
    for (const ms of [1, 7, 50, 129, 333, 1000, 45_678]) {
      for (const poolsOwn of ["1ms", "30s", null]) {
        const { pool, clock } = await fullPool({ timeout: poolsOwn });
        const noted = rejectionTime(pool.connect({ timeout: `${ms}ms` }), clock);
        await pass(clock, latest(ms) + 1);
        expectInTime(noted, 0, ms, `${ms} ms in a pool of ${poolsOwn}`);
      }
    }
  });

  test("037 each of many waiters that come at odd times has its own full time", async () => {
    const { pool, clock } = await fullPool({ timeout: "1s" });
    const noted = [];
    for (let number = 0; number < 200; number++) {
      noted.push([clock.now, rejectionTime(pool.connect(), clock)]);
      await pass(clock, (number * 7) % 23, 3);
    }
    await pass(clock, 1100);
    for (const [start, note] of noted) expectInTime(note, start, 1000, `started at ${start}`);
    expect(pool.stats()).to.include({ waiting: 0, timedOut: 200 });
  });

  test("timeouts of single calls end each in its time, in whatever order they were asked for", async () => {
    const { pool, clock } = await fullPool({ timeout: "20s" });
    const lengths = [5000, 100, 60_000, 10, undefined, 700, 100, 2500, undefined, 15, 59_000, 1];
    const noted = [];
    for (const ms of lengths) {
      noted.push([
        clock.now,
        ms ?? 20_000,
        rejectionTime(pool.connect(ms === undefined ? undefined : { timeout: `${ms}ms` }), clock),
      ]);
      await pass(clock, 3, 3);
    }
    await pass(clock, 70_000);
    for (const [start, ms, note] of noted) expectInTime(note, start, ms, `${ms} ms from ${start}`);
  });

  test("a caller that is served in time is not refused afterwards", async () => {
    const { pool, clock, lease } = await fullPool({ timeout: "1s" });
    const waiter = pool.connect();
    await pass(clock, 999);
    await lease.close();
    const served = await waiter;
    await pass(clock, 5000);
    expect(served.isValid).to.equal(true);
    expect(pool.stats()).to.include({ timedOut: 0, used: 1 });
  });

  test("a time-out in the middle of the queue leaves the others in their order", async () => {
    const { pool, clock, lease } = await fullPool({ timeout: "30s" });
    const order = [];
    const take = (name) => pool.connect().then(async (mine) => (order.push(name), mine.close()));
    const first = take("first");
    const refused = rejectionTime(pool.connect({ timeout: "20ms" }), clock);
    const last = take("last");
    await pass(clock, 50);
    expect(refused.error).to.be.instanceOf(PoolTimeoutError);
    expect(pool.stats().waiting).to.equal(2);
    await lease.close();
    await Promise.all([first, last]);
    expect(order).to.deep.equal(["first", "last"]);
  });

  test("046 a timeout of 0 does not queue at all: an idle or a new connection, or the error at once", async () => {
    const { pool, clock } = scriptedPool({ poolSize: 1, maxOverflow: 0, timeout: 0 });
    const lease = await pool.connect();
    const error = await rejection(pool.connect());
    expect(error).to.be.instanceOf(PoolTimeoutError);
    expect(error).to.include({ timeoutMs: 0, waitedMs: 0, step: "wait" });
    expect([clock.now, clock.set, clock.reads]).to.deep.equal([0, 0, 0]);
    expect(pool.stats()).to.include({ timedOut: 1, waited: 0, waiting: 0 });
    await lease.close();
    await (await pool.connect()).close();
  });

  test("a call's own 0 refuses at once and its own null waits on, whatever the pool's timeout", async () => {
    const { pool, clock, lease } = await fullPool({ timeout: "1s" });
    expect(await rejection(pool.connect({ timeout: 0 }))).to.be.instanceOf(PoolTimeoutError);
    const patient = pool.connect({ timeout: null });
    await pass(clock, 10 * 86_400_000);
    expect(await stateOf(patient)).to.equal("pending");
    await lease.close();
    await (await patient).close();
  });

  test("a pool's timeout of 0 lets a call wait that asks to", async () => {
    const { pool, lease } = await fullPool({ timeout: 0 });
    const waiter = pool.connect({ timeout: "1s" });
    await lease.close();
    expect((await waiter).connection.id).to.equal(1);
  });

  test("a timeout of null waits without end: a month and more", async () => {
    const { pool, clock, lease } = await fullPool({ timeout: null });
    expect(pool.timeout()).to.equal(null);
    const waiter = pool.connect();
    await pass(clock, 60 * 86_400_000);
    expect(await stateOf(waiter)).to.equal("pending");
    expect(clock.set).to.be.at.most(20);
    await lease.close();
    await (await waiter).close();
    expect(clock.due.size).to.equal(0);
  });

  test("a waiter without limit leaves the others theirs", async () => {
    const { pool, clock } = await fullPool({ timeout: "1s" });
    const patient = pool.connect({ timeout: null });
    const noted = rejectionTime(pool.connect(), clock);
    await pass(clock, 1100);
    expectInTime(noted, 0, 1000);
    expect(await stateOf(patient)).to.equal("pending");
  });

  test("059 the timeout covers the queue, not the opening", async () => {
    const { pool, server, clock } = scriptedPool({ poolSize: 1, maxOverflow: 0, timeout: "50ms" });
    const opening = gate();
    server.script.open = () => opening.promise;
    const caller = pool.connect();
    await pass(clock, 200);
    opening.open();
    expect((await caller).connection.id).to.equal(1);
  });

  test("the timeout ends where the queue ends: a woken waiter may open for longer", async () => {
    const { pool, server, clock, lease } = await fullPool({ timeout: "50ms" });
    const opening = gate();
    server.script.open = () => opening.promise;
    const waiter = pool.connect();
    await pass(clock, 40);
    await lease.detach();
    await pass(clock, 5000);
    expect(await stateOf(waiter)).to.equal("pending");
    opening.open();
    expect((await waiter).connection.id).to.equal(2);
  });

  test("033 the error says where the caller stood and how the pool did", async () => {
    const { pool, clock } = scriptedPool({ poolSize: 2, maxOverflow: 1, timeout: "10ms" });
    await connects(pool, 3);
    const noted = rejectionTime(pool.connect(), clock);
    const other = pool.connect({ timeout: "5s" });
    await pass(clock, 100);
    const { error } = noted;
    expect(error).to.be.instanceOf(PoolTimeoutError).and.instanceOf(PoolError);
    expect(error).to.include({
      code: "ERR_POOL_TIMEOUT",
      name: "PoolTimeoutError",
      pool: "scripted",
      size: 2,
      overflow: 1,
      timeoutMs: 10,
      step: "wait",
    });
    expect(error.waitedMs).to.be.at.least(10);
    expect(error.stats).to.deep.include({
      total: 3,
      used: 3,
      idle: 0,
      opening: 0,
      closing: 0,
      waiting: 1,
      max: 3,
      timedOut: 1,
    });
    expect(error.cause).to.equal(undefined);
    for (const part of ["scripted", "10 ms", "timeout", "3 in use", "at most 3 connections", "others waiting: 1"])
      expect(error.message).to.contain(part);
    expect(await stateOf(other)).to.equal("pending");
  });

  test("the error names the pool's timeout or the call's own, whichever ran out", async () => {
    const { pool, clock } = await fullPool({ timeout: "1s" });
    const own = rejectionTime(pool.connect({ timeout: "250ms" }), clock);
    const pools = rejectionTime(pool.connect({}), clock);
    await pass(clock, 1100);
    expect(own.error.timeoutMs).to.equal(250);
    expect(pools.error.timeoutMs).to.equal(1000);
  });

  test("the error lists for how long the longest-held leases have been out, five at most", async () => {
    const { pool, clock } = scriptedPool({ poolSize: 7, maxOverflow: 0, timeout: "1s" });
    const taken = [];
    for (let number = 0; number < 7; number++) {
      await pool.connect();
      taken.push(clock.now);
      // A refusal reads the clock: from here on the pool knows since when that lease is out.
      const refused = pool.connect({ timeout: 0, deadline: "1s" });
      if (number < 6) await (await refused).detach();
      else await rejection(refused);
      await pass(clock, 100);
    }
    const noted = rejectionTime(pool.connect(), clock);
    await pass(clock, 2000);
    const held = noted.error.longestHeld;
    expect(held).to.have.length(5);
    held.forEach(({ ms }, place) => {
      expect(ms).to.be.at.most(noted.at - taken[place]);
      if (place > 0) expect(ms).to.be.at.most(held[place - 1].ms);
    });
    expect(held[0].ms).to.be.at.least(1000);
    expect(noted.error.message).to.contain(`${held[0].ms} ms`);
  });

  test("maxWaiters refuses one caller too many at once, and lets the next in when a place is free", async () => {
    const { pool, lease, clock } = await fullPool({ maxWaiters: 2 });
    const waiters = [pool.connect(), pool.connect()];
    const error = await rejection(pool.connect());
    expect(error).to.be.instanceOf(QueueFullError).and.instanceOf(PoolError);
    expect(error).to.include({ code: "ERR_POOL_QUEUE_FULL", name: "QueueFullError", pool: "scripted" });
    for (const part of ["scripted", "callers waiting: 2", "maxWaiters: 2", "1 of at most 1"])
      expect(error.message).to.contain(part);
    expect(clock.now).to.equal(0);
    expect(pool.stats()).to.include({ waiting: 2, waited: 2, timedOut: 0 });
    await lease.close();
    const third = pool.connect();
    for (const waiter of [...waiters, third]) await (await waiter).close();
  });

  test("maxWaiters of 0 lets no caller wait", async () => {
    const { pool, lease } = await fullPool({ maxWaiters: 0 });
    expect(await rejection(pool.connect())).to.be.instanceOf(QueueFullError);
    await lease.close();
    expect((await pool.connect()).connection.id).to.equal(1);
  });

  test("a caller that leaves the queue through a signal or a time-out makes room in it", async () => {
    const { pool, clock } = await fullPool({ maxWaiters: 1, timeout: "1s" });
    const controller = new AbortController();
    const aborted = rejection(pool.connect({ signal: controller.signal }));
    controller.abort(new Error("enough"));
    await aborted;
    const noted = rejectionTime(pool.connect(), clock);
    expect(await rejection(pool.connect())).to.be.instanceOf(QueueFullError);
    await pass(clock, 1100);
    expectInTime(noted, 0, 1000);
    const last = pool.connect();
    expect(await stateOf(last)).to.equal("pending");
  });

  test("a caller that would be refused for want of time is refused so even if the queue is full", async () => {
    const { pool } = await fullPool({ maxWaiters: 0 });
    expect(await rejection(pool.connect({ timeout: 0 }))).to.be.instanceOf(PoolTimeoutError);
  });

  test("a clock that steps back stands still until it has caught up: nothing ends early", async () => {
    const { clock, poolClock } = virtualClock();
    let stepMs = 0;
    const pool = new QueuePool(() => ({}), {
      poolSize: 1,
      maxOverflow: 0,
      timeout: "1s",
      resetOnReturn: "none",
      clock: { ...poolClock, now: () => clock.now + stepMs },
    });
    const lease = await pool.connect();
    const noted = rejectionTime(pool.connect(), clock);
    await pass(clock, 300);
    stepMs = -500;
    await pass(clock, 2000);
    expect(noted.error).to.be.instanceOf(PoolTimeoutError);
    expect(noted.at)
      .to.be.at.least(1000)
      .and.at.most(500 + latest(1000));
    await lease.close();
    expect(counts(pool)).to.deep.equal([1, 1, 0, 0]);
  });

  test("a clock with fractions of milliseconds ends nothing early", async () => {
    for (const phase of [0.1, 0.5, 0.999]) {
      for (const ms of [1, 10, 129, 1000]) {
        const { clock, poolClock } = virtualClock();
        let fraction = phase;
        const now = () => clock.now + fraction;
        const pool = new QueuePool(() => ({}), {
          poolSize: 1,
          maxOverflow: 0,
          timeout: `${ms}ms`,
          clock: { ...poolClock, now },
        });
        await pool.connect();
        const start = now();
        const noted = rejectionTime(pool.connect(), clock);
        // The fraction shrinks: the time that has passed is a little less than the host's timer says.
        await pass(clock, 1);
        fraction = 0;
        await pass(clock, latest(ms) + 2);
        expect(noted.error, `${ms} ms`).to.be.instanceOf(PoolTimeoutError);
        expect(noted.at - start, `${ms} ms`)
          .to.be.at.least(ms - phase)
          .and.at.most(latest(ms) + 1);
      }
    }
  });

  test("a duration of a fraction of a millisecond is rounded up", async () => {
    const { pool, clock } = await fullPool({ timeout: "1.2ms" });
    const noted = rejectionTime(pool.connect(), clock);
    await pass(clock, 20);
    expectInTime(noted, 0, 1.2);
  });

  test("ten thousand waiters that time out together all do, and the pool goes on", async () => {
    const context = await fullPool({ timeout: "1s" });
    const { pool, clock, lease } = context;
    const waiters = Promise.allSettled(Array.from({ length: 10_000 }, () => pool.connect()));
    await pass(clock, 1100);
    const results = await waiters;
    expect(results.every(({ reason }) => reason instanceof PoolTimeoutError)).to.equal(true);
    expect(pool.stats()).to.include({ timedOut: 10_000, waiting: 0 });
    await lease.close();
    await settled();
    await expectSound(context);
  });
};
