// The conformance suite: plain functions, no test runner. runners/ runs it in Node, workerd and Chromium. A topic module
// calls `test(name, run)`; `collect` gives every test of every topic.

import abort from "./abort.mjs";
import checkout from "./checkout.mjs";
import clock from "./clock.mjs";
import close from "./close.mjs";
import deadline from "./deadline.mjs";
import detach from "./detach.mjs";
import dispose from "./dispose.mjs";
import driverTimeout from "./driver-timeout.mjs";
import handOff from "./hand-off.mjs";
import hostile from "./hostile.mjs";
import invalidate from "./invalidate.mjs";
import lease from "./lease.mjs";
import onDisconnect from "./on-disconnect.mjs";
import options from "./options.mjs";
import reEntry from "./re-entry.mjs";
import records from "./records.mjs";
import recreate from "./recreate.mjs";
import resetOnReturn from "./reset-on-return.mjs";
import stats from "./stats.mjs";
import sweep from "./sweep.mjs";
import timeout from "./timeout.mjs";
import use from "./use.mjs";

const topics = {
  abort, checkout, clock, close, deadline, detach, dispose, "driver-timeout": driverTimeout, "hand-off": handOff,
  hostile,
  invalidate, lease, "on-disconnect": onDisconnect, options, "re-entry": reEntry, records, recreate,
  "reset-on-return": resetOnReturn, stats, sweep, timeout, use,
};

/** Every test as `{ name, run }`; the name begins with its topic. */
export function collect() {
  const tests = [];
  for (const [topic, define] of Object.entries(topics)) {
    define((name, run) => tests.push({ name: `${topic}: ${name}`, run }));
  }
  return tests;
}

/** Runs every test in turn; answers `{ name, error }` for each, for runtimes without a test runner of their own. */
export async function runAll() {
  const results = [];
  for (const { name, run } of collect()) {
    let error;
    try {
      await run();
    } catch (thrown) {
      error = String(thrown?.stack ?? thrown);
    }
    results.push({ name, error });
  }
  return results;
}
