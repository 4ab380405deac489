// The conformance suite: plain functions, no test runner. runners/ runs it in Node, workerd and Chromium. A topic module
// calls `test(name, run)`; `collect` gives every test of every topic.

import abort from "./abort.mjs";
import checkout from "./checkout.mjs";
import clock from "./clock.mjs";
import deadline from "./deadline.mjs";
import driverTimeout from "./driver-timeout.mjs";
import handOff from "./hand-off.mjs";
import lease from "./lease.mjs";
import options from "./options.mjs";
import records from "./records.mjs";
import stats from "./stats.mjs";
import timeout from "./timeout.mjs";
import use from "./use.mjs";

const topics = { abort, checkout, clock, deadline, "driver-timeout": driverTimeout, "hand-off": handOff, lease, options, records, stats, timeout, use };

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
