// The signal of connect(): a caller that gives up is refused at once with the reason itself. It costs no slot and
// no connection, and leaves no listener behind.

import { expect } from "chai";
import { QueuePool } from "edgepool";
import {
  counts,
  expectSound,
  gate,
  isWorkers,
  never,
  pass,
  rejection,
  scriptedPool,
  settled,
  stateOf,
} from "./scripted.mjs";
import { pings, scriptedKind } from "./scripted-kind.mjs";

/** Answers after a few microtasks. */
const later = (value) => () => settled(3).then(() => value);

/** What a pool of one has when its caller comes. */
const states = {
  "a cold pool": () => {},
  "a warm pool": async (pool) => (await pool.connect()).close(),
  "a stale connection": async (pool) => {
    await (await pool.connect()).close();
    pool.invalidateAll();
  },
};

/** A whole use of a connection. */
const uses = {
  "use()": (pool, signal) => pool.use(later(), { signal }),
  "connect() and close()": async (pool, signal) => {
    const lease = await pool.connect({ signal });
    await settled(3);
    await lease.close();
  },
};

/**
 * Aborts one use after another, each a microtask later, until one was over before its abort. Every call into the driver
 * and every listener takes some microtasks, so that an abort meets each of them in each state.
 */
async function expectAbortableEverywhere(use, state) {
  const outcomes = [];
  while (outcomes.at(-1) !== "over") {
    const note = `${use} on ${state}, aborted after ${outcomes.length} microtasks:`;
    const context = scriptedKind(QueuePool, { poolSize: 1, maxOverflow: 0, prePing: true, dialect: pings });
    const { pool, server } = context;
    for (const event of ["firstConnect", "connect", "checkout", "reset", "checkin", "invalidate", "close"])
      pool.on(event, later());
    await states[state](pool);
    server.script = { open: later(), ping: later(true), rollback: later(), close: later(), terminate: later() };
    const controller = new AbortController();
    const reason = new Error("enough");
    let outcome = "pending";
    uses[use](pool, controller.signal).then(
      () => (outcome = "used"),
      (error) => (outcome = error),
    );
    await settled(outcomes.length);
    if (outcome === "used") outcome = "over";
    controller.abort(reason);
    await settled(300);
    expect(outcome === "used" || outcome === "over" || outcome === reason, `${note} ${String(outcome)}`).to.equal(true);
    outcomes.push(outcome === reason ? "refused" : outcome);
    await expectSound(context, note);
  }
  // Refused as long as it had no connection, and from then on no more.
  const refused = outcomes.indexOf("used");
  expect(refused, `${use} on ${state}`).to.be.greaterThan(6);
  expect(outcomes.lastIndexOf("refused"), `${use} on ${state}`).to.equal(refused - 1);
  expect(outcomes.length - refused, `${use} on ${state}`).to.be.greaterThan(6);
}

