// Every promise that a call into the pool has settled is settled before any foreign code runs, and what the pool does
// on its own account starts from one loop, however much of it there is.

import { expect } from "chai";
import { DisconnectionError, PoolClosedError, PoolTimeoutError, QueuePool, StaticPool } from "edgepool";
import {
  connects,
  expectSound,
  gate,
  isWorkers,
  Log,
  never,
  pass,
  rejection,
  scriptedPool,
  settled,
  stateOf,
  virtualClock,
} from "./scripted.mjs";

/** An AbortSignal whose every method calls back. */
function hostileSignal(act) {
  const controller = new AbortController();
  const { signal } = controller;
  return {
    controller,
    get aborted() {
      return signal.aborted;
    },
    get reason() {
      return signal.reason;
    },
    addEventListener(...parameters) {
      signal.addEventListener(...parameters);
      act("add");
    },
    removeEventListener(...parameters) {
      signal.removeEventListener(...parameters);
      act("remove");
    },
  };
}

export default (test) => {
  test("a close listener of dispose() that asks for a connection takes no waiter's place", async () => {
    const context = scriptedPool({ poolSize: 5, maxOverflow: 0, maxConnecting: 1, timeout: "1s", driverTimeout: "3s" });
    const { pool, server, clock } = context;
    const leases = await connects(pool, 5);
    await leases[0].record.close();
    await leases[1].record.close();
    for (const lease of leases) await lease.close();
    const served = await connects(pool, 2);
    server.script.open = never;
    const asked = [];
    pool.on("close", () => void asked.push(rejection(pool.connect()), rejection(pool.connect())), { once: true });
    const disposed = pool.dispose();
    await pass(clock, 500);
    await disposed;
    expect(asked).to.have.length(2);
    expect(pool.stats()).to.include({ used: 2, opening: 1, waiting: 1 });
    await pass(clock, 4_000);
    for (const caller of asked) expect(await caller).to.be.instanceOf(PoolTimeoutError);
    expect(served.map(({ connection }) => connection.id)).to.deep.equal([3, 4]);
    for (const lease of served) await lease.close();
    await expectSound(context);
  });

  if (!isWorkers) {
    test("a scope that ends in the turn in which its waiter is woken refuses that waiter", async () => {
      const ways = {
        "a checkout listener": { events: { checkout() {} } },
        "a soft invalidation": {},
        "a ping": { prePing: true, dialect: { doPing: () => true } },
      };
      for (const [way, options] of Object.entries(ways)) {
        const key = {};
        const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 0, scope: () => key, ...options });
        const lease = await pool.connect();
        const waiter = pool.connect();
        await settled();
        if (way === "a soft invalidation") await lease.invalidate(undefined, { soft: true });
        void lease.close();
        void pool.endScope(key);
        await settled();
        const result = await waiter.catch((error) => error);
        if (result instanceof PoolClosedError) expect(server.live, way).to.equal(0);
        else {
          expect(result?.isValid, way).to.equal(true);
          await result.close();
        }
        const end = pool.close();
        await settled();
        await end;
        expect(server.live, way).to.equal(0);
      }
    });
  }

  for (const isAsync of [false, true]) {
    const close = isAsync ? () => Promise.resolve() : () => {};
    const how = isAsync ? "asynchronous" : "synchronous";

    test(`all of 5,000 closes that are due in one tick happen, with a driver that is ${how}`, async () => {
      const context = scriptedPool({ poolSize: 5_000, maxOverflow: 0, idleTimeout: "30s", resetOnReturn: "none" });
      const { pool, server, clock, log } = context;
      server.script.close = close;
      for (const lease of await connects(pool, 5_000)) void lease.close();
      await pass(clock, 40_000, 10);
      expect(server.live).to.equal(0);
      expect(pool.stats()).to.include({ total: 0, closing: 0 });
      expect(log.of("error")).to.deep.equal([]);
      await expectSound(context);
    });

    test(`all of 5,000 leases that close() does not wait for are ended, with a driver that is ${how}`, async () => {
      const context = scriptedPool({ poolSize: 5_000, maxOverflow: 0 });
      const { pool, server, log } = context;
      server.script.terminate = close;
      await connects(pool, 5_000);
      const end = pool.close({ timeout: 0 });
      await settled();
      await end;
      expect(server.live).to.equal(0);
      expect(server.closedTwice).to.equal(0);
      expect(log.of("error")).to.deep.equal([]);
    });
  }

  test("a call that outlasts its time in its synchronous part, and then hangs, has timed out", async () => {
    const places = ["open", "rollback", "close", "checkout", "ping", "finalize"];
    for (const place of places) {
      let isBad = false;
      const dialect = {
        doPing: () => hang("ping") ?? true,
        doRollback: (connection) => hang("rollback") ?? connection.rollback(),
        doClose: (connection) => {
          const answer = connection.close();
          return hang("close") ?? answer;
        },
        doTerminate: (connection) => connection.terminate(),
      };
      // The clock goes on while the call does not return, and no timer of the host can ring.
      let frozenMs = 0;
      const { clock: time, poolClock } = virtualClock();
      const context = scriptedPool({
        clock: { ...poolClock, now: () => time.now + frozenMs },
        poolSize: 1,
        maxOverflow: 0,
        driverTimeout: "30s",
        pingTimeout: "5s",
        timeout: "5s",
        prePing: true,
        dialect,
        events: { checkout: () => hang("checkout") },
      });
      const { pool, server } = context;
      const clock = time;
      server.script.open = () => hang("open");
      const ask = (timeout) =>
        pool.connect({ timeout }).then(
          (lease) => lease.close(),
          () => {},
        );
      const hang = (where) => {
        if (!isBad || where !== place) return undefined;
        isBad = false;
        void ask("10s");
        frozenMs += 31_000;
        // Anything that looks at the clock while the call has not returned.
        void ask("1ms");
        void ask("1ms");
        return never();
      };
      if (place !== "open") await (await pool.connect()).close();
      isBad = true;
      const first = place === "close" ? pool.dispose() : pool.connect();
      await settled();
      const lease = await Promise.race([first.catch(() => undefined), settled()]);
      if (lease !== undefined) {
        if (place === "finalize") lease.record.finalize(() => hang("finalize"));
        void lease.close();
      }
      await pass(clock, 200_000);
      expect(isBad, `${place} was called`).to.equal(false);
      void first.then(
        (late) => late?.close(),
        () => {},
      );
      const next = pool.connect();
      await pass(clock, 60_000);
      expect(await stateOf(next), place).to.equal("fulfilled");
      await (await next).close();
      expect(pool.stats(), place).to.include({ used: 0, opening: 0, closing: 0 });
      const end = pool.close({ timeout: "1s" });
      await pass(clock, 2_000);
      await end;
      expect(clock.due.size, place).to.equal(0);
      expect(server.closedTwice, place).to.equal(0);
    }
  });

  test("a logger that asks for connections at a hand-over takes no waiter's place", async () => {
    const context = scriptedPool({ poolSize: 2, maxOverflow: 0, timeout: "1s", echo: "debug" });
    const { pool, clock, log } = context;
    const leases = await connects(pool, 2);
    const waiter = pool.connect();
    const asked = [];
    const note = log.debug;
    log.debug = (message) => {
      note(message);
      if (!message.includes("is checked out") || asked.length >= 2) return;
      asked.push(pool.connect(), pool.connect());
    };
    await leases[0].close();
    const own = await waiter;
    expect(own.isValid).to.equal(true);
    expect(asked).to.have.length(2);
    await pass(clock, 2_000);
    for (const promise of asked) expect(await rejection(promise)).to.be.instanceOf(PoolTimeoutError);
    await own.close();
    await leases[1].close();
    await expectSound(context);
  });

  test("a signal that calls the pool while it is listened to, or left, takes no waiter's place", async () => {
    for (const moment of ["add", "remove"]) {
      for (const end of ["a grant", "a refusal", "an abort"]) {
        const context = scriptedPool({ poolSize: 1, maxOverflow: 0, timeout: "1s" });
        const { pool, clock } = context;
        const lease = await pool.connect();
        const asked = [];
        const signal = hostileSignal((when) => {
          if (when === moment && asked.length < 2) asked.push(pool.connect());
        });
        const waiter = pool.connect({ signal });
        const other = pool.connect();
        if (end === "a grant") await lease.close();
        if (end === "an abort") signal.controller.abort(new Error("enough"));
        if (end === "a refusal") await pass(clock, 2_000);
        const own = await waiter.catch((error) => error);
        if (end === "a grant") {
          expect(own.isValid, moment).to.equal(true);
          await own.close();
        } else expect(own, moment).to.be.instanceOf(Error);
        await pass(clock, 100);
        await lease.close();
        for (const promise of [other, ...asked]) {
          await Promise.race([promise, pass(clock, 2_000)]).catch(() => {});
          await promise.then(
            (each) => each.close(),
            () => {},
          );
        }
        await expectSound(context, `${moment}, ${end}`);
      }
    }
  });

  test("a signal that refuses a listener costs its caller the lease, and the pool nothing", async () => {
    const refusal = new Error("no listeners here");
    const signal = {
      aborted: false,
      addEventListener() {
        throw refusal;
      },
      removeEventListener() {},
    };
    for (const isBusy of [false, true]) {
      const context = scriptedPool({ poolSize: 1, maxOverflow: 0, driverTimeout: null });
      const { pool, log } = context;
      const lease = isBusy ? await pool.connect() : undefined;
      expect(await rejection(pool.connect({ signal }))).to.equal(refusal);
      await lease?.close();
      await settled();
      expect(pool.stats()).to.include({ used: 0, opening: 0, waiting: 0 });
      expect(log.of("error")).to.deep.equal([]);
      await expectSound(context);
    }
  });

  test("a signal that is aborted while its caller joins the queue refuses that caller", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0, driverTimeout: null });
    const { pool, server } = context;
    const lease = await pool.connect();
    // A signal of its own: it is aborted as the pool adds its listener, so that no event follows.
    const signal = {
      aborted: false,
      reason: new Error("gone"),
      addEventListener() {
        this.aborted = true;
      },
      removeEventListener() {},
    };
    expect(await rejection(pool.connect({ signal }))).to.equal(signal.reason);
    expect(pool.stats()).to.include({ waiting: 0, aborted: 1 });
    await lease.close();
    expect(server.live).to.equal(1);
    await expectSound(context);
  });

  test("a clock that calls the pool while it is read or set takes no waiter's place", async () => {
    for (const method of ["now", "setTimeout", "clearTimeout"]) {
      const asked = [];
      let isWatching = false;
      const context = scriptedPool({ poolSize: 1, maxOverflow: 0, timeout: "1s" });
      const { clock } = context;
      const act = (pool) => {
        if (!isWatching || asked.length >= 3) return;
        isWatching = false;
        asked.push(
          pool.connect().then(
            (each) => each.close(),
            () => {},
          ),
        );
        isWatching = true;
      };
      const hostile = {
        now: () => clock.now,
        setTimeout: (run, ms) => {
          const timer = clock.setTimeout(() => (clock.due.delete(timer), run()), ms);
          clock.due.set(timer, clock.now + ms);
          return timer;
        },
        clearTimeout: (timer) => (clock.due.delete(timer), clock.clearTimeout(timer)),
      };
      const usual = hostile[method];
      hostile[method] = (...parameters) => {
        const answer = usual(...parameters);
        act(pool);
        return answer;
      };
      const pool = new QueuePool(context.server.open, {
        poolSize: 1,
        maxOverflow: 0,
        maxConnecting: Infinity,
        timeout: "1s",
        clock: hostile,
        logger: new Log(),
      });
      const lease = await pool.connect();
      isWatching = true;
      const waiters = [pool.connect(), pool.connect({ deadline: "500ms" }), pool.connect()];
      await pass(clock, 600);
      expect(await rejection(waiters[1]), method).to.be.instanceOf(PoolTimeoutError);
      await lease.close();
      await (await waiters[0]).close();
      await (await waiters[2]).close();
      await pass(clock, 3_000);
      await Promise.all(asked);
      await expectSound({ ...context, pool }, method);
    }
  });

  test("a listener of a dead connection that returns leases finds every waiter in its place", async () => {
    const died = [];
    const dialect = { onDisconnect: (_, report) => (died.push(report), () => {}) };
    const context = scriptedPool({ poolSize: 2, maxOverflow: 0, dialect });
    const { pool } = context;
    const [first, second] = await connects(pool, 2);
    const waiters = [pool.connect(), pool.connect()];
    pool.on("error", (_, { operation }) => {
      if (operation === "disconnect") void Promise.all([first.close(), second.close()]);
    });
    died[0](new Error("gone"));
    const served = await Promise.all(waiters);
    for (const lease of served) expect(lease.isValid).to.equal(true);
    for (const lease of served) await lease.close();
    await expectSound(context);
  });

  test("a StaticPool's caller whose connection dies in its checkout listener gets a lease of the next", async () => {
    const closed = [];
    let opened = 0;
    const pool = new StaticPool(() => ({ id: ++opened, rollback() {}, close: () => void closed.push(opened) }), {
      logger: new Log(),
    });
    const first = await pool.connect();
    const answer = gate();
    pool.on("checkout", () => answer.promise, { once: true });
    const caller = pool.connect();
    await settled();
    pool.invalidateAll();
    const other = await pool.connect();
    answer.fail(new DisconnectionError("gone"));
    const lease = await caller;
    expect(lease.isValid).to.equal(true);
    expect(lease.connection).to.equal(other.connection);
    for (const each of [first, lease, other]) await each.close();
    expect(pool.stats()).to.include({ used: 0, closing: 0 });
    await pool.close();
  });
};
