// Listeners that fail, hang, come late or call the pool back, at every event, with what can come between: whatever
// happens, every caller is settled once, every connection is closed once, no slot is lost, and the next use works.

import { expect } from "chai";
import { QueuePool } from "edgepool";
import { expectAllSound, pass, settled, virtualClock } from "./scripted.mjs";
import { eventNames, pings, scriptedKind } from "./scripted-kind.mjs";

const down = new Error("down");
const enough = new Error("enough");
const driverTimeout = 5_000;

/** How one call of a listener can go wrong, in virtual time. */
const faults = {
  "throws at once": () => {
    throw down;
  },
  "rejects later": (clock) => after(clock, 1_000).then(() => Promise.reject(down)),
  "never settles": () => new Promise(() => {}),
  "settles late": (clock) => after(clock, driverTimeout + 2_000),
};

/** What comes between. Each answers the promise that must be fulfilled in the end. */
const interferences = {
  none: undefined,
  abort: ({ controller }) => controller.abort(enough),
  dispose: ({ pool }) => pool.dispose(),
  "pool close": ({ pool }) => pool.close({ timeout: "1s" }),
  invalidateAll: ({ pool }) => pool.invalidateAll(),
  "a second close of every lease": ({ leases }) =>
    Promise.all(leases.flatMap((lease) => [lease.close(), lease.close()])),
};

/**
 * When, in milliseconds: as the first is asked, in its listeners, while it is held, as it goes back, and in the later
 * rounds.
 */
const moments = [0, 500, 1_500, 2_500, 4_500, 8_500];

/**
 * Microtasks between two timers: a replacement has many steps, and what it has not done by then waits for the next
 * timer.
 */
const turns = 100;

/** A promise of this moment on the virtual clock. */
function after(clock, ms) {
  return new Promise((resolve) => {
    const timer = clock.setTimeout(() => {
      clock.due.delete(timer);
      resolve();
    }, ms);
    clock.due.set(timer, clock.now + ms);
  });
}

/** Counts how often a promise is settled, and how. */
function watch(promise) {
  const seen = { fulfilled: 0, errors: [] };
  promise.then(
    () => seen.fulfilled++,
    (error) => seen.errors.push(error),
  );
  return seen;
}

/** A connection, or an error that can come of all this, or one of `more`; one of them, once. */
function isExpected({ fulfilled, errors }, more) {
  const codes = ["ERR_POOL_TIMEOUT", "ERR_POOL_CLOSED", ...more];
  const known = errors.filter((error) => error === down || error === enough || codes.includes(error?.code));
  return fulfilled + errors.length === 1 && known.length === errors.length;
}

/**
 * Two callers of the only connection, which between them meet every event: a soft invalidation, a replacement, a reset
 * that fails, a detach, a hard invalidation.
 */
function twoCallers({ time, note, returnTimeout }) {
  const { clock, poolClock } = time;
  const { pool, server } = scriptedKind(QueuePool, {
    poolSize: 1,
    maxOverflow: 0,
    prePing: true,
    dialect: pings,
    driverTimeout: "5s",
    returnTimeout,
    clock: poolClock,
  });
  const context = {
    pool,
    server,
    clock,
    note,
    controller: new AbortController(),
    leases: [],
    callers: [],
    ends: [],
    act: undefined,
    fired: 0,
  };
  // The second connection's first reset fails, so that `error` has something to say.
  server.script.rollback = ({ id }) => (id === 2 ? Promise.reject(new Error("reset")) : undefined);
  return context;
}

function run(context) {
  const { pool, clock, controller } = context;
  const end = (promise) => context.ends.push(watch(promise));

  /** One lease, if the caller gets one, held for a while and ended in these ways. */
  const round = async (...ways) => {
    const caller = pool.connect({ signal: controller.signal });
    context.callers.push(watch(caller));
    const lease = await caller.catch(() => undefined);
    if (lease === undefined) return;
    context.leases.push(lease);
    await after(clock, 700);
    for (const way of ways) {
      const ended = way(lease);
      end(ended);
      await ended;
    }
  };
  const close = (lease) => lease.close();
  const soft = (lease) => lease.invalidate(undefined, { soft: true });
  const hard = (lease) => lease.invalidate(enough);
  const detach = (lease) => lease.detach();

  const first = async () => {
    await round(soft, close);
    await round(close);
    await round(hard);
  };
  const second = async () => {
    await round(close);
    await round(detach, close);
    await round(close);
  };
  context.ends.push(watch(Promise.all([first(), second()])));
  void after(clock, 90_000).then(() => end(pool.dispose()));
}

