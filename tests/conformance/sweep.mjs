// Every combination of how a driver's calls can go with what can come between, at every stage: whatever happens, every
// caller is settled once, every connection is closed once, no slot is lost, and the next use works.

import { expect } from "chai";
import { expectAllSound, pass, scriptedPool, virtualClock } from "./scripted.mjs";

const down = new Error("down");
const enough = new Error("enough");
const driverTimeout = 5_000;

/** How one call into a driver can go, in virtual time. */
const outcomes = {
  "succeeds at once": () => undefined,
  "succeeds later": (clock) => after(clock, 1_000),
  throws: () => {
    throw down;
  },
  rejects: (clock) => after(clock, 1_000).then(() => Promise.reject(down)),
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

/** When, in milliseconds: as it is asked, while it opens, is held, is reset, is ended, and after. */
const moments = [0, 500, 1_500, 2_500, 3_500, 6_000];

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

/** Two callers of the only slot: one returns its connection, the other invalidates it; then the pool is disposed of. */
function combine({ open, reset, end, interfere, at, time, note }) {
  const { clock, poolClock } = time;
  const { pool, server } = scriptedPool({ poolSize: 1, maxOverflow: 0, driverTimeout: "5s", clock: poolClock });
  const context = { pool, server, clock, note, controller: new AbortController(), leases: [] };
  server.script = { open: () => outcomes[open](clock), rollback: () => outcomes[reset](clock) };
  server.script.close = server.script.terminate = () => outcomes[end](clock);
  const ends = [];

  const call = (holdMs, finish) => {
    const caller = pool.connect({ signal: context.controller.signal });
    caller.then(
      async (lease) => {
        context.leases.push(lease);
        await after(clock, holdMs);
        ends.push(watch(lease[finish]()));
      },
      () => {},
    );
    return watch(caller);
  };
  const callers = [call(1_000, "close"), call(500, "invalidate")];
  const come = () => ends.push(watch(Promise.resolve(interfere(context))));
  if (interfere !== undefined && at === 0) come();
  else if (interfere !== undefined) void after(clock, at).then(come);
  void after(clock, 40_000).then(() => ends.push(watch(pool.dispose())));
  return { context, callers, ends };
}

/** A connection, or an error that can come of all this; one of them, once. */
function isExpected({ fulfilled, errors }) {
  const known = errors.filter(
    (error) =>
      error === down || error === enough || error.code === "ERR_POOL_TIMEOUT" || error.code === "ERR_POOL_CLOSED",
  );
  return fulfilled + errors.length === 1 && known.length === errors.length;
}

/** This error, or a connection where there is none; once. */
function isTold({ fulfilled, errors }, name) {
  if (name === undefined) return fulfilled === 1 && errors.length === 0;
  return fulfilled === 0 && errors.length === 1 && (errors[0].code ?? errors[0].message) === name;
}

/** Without interference every caller gets the outcome of its own opening. */
const told = {
  throws: "down",
  rejects: "down",
  "never settles": "ERR_POOL_TIMEOUT",
  "settles late": "ERR_POOL_TIMEOUT",
};

/**
 * Every combination of the other outcomes and moments, at the same time on one clock: so many turns are taken only
 * once.
 */
function combinations(open, interference) {
  const time = virtualClock();
  const interfere = interferences[interference];
  const names = Object.keys(outcomes);
  return names.flatMap((reset) =>
    names.flatMap((end) =>
      (interfere === undefined ? [0] : moments).map((at) => {
        const note = `open ${open}, reset ${reset}, close and terminate ${end}, ${interference} at ${at} ms:`;
        return combine({ open, reset, end, interfere, at, time, note });
      }),
    ),
  );
}

export default (test) => {
  for (const open of Object.keys(outcomes)) {
    for (const interference of Object.keys(interferences)) {
      test(`an opening that ${open}, with ${interference} between: all is sound`, async () => {
        const all = combinations(open, interference);
        await pass(all[0].context.clock, 60_000, 20);
        for (const { context, callers, ends } of all) {
          const odd = callers.filter(
            (caller) => !(interference === "none" ? isTold(caller, told[open]) : isExpected(caller)),
          );
          expect(odd, `${context.note} each caller is settled once, as it should`).to.have.length(0);
          const unfinished = ends.filter(({ fulfilled, errors }) => fulfilled !== 1 || errors.length > 0);
          expect(unfinished, `${context.note} every return and every end is fulfilled, once`).to.have.length(0);
        }
        await expectAllSound(all.map(({ context }) => context));
      });
    }
  }
};
