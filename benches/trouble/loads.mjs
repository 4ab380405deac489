// What the callers of a run do. A load returns an outcome for each caller: how long it waited, counted from when it was
// due, and the name of its error if it failed. A caller that must fail is `expected`: it is shown apart.

import { setTimeout as sleep } from "node:timers/promises";
import { size } from "./contestants.mjs";

const usual = { text: "SELECT name, pg_sleep(0.001) FROM things WHERE id = $1", values: [1] };

/** Opens all connections, before anything is counted. */
export async function warm(run) {
  await Promise.all(Array.from({ length: size }, () => run({ text: "SELECT pg_sleep(0.1)" })));
  await sleep(200);
}

async function outcomeOf(run, query, due, expected = false) {
  let error;
  try {
    await run(query);
  } catch (thrown) {
    error = thrown.code ?? String(thrown.message).slice(0, 50);
  }
  return { ms: performance.now() - due, error, expected };
}

/**
 * Callers at an even rate. `oneInTen` is the statement of each tenth caller, which must fail. With `quietMs` no caller
 * comes for that long after the first 400.
 */
export async function arrivals(run, { say, callers = 2000, perSecond = 400, oneInTen, quietMs = 0 }) {
  const outcomes = [];
  const start = performance.now();
  const dueAt = (caller) => start + (caller * 1000) / perSecond + (caller < 400 ? 0 : quietMs);
  for (let caller = 0; caller < callers;) {
    for (; caller < callers && dueAt(caller) <= performance.now(); caller++) {
      const isTenth = oneInTen !== undefined && caller % 10 === 9;
      outcomes.push(outcomeOf(run, isTenth ? oneInTen : usual, dueAt(caller), isTenth));
    }
    if (caller === 400 && quietMs > 0) {
      await Promise.all(outcomes);
      await say("quiet");
    }
    await sleep(dueAt(caller) - performance.now());
  }
  return Promise.all(outcomes);
}

/** Ten callers after a quiet second and a half. The loop is blocked from when their pings, if any, are under way. */
export async function blockedPing(run, { say, blockMs }) {
  await sleep(1500);
  await say("hold");
  const outcomes = burst(run, size, usual);
  await sleep(30);
  await say("passSoon");
  block(blockMs);
  return Promise.all(outcomes);
}

/** Ten busy callers, and fifty behind them. The loop is blocked while the server answers the ten. */
export async function blockedQueue(run, { blockMs }) {
  const busy = burst(run, size, { text: "SELECT pg_sleep(0.2)" });
  const waiters = burst(run, 50, usual);
  await sleep(30);
  block(blockMs);
  await Promise.all(busy);
  return Promise.all(waiters);
}

/** Ten callers keep all connections for longer than the twenty behind them have time. */
export async function lateness(run) {
  const busy = burst(run, size, { text: "SELECT pg_sleep(6)" });
  await sleep(10);
  const waiters = burst(run, 20, usual, true);
  await Promise.all(busy);
  return Promise.all(waiters);
}

function burst(run, count, query, expected) {
  const due = performance.now();
  return Array.from({ length: count }, () => outcomeOf(run, query, due, expected));
}

/** Blocks the event loop without work for the processor. */
function block(ms) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
