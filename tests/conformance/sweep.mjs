// Every combination of how a driver's calls can go with what can come between, at every stage: whatever happens, every
// caller is settled once, every connection is closed once, no slot is lost, and the next use works.

import { expect } from "chai";
import { expectSound, pass, scriptedPool, settled } from "./scripted.mjs";

const down = new Error("down");
const enough = new Error("enough");
const driverTimeout = 5_000;

/** How one call into a driver can go, in virtual time. */
const outcomes = {
  "sync ok": () => undefined,
  "async ok": (clock) => after(clock, 1_000),
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
  "a second close of every lease": ({ leases }) => Promise.all(leases.flatMap((lease) => [lease.close(), lease.close()])),
};

/** When, in milliseconds: as it is asked, while it opens, is held, is reset, is ended, and after. */
const moments = [0, 500, 1_500, 2_500, 6_000];

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
async function combine({ open, reset, end, interfere, at }) {
  const context = { ...scriptedPool({ poolSize: 1, maxOverflow: 0, driverTimeout: "5s" }), controller: new AbortController(), leases: [] };
  const { pool, server, clock, leases, controller } = context;
  server.script = { open: () => outcomes[open](clock), rollback: () => outcomes[reset](clock) };
  server.script.close = server.script.terminate = () => outcomes[end](clock);
  const ends = [];

  const call = (holdMs, finish) => {
    const caller = pool.connect({ signal: controller.signal });
    caller.then(async (lease) => {
      leases.push(lease);
      await after(clock, holdMs);
      ends.push(watch(lease[finish]()));
    }, () => {});
    return watch(caller);
  };
  const callers = [call(1_000, "close"), call(500, "invalidate")];
  if (interfere !== undefined) {
    await pass(clock, at, 20);
    ends.push(watch(Promise.resolve(interfere(context))));
  }
  await pass(clock, 40_000, 20);
  ends.push(watch(pool.dispose()));
  await pass(clock, 10_000, 20);
  return { context, callers, ends };
}

/** What a caller may be told, apart from getting a connection. */
function isExpected(error) {
  return error === down || error === enough || error.code === "ERR_POOL_TIMEOUT" || error.code === "ERR_POOL_CLOSED";
}

/** Without interference every caller has the outcome of its own opening. */
const told = { throws: "down", rejects: "down", "never settles": "ERR_POOL_TIMEOUT", "settles late": "ERR_POOL_TIMEOUT" };

export default (test) => {
  for (const open of Object.keys(outcomes)) {
    for (const [interference, interfere] of Object.entries(interferences)) {
      test(`an opening that ${open}, with ${interference} between: nobody hangs, nothing leaks, the next use works`, async () => {
        for (const reset of Object.keys(outcomes)) {
          for (const end of Object.keys(outcomes)) {
            for (const at of interfere === undefined ? [0] : moments) {
              const note = `open ${open}, reset ${reset}, close and terminate ${end}, ${interference} at ${at} ms:`;
              const { context, callers, ends } = await combine({ open, reset, end, interfere, at });
              for (const { fulfilled, errors } of callers) {
                expect(fulfilled + errors.length, `${note} a caller is settled once`).to.equal(1);
                expect(errors.filter((error) => !isExpected(error)), note).to.deep.equal([]);
                if (interfere === undefined) expect(errors.map((error) => error.code ?? error.message), note).to.deep.equal(open in told ? [told[open]] : []);
              }
              for (const seen of ends) expect(seen, `${note} returns and ends are fulfilled`).to.deep.equal({ fulfilled: 1, errors: [] });
              await expectSound(context, note);
            }
          }
        }
        await settled();
      });
    }
  }
};