/** Calls `context.act` from every event's listener of this name, as long as there is one. */
function listen(context, event) {
  context.pool.on(event, (...args) => {
    context.fired++;
    return context.act?.(...args);
  });
}

function expectSettled(contexts, more = []) {
  for (const { note, callers, ends } of contexts) {
    expect(
      callers.filter((caller) => !isExpected(caller, more)),
      `${note} each caller is settled once, as it should`,
    ).to.have.length(0);
    expect(
      ends.filter(({ fulfilled, errors }) => fulfilled !== 1 || errors.length > 0),
      `${note} every return and every end is fulfilled, once`,
    ).to.have.length(0);
  }
}

/** Every combination of the faults of one event's listener and the moments, on one clock. */
function combinations(event, interference) {
  const time = virtualClock();
  const interfere = interferences[interference];
  return Object.keys(faults).flatMap((fault) =>
    [1, Infinity].flatMap((times) =>
      (interfere === undefined ? [0] : moments).map((at) => {
        const note = `${event} ${fault}, ${times === 1 ? "once" : "always"}, with ${interference} at ${at} ms:`;
        const context = twoCallers({ time, note });
        let faulty = 0;
        context.act = () => (++faulty <= times ? faults[fault](time.clock) : undefined);
        listen(context, event);
        run(context);
        const come = () => context.ends.push(watch(Promise.resolve(interfere(context))));
        if (interfere !== undefined && at === 0) come();
        else if (interfere !== undefined) void after(time.clock, at).then(come);
        return context;
      }),
    ),
  );
}

/** What a listener does to the pool that calls it. `lease`: the one that is shown, or the one that was given last. */
const reentries = {
  "connect()": ({ pool, leases }) =>
    pool.connect().then((lease) => {
      leases.push(lease);
      return lease.close();
    }),
  "lease.close()": (_, { lease }) => lease?.close(),
  "lease.invalidate()": (_, { lease }) => lease?.invalidate(down),
  "a soft lease.invalidate()": (_, { lease }) => lease?.invalidate(down, { soft: true }),
  "lease.detach()": (_, { lease }) => lease?.detach(),
  "record.invalidate()": (_, { record }) => record?.invalidate(down),
  "record.close()": (_, { record }) => record?.close(),
  "pool.dispose()": ({ pool }) => pool.dispose(),
  "pool.close()": ({ pool }) => pool.close({ timeout: "1s" }),
  "pool.invalidateAll()": ({ pool }) => pool.invalidateAll(),
};

/** The record and the lease that this event's listener can see. */
function shown({ leases }, event, [, second, third]) {
  const record = event === "error" ? second.record : event === "closeDetached" ? null : second;
  return { record, lease: event === "checkout" ? third : leases.at(-1) };
}

/** A re-entry from the listener of one event: at its n-th firing, awaited or not, in the pool's own stack or later. */
function reenter({ time, event, reentry, awaited, isLater, firing }) {
  const note = `${reentry} in ${event}${awaited ? ", awaited" : ""}${isLater ? ", later" : ""}, at call ${firing}:`;
  const context = twoCallers({ time, note });
  let firings = 0;
  context.act = (...args) => {
    if (++firings !== firing) return undefined;
    const seen = shown(context, event, args);
    const call = () => reentries[reentry](context, seen);
    const answer = isLater ? settled(2).then(call) : call();
    if (awaited) return answer;
    Promise.resolve(answer).catch(() => {});
    return undefined;
  };
  listen(context, event);
  run(context);
  return context;
}

