// The conformance suite: plain functions, no test runner. runners/ runs it in Node, workerd and Chromium. A topic module
// calls `test(name, run)`; `collect` gives every test of every topic.

import abort from "./abort.mjs";
import assertionPool from "./assertion-pool.mjs";
import checkin from "./checkin.mjs";
import checkout from "./checkout.mjs";
import checkoutEvent from "./checkout-event.mjs";
import clock from "./clock.mjs";
import close from "./close.mjs";
import connect from "./connect.mjs";
import deadline from "./deadline.mjs";
import detach from "./detach.mjs";
import dispose from "./dispose.mjs";
import driverTimeout from "./driver-timeout.mjs";
import echo from "./echo.mjs";
import events from "./events.mjs";
import everyKind from "./every-kind.mjs";
import faults from "./faults.mjs";
import firstConnect from "./first-connect.mjs";
import handOff from "./hand-off.mjs";
import hostile from "./hostile.mjs";
import idleTimeout from "./idle-timeout.mjs";
import invalidate from "./invalidate.mjs";
import invalidationEvents from "./invalidation-events.mjs";
import lease from "./lease.mjs";
import maxConnecting from "./max-connecting.mjs";
import maxUses from "./max-uses.mjs";
import notices from "./notices.mjs";
import nullPool from "./null-pool.mjs";
import onDisconnect from "./on-disconnect.mjs";
import optionValues from "./option-values.mjs";
import options from "./options.mjs";
import order from "./order.mjs";
import prePing from "./pre-ping.mjs";
import reEntry from "./re-entry.mjs";
import records from "./records.mjs";
import recreate from "./recreate.mjs";
import recycle from "./recycle.mjs";
import resetOnReturn from "./reset-on-return.mjs";
import scopes from "./scopes.mjs";
import sharedConnection from "./shared-connection.mjs";
import singletonThreadPool from "./singleton-thread-pool.mjs";
import staticPool from "./static-pool.mjs";
import stats from "./stats.mjs";
import sweep from "./sweep.mjs";
import timeout from "./timeout.mjs";
import trackLeaks from "./track-leaks.mjs";
import use from "./use.mjs";
import warm from "./warm.mjs";

const topics = {
  abort,
  "assertion-pool": assertionPool,
  checkin,
  checkout,
  "checkout-event": checkoutEvent,
  clock,
  close,
  connect,
  deadline,
  detach,
  dispose,
  "driver-timeout": driverTimeout,
  echo,
  events,
  "every-kind": everyKind,
  faults,
  "first-connect": firstConnect,
  "hand-off": handOff,
  hostile,
  "idle-timeout": idleTimeout,
  invalidate,
  "invalidation-events": invalidationEvents,
  lease,
  "max-connecting": maxConnecting,
  "max-uses": maxUses,
  notices,
  "null-pool": nullPool,
  "on-disconnect": onDisconnect,
  "option-values": optionValues,
  options,
  order,
  "pre-ping": prePing,
  "re-entry": reEntry,
  records,
  recreate,
  recycle,
  "reset-on-return": resetOnReturn,
  scopes,
  "shared-connection": sharedConnection,
  "singleton-thread-pool": singletonThreadPool,
  "static-pool": staticPool,
  stats,
  sweep,
  timeout,
  "track-leaks": trackLeaks,
  use,
  warm,
};

/** Every test as `{ name, run }`; the name begins with its topic. */
export function collect() {
  const tests = [];
  for (const [topic, define] of Object.entries(topics)) {
    define((name, run) => tests.push({ name: `${topic}: ${name}`, run }));
  }
  return tests;
}

/** Runs every test in turn, each for at most so many milliseconds; answers `{ name, error }` for each, for runtimes without a test runner of their own. */
export async function runAll(limitMs = 20_000) {
  const results = [];
  for (const { name, run } of collect()) {
    let error;
    let timer;
    const limit = new Promise(
      (_, reject) => (timer = setTimeout(() => reject(new Error(`not over after ${limitMs} ms`)), limitMs)),
    );
    try {
      await Promise.race([run(), limit]);
    } catch (thrown) {
      error = String(thrown?.stack ?? thrown);
    }
    clearTimeout(timer);
    results.push({ name, error });
  }
  return results;
}
