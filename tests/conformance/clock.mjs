// When the pool uses time: never in a constructor, never without waiters, and through one timer however many wait.

import { expect } from "chai";
import { QueuePool } from "edgepool";
import {
  connects,
  gate,
  never,
  pass,
  rejection,
  rejectionTime,
  scriptedPool,
  settled,
  stateOf,
  virtualClock,
} from "./scripted.mjs";

/** Replaces properties while `run` runs: `[object, name, value]` each. */
function replaced(properties, run) {
  const before = properties.map(([object, name]) => Object.getOwnPropertyDescriptor(object, name));
  properties.forEach(([object, name, value]) =>
    Object.defineProperty(object, name, { value, configurable: true, writable: true }),
  );
  try {
    return run();
  } finally {
    properties.forEach(([object, name], index) =>
      before[index] === undefined ? delete object[name] : Object.defineProperty(object, name, before[index]),
    );
  }
}

export default (test) => {
  test("a constructor sets no timer, reads no clock and draws no random number, the host's included", async () => {
    const used = [];
    const note = (name) => [name, () => (used.push(name), 0)];
    const host = [
      ...["setTimeout", "setInterval", "queueMicrotask"].map((name) => [globalThis, ...note(name)]),
      [Date, ...note("now")],
      [Math, ...note("random")],
      [performance, ...note("now")],
      [crypto, ...note("getRandomValues")],
      [crypto, ...note("randomUUID")],
    ];
    const { clock, poolClock } = virtualClock();
    const pools = replaced(host, () => {
      const own = new QueuePool(() => ({}), { clock: poolClock, deadline: "1s" });
      return [new QueuePool(() => ({})), own, own.recreate()];
    });
    expect(pools).to.have.length(3);
    expect(used).to.deep.equal([]);
    expect([clock.reads, clock.set]).to.deep.equal([0, 0]);
  });

  test("reading numbers uses no time either", async () => {
    const { pool, clock } = scriptedPool();
    await pool.connect();
    pool.stats();
    pool.status();
    expect([pool.size(), pool.checkedIn(), pool.overflow(), pool.checkedOut(), pool.timeout()]).to.deep.equal([
      5, 0, -4, 1, 30,
    ]);
    expect([clock.reads, clock.set]).to.deep.equal([0, 0]);
  });

  test("while no caller waits for anything, no timer runs and no clock is read", async () => {
    const { pool, clock } = scriptedPool();
    for (let round = 0; round < 3; round++) {
      const leases = await connects(pool, 15);
      await Promise.all(leases.map((lease) => lease.close()));
    }
    pool.invalidateAll();
    await pool.use(() => {});
    expect([clock.reads, clock.set]).to.deep.equal([0, 0]);
    await pool.dispose();
    expect(clock.due.size).to.equal(0);
  });

  test("one timer serves every waiter, opening and reset, whatever their times", async () => {
    const { pool, server, clock } = scriptedPool({ poolSize: 3, maxOverflow: 0 });
    const most = { timers: 0 };
    const look = () => (most.timers = Math.max(most.timers, clock.due.size));
    const [first] = await connects(pool, 2);
    server.script.open = never;
    const callers = [pool.connect()];
    for (let number = 0; number < 100; number++) {
      callers.push(
        pool.connect(number % 2 === 0 ? undefined : { timeout: `${number * 10}ms`, deadline: `${number * 7 + 1}ms` }),
      );
      look();
      await pass(clock, 1, 3);
      look();
    }
    server.script.rollback = never;
    void first.close();
    await settled();
    look();
    void Promise.allSettled(callers);
    await pass(clock, 100_000);
    expect(most.timers).to.equal(1);
    expect(pool.stats()).to.include({ waiting: 0 });
    expect(clock.due.size).to.equal(0);
  });

  test("the timer is gone when the last waiter is served, refused or aborted", async () => {
    const { pool, clock } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    let lease = await pool.connect();
    const served = pool.connect();
    expect(clock.due.size).to.equal(1);
    await lease.close();
    lease = await served;
    expect(clock.due.size).to.equal(0);

    const controller = new AbortController();
    const aborted = rejection(pool.connect({ signal: controller.signal }));
    expect(clock.due.size).to.equal(1);
    controller.abort(new Error("enough"));
    await aborted;
    expect(clock.due.size).to.equal(0);

    const late = rejection(pool.connect({ timeout: "1s" }));
    expect(clock.due.size).to.equal(1);
    await pass(clock, 1100);
    await late;
    expect(clock.due.size).to.equal(0);
    await lease.close();
  });

  test("the timer is gone when the last call into the driver has ended", async () => {
    const { pool, server, clock } = scriptedPool();
    const gates = { open: gate(), rollback: gate() };
    server.script.open = () => gates.open.promise;
    server.script.rollback = () => gates.rollback.promise;
    const caller = pool.connect();
    expect(clock.due.size).to.equal(1);
    gates.open.open();
    const lease = await caller;
    expect(clock.due.size).to.equal(0);
    const closed = lease.close();
    expect(clock.due.size).to.equal(1);
    gates.rollback.open();
    await closed;
    expect(clock.due.size).to.equal(0);
  });

  test("a busy queue sets few timers: far fewer than it has callers", async () => {
    const { pool, clock } = scriptedPool({ poolSize: 1, maxOverflow: 0, resetOnReturn: "none" });
    await pool.connect();
    const callers = Array.from({ length: 5000 }, () => pool.connect());
    void Promise.allSettled(callers);
    expect(clock.set).to.be.at.most(2);
    expect(clock.reads).to.be.at.most(2);
    await pass(clock, 40_000);
    expect(pool.stats().timedOut).to.equal(5000);
    expect(clock.set).to.be.at.most(20);
  });

  test("a checkout that is served at once reads the clock only for a deadline that is finite", async () => {
    const { pool, clock } = scriptedPool();
    await pool.connect({ timeout: "1s" });
    await pool.connect({ deadline: null });
    expect([clock.reads, clock.set]).to.deep.equal([0, 0]);
    await pool.connect({ deadline: "1s" });
    expect(clock.reads).to.be.at.least(1);
    expect(clock.set).to.equal(0);
  });

  test("timers that fire late or early do no harm", async () => {
    const { clock, poolClock } = virtualClock();
    for (const factor of [0.1, 0.9, 1.5]) {
      const skewed = { ...poolClock, setTimeout: (run, ms) => poolClock.setTimeout(run, Math.ceil(ms * factor)) };
      const pool = new QueuePool(() => ({}), {
        poolSize: 1,
        maxOverflow: 0,
        timeout: "1s",
        resetOnReturn: "none",
        clock: skewed,
      });
      await pool.connect();
      const start = clock.now;
      const noted = rejectionTime(pool.connect(), clock);
      await pass(clock, 3000);
      expect(noted.at - start, String(factor)).to.be.at.least(1000);
    }
    expect(clock.due.size).to.equal(0);
  });

  test("a clock that goes back costs nothing, or a small step at most itself", async () => {
    for (const [back, costs] of [
      [50, 50],
      [1_500, 0],
      [3_600_000, 0],
    ]) {
      const { clock, poolClock } = virtualClock();
      let offset = 0;
      const moved = { ...poolClock, now: () => poolClock.now() + offset };
      const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0, timeout: "1s", clock: moved });
      await pass(clock, 10_000);
      const lease = await pool.connect();
      const waiting = rejectionTime(pool.connect(), clock);
      await pass(clock, 500);
      offset = -back;
      await pass(clock, 499);
      expect(waiting.error).to.equal(undefined);
      await pass(clock, 21 + costs);
      expect(waiting.error?.code).to.equal("ERR_POOL_TIMEOUT");
      expect(waiting.error.waitedMs).to.be.at.least(900).and.at.most(1_020);
      const next = rejectionTime(pool.connect(), clock);
      await pass(clock, 1_020);
      expect(next.error?.code).to.equal("ERR_POOL_TIMEOUT");
      await lease.close();
    }
  });

  test("a timer that rings tells the time, if the clock stands still", async () => {
    for (const ms of [50, 1_000, 30_000]) {
      const { clock, poolClock } = virtualClock();
      const still = { ...poolClock, now: () => 12_345.6 };
      const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0, timeout: `${ms}ms`, clock: still });
      const lease = await pool.connect();
      const waiting = rejectionTime(pool.connect(), clock);
      await pass(clock, ms - 6);
      expect(waiting.error, `${ms} ms`).to.equal(undefined);
      await pass(clock, 6 + Math.max(ms / 50, 10));
      expect(waiting.error?.code, `${ms} ms`).to.equal("ERR_POOL_TIMEOUT");
      await lease.close();
    }
  });

  test("a timer that rings tells its own time once, and not that of a timer that was set since", async () => {
    let atNext = () => {};
    const { clock, poolClock } = virtualClock();
    const { pool } = scriptedPool({
      poolSize: 1,
      maxOverflow: 0,
      timeout: "8s",
      clock: {
        ...poolClock,
        now() {
          const run = atNext;
          atNext = () => {};
          run();
          return poolClock.now();
        },
      },
    });
    await pool.connect();
    const waiter = rejectionTime(pool.connect(), clock);
    // The reading of each ring calls the pool, which sets another timer.
    for (let round = 0; round < 10; round++) {
      atNext = () => void pool.connect({ timeout: "4s" }).catch(() => {});
      await pass(clock, 300);
    }
    await pass(clock, 4_990);
    expect(waiter.error).to.equal(undefined);
    await pass(clock, 200);
    expect(waiter.error?.code).to.equal("ERR_POOL_TIMEOUT");
    await pool.close({ timeout: 0 });
  });

  test("a reading that is no finite number counts for nothing", async () => {
    for (const reading of [NaN, Infinity, -Infinity, 1e300, undefined, "x", null]) {
      const { clock, poolClock } = virtualClock();
      let isOdd = false;
      const odd = { ...poolClock, now: () => (isOdd ? reading : poolClock.now()) };
      const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0, timeout: "1s", clock: odd });
      const lease = await pool.connect();
      const waiting = rejectionTime(pool.connect(), clock);
      await pass(clock, 10);
      isOdd = true;
      await pass(clock, 100);
      isOdd = false;
      await pass(clock, 800);
      expect(waiting.error, String(reading)).to.equal(undefined);
      await pass(clock, 1_000);
      expect(waiting.error?.code, String(reading)).to.equal("ERR_POOL_TIMEOUT");
      await lease.close();
    }
  });

  test("a time that ends later keeps the timer of the host, and ends neither late nor early", async () => {
    const { clock, poolClock } = virtualClock();
    let count = 0;
    const counting = { ...poolClock, setTimeout: (run, ms) => (count++, poolClock.setTimeout(run, ms)) };
    const options = { poolSize: 2, maxOverflow: 0, resetOnReturn: "none", idleTimeout: "10s", clock: counting };
    const pool = new QueuePool(() => ({}), { ...options, holdLimit: "1m" });
    const leases = [await pool.connect(), await pool.connect()];
    for (let round = 0; round < 50; round++) {
      const waiter = pool.connect({ timeout: "2s" });
      await leases.shift().close();
      leases.push(await waiter);
    }
    expect(count).to.be.below(10);
    const waiting = rejectionTime(pool.connect({ timeout: "2s" }), clock);
    await pass(clock, 1_900);
    expect(waiting.error).to.equal(undefined);
    await pass(clock, 200);
    expect(waiting.error?.code).to.equal("ERR_POOL_TIMEOUT");
    await Promise.all(leases.map((lease) => lease.close()));
    await pass(clock, 9_900);
    expect(pool.stats().idle).to.equal(2);
    await pass(clock, 300);
    expect([pool.stats().idle, clock.due.size]).to.deep.equal([0, 0]);
  });

  test("the timer holds the process while a caller waits, and not for anything else", async () => {
    const { clock, poolClock } = virtualClock();
    let held;
    const handles = new Map();
    const referring = {
      ...poolClock,
      setTimeout(run, ms) {
        const handle = { ref: () => (held = true), unref: () => (held = false) };
        handles.set(handle, poolClock.setTimeout(run, ms));
        return handle;
      },
      clearTimeout: (handle) => poolClock.clearTimeout(handles.get(handle)),
    };
    const gates = { open: gate(), close: gate() };
    const pool = new QueuePool(() => gates.open.promise, {
      poolSize: 1,
      maxOverflow: 0,
      clock: referring,
      resetOnReturn: "none",
      idleTimeout: null,
    });
    const caller = pool.connect();
    expect(held).to.equal(true);
    gates.open.open({ close: () => gates.close.promise });
    const lease = await caller;
    const waiter = pool.connect({ timeout: null });
    expect(held).to.equal(true);
    await lease.close();
    await (await waiter).close();
    expect(clock.due.size).to.equal(0);
    const disposed = pool.dispose();
    expect([held, clock.due.size]).to.deep.equal([false, 1]);
    gates.close.open();
    await disposed;
    expect(clock.due.size).to.equal(0);
  });

  test("a clock whose timers cannot be set costs the caller an error, never the pool", async () => {
    const { clock, poolClock } = virtualClock();
    let isForbidden = true;
    const forbidding = {
      ...poolClock,
      setTimeout(run, ms) {
        if (isForbidden) throw new Error("timers are forbidden here");
        return poolClock.setTimeout(run, ms);
      },
    };
    const lines = [];
    const logger = {
      debug() {},
      info() {},
      warn: (message) => lines.push(message),
      error: (message) => lines.push(message),
    };
    const pool = new QueuePool(() => ({}), {
      poolSize: 1,
      maxOverflow: 0,
      timeout: "1s",
      resetOnReturn: "none",
      clock: forbidding,
      logger,
    });
    const lease = await pool.connect();
    const waiter = pool.connect();
    expect(await stateOf(waiter)).to.equal("pending");
    expect(lines).to.have.length(1);
    expect(lines[0]).to.contain("timer");
    await lease.close();
    const second = await waiter;
    // Once timers are allowed, the next caller's time counts.
    isForbidden = false;
    const start = clock.now;
    const noted = rejectionTime(pool.connect(), clock);
    await pass(clock, 1100);
    expect(noted.at - start).to.be.at.least(1000);
    await second.close();
    await pool.use(() => {});
  });
};