export default (test) => {
  for (const event of eventNames) {
    for (const interference of Object.keys(interferences)) {
      test(`a listener of ${event} that fails or hangs, with ${interference} between: all is sound`, async () => {
        const all = combinations(event, interference);
        await pass(all[0].clock, 150_000, turns);
        expectSettled(all);
        if (interference === "none")
          expect(
            all.filter(({ fired }) => fired === 0),
            "the listener was called",
          ).to.have.length(0);
        for (const context of all) {
          context.act = undefined;
          for (const lease of context.leases) void lease.close();
        }
        await expectAllSound(all);
      });
    }

    for (const reentry of Object.keys(reentries)) {
      test(`${reentry} from a listener of ${event}: no caller hangs, nothing leaks, the next use works`, async () => {
        const time = virtualClock();
        const flags = [false, true];
        const all = flags.flatMap((awaited) =>
          flags.flatMap((isLater) =>
            [1, 2, 3].map((firing) => reenter({ time, event, reentry, awaited, isLater, firing })),
          ),
        );
        await pass(time.clock, 150_000, turns);
        // A checkout listener that ends the lease it is shown.
        expectSettled(all, ["ERR_POOL_INVALID_REQUEST"]);
        expect(
          all.filter(({ fired }) => fired === 0),
          "the listener was called",
        ).to.have.length(0);
        for (const context of all) context.act = undefined;
        for (let round = 0; round < 3; round++) {
          for (const { leases } of all) for (const lease of leases) void lease.close();
          await pass(time.clock, 40_000, turns);
        }
        await expectAllSound(all);
      });
    }
  }

  test("without faults the two callers come by every event, and get what they ask for", async () => {
    const time = virtualClock();
    const context = twoCallers({ time, note: "" });
    const heard = new Set();
    for (const event of eventNames) context.pool.on(event, () => heard.add(event));
    run(context);
    await pass(time.clock, 150_000, turns);
    expect([...heard].toSorted()).to.deep.equal(eventNames.toSorted());
    expect(context.callers).to.have.length(6);
    expect(context.callers.every(({ fulfilled }) => fulfilled === 1)).to.equal(true);
    expect(
      context.server.calls.some((call) => call.startsWith("ping")),
      "a ping, too",
    ).to.equal(true);
    expectSettled([context]);
    await expectAllSound([context]);
  });

  test("a listener that hangs is given driverTimeout, in every event, and no more", async () => {
    const latest = driverTimeout + driverTimeout / 16;
    /** Takes a lease, which is closed in the end, and does this to it. */
    const lease = (act) => async (context) => {
      const held = await context.pool.connect();
      context.leases.push(held);
      await act(held);
    };
    const ends = {
      checkout: lease(() => {}),
      connect: lease(() => {}),
      firstConnect: lease(() => {}),
      reset: lease((held) => held.close()),
      checkin: lease((held) => held.close()),
      invalidate: lease((held) => held.invalidate()),
      softInvalidate: lease((held) => held.invalidate(undefined, { soft: true })),
      close: lease((held) => held.invalidate()),
      detach: lease((held) => held.detach()),
      closeDetached: lease(async (held) => {
        await held.detach();
        await held.close();
      }),
    };
    for (const [event, end] of Object.entries(ends)) {
      const time = virtualClock();
      const context = twoCallers({ time, note: event, returnTimeout: null });
      context.act = () => new Promise(() => {});
      listen(context, event);
      let endedAt;
      const noted = watch(end(context).finally(() => (endedAt = time.clock.now)));
      await pass(time.clock, driverTimeout - 100);
      expect(endedAt, `${event}: not before`).to.equal(undefined);
      await pass(time.clock, latest - driverTimeout + 100);
      expect(endedAt, `${event}: then`).to.be.within(driverTimeout, latest);
      const isOpening = ["checkout", "connect", "firstConnect"].includes(event);
      expect([noted.fulfilled, noted.errors[0]?.code, noted.errors[0]?.step], event).to.deep.equal(
        isOpening ? [0, "ERR_POOL_TIMEOUT", "listener"] : [1, undefined, undefined],
      );
      context.act = undefined;
      for (const held of context.leases) void held.close();
      await expectAllSound([context]);
    }
  });

  test("what is awaited in a listener, where nothing it waits for waits for it, costs no time", async () => {
    const allowed = [
      ["checkin", ({ pool }) => pool.stats()],
      ["detach", ({ pool }) => pool.use(() => {})],
      ["closeDetached", ({ pool }) => pool.use(() => {})],
      ["checkin", ({ pool }) => pool.dispose()],
      ["connect", ({ pool }) => pool.dispose()],
      ["checkout", ({ pool }) => pool.dispose()],
      ["checkout", ({ pool }) => pool.invalidateAll()],
      ["checkout", (_, { lease }) => lease.invalidate(undefined, { soft: true })],
    ];
    for (const [number, [event, act]] of allowed.entries()) {
      const time = virtualClock();
      const note = `${event} ${number}`;
      const context = twoCallers({ time, note });
      let calls = 0;
      context.act = (...args) => (calls++ === 0 ? act(context, shown(context, event, args)) : undefined);
      listen(context, event);
      const lease = await context.pool.connect();
      if (event.endsWith("etach") || event.endsWith("etached")) await lease.detach();
      await lease.close();
      expect([calls > 0, time.clock.now], note).to.deep.equal([true, 0]);
      context.act = undefined;
      await expectAllSound([context]);
    }
  });
};