export default (test) => {
  test("an abort in the queue rejects with the signal's reason and leaves the queue", async () => {
    const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const lease = await pool.connect();
    const controller = new AbortController();
    const waiter = pool.connect({ signal: controller.signal });
    const reason = new Error("enough");
    controller.abort(reason);
    expect(await rejection(waiter)).to.equal(reason);
    expect(pool.stats()).to.include({ waiting: 0, aborted: 1 });
    await lease.close();
    expect(pool.stats()).to.include({ idle: 1, used: 0 });
  });

  test("205 an abort while opening rejects now; the connection that then arrives becomes idle", async () => {
    const { pool, server } = scriptedPool();
    const opening = gate();
    server.script.open = () => opening.promise;
    const controller = new AbortController();
    const caller = pool.connect({ signal: controller.signal });
    controller.abort(new Error("enough"));
    expect((await rejection(caller)).message).to.equal("enough");
    expect(pool.stats()).to.include({ opening: 1, idle: 0 });
    opening.open();
    await settled();
    expect(pool.stats()).to.include({ opening: 0, idle: 1 });
    expect((await pool.connect()).connection.id).to.equal(1);
  });

  test("197 an abort at any moment of use() on a warm pool: the reason or the result, no loss", async () => {
    await expectAbortableEverywhere("use()", "a warm pool");
  });

  test("198 an abort at any moment of connect() and close(), cold or warm: the reason or a whole use", async () => {
    await expectAbortableEverywhere("connect() and close()", "a cold pool");
    await expectAbortableEverywhere("connect() and close()", "a warm pool");
  });

  test("201 an abort at any moment of the replacement of a stale connection, either way: the same", async () => {
    for (const use of Object.keys(uses)) await expectAbortableEverywhere(use, "a stale connection");
  });

  test("an abort before the call rejects with the reason, and nothing is opened or queued", async () => {
    const { pool, server } = scriptedPool();
    const reason = new Error("gone");
    const spy = spied(AbortSignal.abort(reason));
    expect(await rejection(pool.connect({ signal: spy.signal }))).to.equal(reason);
    expect(await rejection(pool.use(() => expect.fail("must not run"), { signal: spy.signal }))).to.equal(reason);
    expect(server.calls).to.deep.equal([]);
    expect(spy.added).to.equal(0);
    expect(pool.stats()).to.include({ total: 0, waiting: 0, checkouts: 0 });
  });

  test("the reason comes out as it is, whatever it is", async () => {
    for (const reason of [
      new Error("e"),
      new DOMException("d", "TimeoutError"),
      "text",
      0,
      null,
      false,
      { some: "object" },
    ]) {
      const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
      await pool.connect();
      const controller = new AbortController();
      const waiter = pool.connect({ signal: controller.signal });
      controller.abort(reason);
      expect(await rejection(waiter)).to.equal(reason);
      expect(await rejection(pool.connect({ signal: controller.signal }))).to.equal(reason);
    }
  });

  test("without a reason it is the signal's own AbortError", async () => {
    const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    await pool.connect();
    const controller = new AbortController();
    const waiter = pool.connect({ signal: controller.signal });
    controller.abort();
    const error = await rejection(waiter);
    expect(error).to.equal(controller.signal.reason);
    expect(error.name).to.equal("AbortError");
  });

  test("057 an abort in the queue leaves the counts as they were, and the pool works on", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const { pool } = context;
    const lease = await pool.connect();
    const before = counts(pool);
    const controller = new AbortController();
    const waiter = pool.connect({ signal: controller.signal });
    controller.abort(new Error("enough"));
    await rejection(waiter);
    expect(counts(pool)).to.deep.equal(before);
    await lease.close();
    expect(counts(pool)).to.deep.equal([1, 1, 0, 0]);
    await (await pool.connect()).close();
    await expectSound(context);
  });

  test("058 an abort in the tick of the return, before it: the waiter is refused, the connection idle", async () => {
    const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0, resetOnReturn: "none" });
    const lease = await pool.connect();
    const controller = new AbortController();
    const waiter = pool.connect({ signal: controller.signal });
    controller.abort(new Error("enough"));
    void lease.close();
    expect((await rejection(waiter)).message).to.equal("enough");
    expect(counts(pool)).to.deep.equal([1, 1, 0, 0]);
  });

  test("058 an abort in the tick of the return, after it: the lease is the waiter's and works", async () => {
    const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0, resetOnReturn: "none" });
    const lease = await pool.connect();
    const controller = new AbortController();
    const waiter = pool.connect({ signal: controller.signal });
    void lease.close();
    controller.abort(new Error("too late"));
    const mine = await waiter;
    expect(mine.isValid).to.equal(true);
    expect(counts(pool)).to.deep.equal([1, 0, 0, 1]);
    await mine.close();
    expect(counts(pool)).to.deep.equal([1, 1, 0, 0]);
    expect(pool.stats().aborted).to.equal(0);
  });

  test("an abort between the wake-up and the opening rejects, opens nothing, and passes the place on", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const { pool, server } = context;
    const lease = await pool.connect();
    const spy = spied(new AbortController());
    const reason = new Error("enough");
    const waiter = pool.connect({ signal: spy.signal });
    const next = pool.connect();
    // The slot is reserved for the waiter, which has not resumed yet.
    void lease.detach();
    spy.abort(reason);
    expect(await rejection(waiter)).to.equal(reason);
    const served = await next;
    expect(served.connection.id).to.equal(2);
    expect(server.calls).to.deep.equal(["open", "open"]);
    expect(pool.stats()).to.include({ aborted: 1, used: 1, opening: 0, waiting: 0 });
    expect([spy.added, spy.removed]).to.deep.equal([1, 1]);
    await served.close();
    await lease.close();
    await expectSound(context);
  });

  test("an abort between the wake-up and the opening, with no waiter behind, gives the place back", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const { pool, server } = context;
    const lease = await pool.connect();
    const controller = new AbortController();
    const waiter = pool.connect({ signal: controller.signal });
    void lease.detach();
    controller.abort(new Error("enough"));
    expect((await rejection(waiter)).message).to.equal("enough");
    expect(server.connections).to.have.length(1);
    await lease.close();
    await expectSound(context);
  });

  test("an abort while opening: the connection that arrives goes to the next waiter", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const { pool, server } = context;
    const opening = gate();
    server.script.open = () => opening.promise;
    const controller = new AbortController();
    const caller = pool.connect({ signal: controller.signal });
    const next = pool.connect();
    controller.abort(new Error("enough"));
    await rejection(caller);
    expect(await stateOf(next)).to.equal("pending");
    opening.open();
    const lease = await next;
    expect(lease.connection.id).to.equal(1);
    expect(server.connections).to.have.length(1);
    await lease.close();
    await expectSound(context);
  });

  test("an abort while opening: if the opening then fails, it is logged and the next waiter opens", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const { pool, server, log } = context;
    const opening = gate();
    server.script.open = () => opening.promise;
    const controller = new AbortController();
    const caller = pool.connect({ signal: controller.signal });
    const next = pool.connect();
    controller.abort(new Error("enough"));
    await rejection(caller);
    const down = new Error("down");
    server.script.open = undefined;
    opening.fail(down);
    const lease = await next;
    expect(log.errors).to.deep.equal([down]);
    expect(pool.stats()).to.include({ openFailed: 1, opened: 1, aborted: 1 });
    await lease.close();
    await expectSound(context);
  });

  test("an abort in the same tick in which the connection arrives loses it in neither order", async () => {
    for (const abortFirst of [true, false]) {
      const context = scriptedPool({ poolSize: 1, maxOverflow: 0 });
      const { pool, server } = context;
      const opening = gate();
      server.script.open = () => opening.promise;
      const controller = new AbortController();
      const caller = pool.connect({ signal: controller.signal });
      if (abortFirst) controller.abort(new Error("enough"));
      opening.open();
      if (!abortFirst) controller.abort(new Error("enough"));
      await caller.then(
        (lease) => lease.close(),
        () => {},
      );
      await settled();
      expect(pool.stats(), `abort first: ${abortFirst}`).to.include({ total: 1, idle: 1, opened: 1 });
      await expectSound(context, `abort first: ${abortFirst}`);
    }
  });

  test("201 an abort while a stale connection is terminated: nothing new is opened, the slot is free", async () => {
    const context = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const { pool, server } = context;
    await (await pool.connect()).close();
    pool.invalidateAll();
    const terminating = gate();
    server.script.terminate = () => terminating.promise;
    const controller = new AbortController();
    const caller = pool.connect({ signal: controller.signal });
    controller.abort(new Error("enough"));
    expect((await rejection(caller)).message).to.equal("enough");
    terminating.open();
    await settled();
    expect(server.calls).to.deep.equal(["open", "rollback 1", "terminate 1"]);
    expect(pool.stats()).to.include({ total: 0, opening: 0 });
    await expectSound(context);
  });

  test("a creator that aborts its own caller before it answers: the connection becomes idle", async () => {
    const reason = new Error("enough");
    for (const isSync of [true, false]) {
      const context = scriptedPool();
      const { pool, server } = context;
      const spy = spied(new AbortController());
      server.script.open = () => {
        spy.abort(reason);
        return isSync ? undefined : Promise.resolve();
      };
      expect(await rejection(pool.connect({ signal: spy.signal }))).to.equal(reason);
      await settled();
      expect(pool.stats()).to.include({ idle: 1, used: 0, aborted: 1 });
      expect([spy.added, spy.removed]).to.deep.equal([1, 1]);
      await expectSound(context);
    }
  });

  test("a creator that aborts its own caller and throws: the caller has the reason, the log the error", async () => {
    const context = scriptedPool();
    const { pool, server, log } = context;
    const controller = new AbortController();
    const [reason, down] = [new Error("enough"), new Error("down")];
    server.script.open = () => {
      controller.abort(reason);
      throw down;
    };
    expect(await rejection(pool.connect({ signal: controller.signal }))).to.equal(reason);
    expect(log.errors).to.deep.equal([down]);
    expect(pool.stats()).to.include({ total: 0, openFailed: 1 });
    await expectSound(context);
  });

  test("an abort after the checkout changes nothing", async () => {
    const { pool, server } = scriptedPool();
    const controller = new AbortController();
    const lease = await pool.connect({ signal: controller.signal });
    controller.abort(new Error("late"));
    await settled();
    expect(lease.isValid).to.equal(true);
    await lease.close();
    expect(server.calls).to.deep.equal(["open", "rollback 1"]);
    expect(pool.stats()).to.include({ idle: 1, aborted: 0 });
  });

  test("an abort while use() runs its function is the function's own matter", async () => {
    const { pool } = scriptedPool();
    const controller = new AbortController();
    const result = await pool.use(
      async (connection) => (controller.abort(new Error("late")), await null, connection.id),
      { signal: controller.signal },
    );
    expect(result).to.equal(1);
    expect(pool.stats().idle).to.equal(1);
  });

  test("a signal has one listener however many wait on it, and none when they are gone", async () => {
    const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const lease = await pool.connect();
    const spy = spied(new AbortController());
    const waiters = Array.from({ length: 100 }, () => rejection(pool.connect({ signal: spy.signal })));
    expect([spy.added, spy.removed]).to.deep.equal([1, 0]);
    const reason = new Error("all of you");
    spy.abort(reason);
    expect((await Promise.all(waiters)).every((error) => error === reason)).to.equal(true);
    expect([spy.added, spy.removed]).to.deep.equal([1, 1]);
    expect(pool.stats()).to.include({ waiting: 0, aborted: 100, used: 1 });
    await lease.close();
  });

  test("a shared signal keeps its listener while one of its callers still waits", async () => {
    const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const lease = await pool.connect();
    const spy = spied(new AbortController());
    const [first, second] = [pool.connect({ signal: spy.signal }), pool.connect({ signal: spy.signal })];
    void lease.close();
    const held = await first;
    expect([spy.added, spy.removed]).to.deep.equal([1, 0]);
    const reason = new Error("enough");
    spy.abort(reason);
    expect(await rejection(second)).to.equal(reason);
    expect([spy.added, spy.removed]).to.deep.equal([1, 1]);
    expect(held.isValid).to.equal(true);
  });

  test("the listener is gone however the checkout ends", async () => {
    const ends = {
      "an idle connection": async ({ pool }, options) => {
        await (await pool.connect()).close();
        await pool.connect(options);
      },
      "a new connection": ({ pool }, options) => pool.connect(options),
      "a new connection, later": ({ pool, server }, options) => {
        server.script.open = () => Promise.resolve();
        return pool.connect(options);
      },
      "a failed opening": ({ pool, server }, options) => {
        server.script.open = () => Promise.reject(new Error("down"));
        return rejection(pool.connect(options));
      },
      "a creator that throws": ({ pool, server }, options) => {
        server.script.open = () => {
          throw new Error("down");
        };
        return rejection(pool.connect(options));
      },
      "a hand-over": async ({ pool }, options) => {
        const lease = await pool.connect();
        const waiter = pool.connect(options);
        void lease.close();
        await waiter;
      },
      "a wake-up and an opening": async ({ pool }, options) => {
        const lease = await pool.connect();
        const waiter = pool.connect(options);
        await lease.invalidate();
        await waiter;
      },
      "a time-out in the queue": async ({ pool, clock }, options) => {
        await pool.connect();
        await Promise.all([rejection(pool.connect(options)), pass(clock, 40_000)]);
      },
      "a time-out of the driver": ({ pool, server, clock }, options) => {
        server.script.open = never;
        return Promise.all([rejection(pool.connect(options)), pass(clock, 40_000)]);
      },
      "a deadline while opening": ({ pool, server, clock }, options) => {
        server.script.open = never;
        return Promise.all([rejection(pool.connect({ ...options, deadline: "1s" })), pass(clock, 2000)]);
      },
      "a full queue": async ({ pool }, options) => {
        await pool.connect();
        await rejection(pool.connect({ ...options, timeout: 0 }));
      },
      "a close of the pool": async ({ pool }, options) => {
        const lease = await pool.connect();
        const waiter = rejection(pool.connect(options));
        const ended = pool.close();
        await lease.close();
        await Promise.all([waiter, ended]);
      },
      "an abort in the queue": async ({ pool }, options, spy) => {
        await pool.connect();
        const waiter = rejection(pool.connect(options));
        spy.abort(new Error("enough"));
        await waiter;
      },
      "an abort while opening": async ({ pool, server }, options, spy) => {
        server.script.open = never;
        const caller = rejection(pool.connect(options));
        spy.abort(new Error("enough"));
        await caller;
      },
    };
    for (const [end, run] of Object.entries(ends)) {
      const spy = spied(new AbortController());
      await run(scriptedPool({ poolSize: 1, maxOverflow: 0 }), { signal: spy.signal }, spy);
      await settled();
      expect(spy.added, end).to.be.at.most(1);
      expect(spy.removed, end).to.equal(spy.added);
    }
  });

  test("an aborted caller that asks again at once stands at the end of the queue", async () => {
    const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const lease = await pool.connect();
    const controller = new AbortController();
    const order = [];
    const take = (name, options) => pool.connect(options).then(async (mine) => (order.push(name), mine.close()));
    const hasty = take("hasty", { signal: controller.signal }).catch(() => take("hasty again"));
    const patient = take("patient");
    controller.abort(new Error("enough"));
    await settled();
    await lease.close();
    await Promise.all([hasty, patient]);
    expect(order).to.deep.equal(["patient", "hasty again"]);
  });

  test("a waiter that asks again inside the abort is another caller: the abort does not reach it", async () => {
    const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    const lease = await pool.connect();
    const controller = new AbortController();
    let inner;
    const waiter = pool.connect({ signal: controller.signal });
    controller.signal.addEventListener("abort", () => (inner = pool.connect()));
    controller.abort(new Error("enough"));
    await rejection(waiter);
    expect(await stateOf(inner)).to.equal("pending");
    await lease.close();
    await (await inner).close();
  });

  test("pools and scopes that wait on one signal have one listener together, which leaves with the last", async () => {
    const controller = spied(new AbortController());
    let key;
    const scoped = scriptedPool({ poolSize: 1, maxOverflow: 0, scope: () => key });
    const places = Array.from({ length: 12 }, () => scriptedPool({ poolSize: 1, maxOverflow: 0 }).pool);
    for (let scope = 0; scope < 12; scope++) places.push(scoped.pool);
    const leases = [];
    const waiters = [];
    for (const pool of places) {
      key = {};
      leases.push(await pool.connect());
      waiters.push(pool.connect({ signal: controller.signal }));
    }
    // In Workers each scope listens in its own I/O context.
    expect(controller.added).to.equal(isWorkers ? 24 : 1);
    for (const lease of leases.slice(1)) await lease.close();
    for (const waiter of waiters.slice(1)) await (await waiter).close();
    if (!isWorkers) expect(controller.removed).to.equal(0);
    const reason = new Error("enough");
    controller.abort(reason);
    expect(await rejection(waiters[0])).to.equal(reason);
    await settled();
    expect(controller.removed).to.equal(controller.added);
  });

  test("an abort reaches every pool that waits on the signal, also those that a listener adds", async () => {
    const controller = new AbortController();
    const contexts = [1, 2, 3].map(() => scriptedPool({ poolSize: 1, maxOverflow: 0 }));
    const waiters = [];
    for (const { pool } of contexts) {
      await pool.connect();
      waiters.push(rejection(pool.connect({ signal: controller.signal })));
    }
    const reason = new Error("enough");
    controller.abort(reason);
    for (const waiter of waiters) expect(await waiter).to.equal(reason);
    expect(await rejection(contexts[0].pool.connect({ signal: controller.signal }))).to.equal(reason);
    for (const { pool } of contexts) expect(pool.stats()).to.include({ waiting: 0, aborted: 1 });
  });

  test("a signal is waited on again after the last waiter has left", async () => {
    const controller = spied(new AbortController());
    const { pool } = scriptedPool({ poolSize: 1, maxOverflow: 0 });
    for (let round = 1; round <= 3; round++) {
      const lease = await pool.connect();
      const waiter = pool.connect({ signal: controller.signal });
      await lease.close();
      await (await waiter).close();
      expect([controller.added, controller.removed]).to.deep.equal([round, round]);
    }
    const lease = await pool.connect();
    const waiter = rejection(pool.connect({ signal: controller.signal }));
    controller.abort(new Error("enough"));
    expect((await waiter).message).to.equal("enough");
    await lease.close();
  });
};

/** A controller (or a signal) whose signal counts the abort listeners that are added and removed. */
function spied(of) {
  const signal = of.signal ?? of;
  const spy = { signal, added: 0, removed: 0, abort: (reason) => of.abort(reason) };
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...given) => (spy.added++, addEventListener.apply(signal, given));
  signal.removeEventListener = (...given) => (spy.removed++, removeEventListener.apply(signal, given));
  return spy;
}
