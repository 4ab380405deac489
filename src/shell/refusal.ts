/** The words of a refusal: what a caller is told whom the policy gives no connection. Used by driver.ts. */

import { PoolClosedError, PoolTimeoutError, QueueFullError } from "./errors.js";
import { show, type CoreOptions, type Limits } from "./options.js";
import { Refusal } from "./protocol.js";
import type { PoolCounts, PoolStats } from "./stats.js";

/** How the pool did when a caller was refused. */
export interface Snapshot {
  readonly stats: PoolStats;
  readonly counts: PoolCounts;
  readonly longestHeldMs: readonly number[];
}

/** What the errors tell of the pool, asked for only when one is made. */
export interface Circumstances {
  readonly name: string;
  readonly core: CoreOptions;
  circumstances(): Snapshot;
  nowMs(): number;
}

/** The error for a refusal that is the pool's own. `limits`: the caller's own times. */
export function refusalError(refusal: number, limits: Limits | undefined, pool: Circumstances): PoolClosedError | QueueFullError | PoolTimeoutError {
  if (refusal === Refusal.Closed) return new PoolClosedError(pool.name);
  if (refusal === Refusal.QueueFull) {
    const { waiting, used, max } = pool.circumstances().stats;
    return new QueueFullError(
      `the queue of the pool ${pool.name} is full: ${waiting} callers wait already (maxWaiters: ${show(pool.core.maxWaiters)}), ${used} of at most ${max} connections are in use`,
      pool.name,
    );
  }
  return timeoutError(refusal, limits, pool);
}

function timeoutError(refusal: number, limits: Limits | undefined, pool: Circumstances): PoolTimeoutError {
  const { core, name } = pool;
  const byDeadline = refusal === Refusal.WaitDeadline || refusal === Refusal.OpenDeadline;
  const step = refusal === Refusal.WaitTimeout || refusal === Refusal.WaitDeadline ? "wait" : "open";
  const option = byDeadline ? "deadline" : step === "wait" ? "timeout" : "driverTimeout";
  const timeoutMs = byDeadline ? (limits?.deadlineMs ?? core.deadline) : step === "wait" ? (limits?.timeoutMs ?? core.timeout) : core.driverTimeout;
  // Without a deadline the start was not timed: then the limit itself is what is known to have passed.
  const waitedMs = limits?.startedAt !== undefined ? pool.nowMs() - limits.startedAt : timeoutMs;
  const { stats, counts, longestHeldMs } = pool.circumstances();
  const { size, overflow } = counts;
  const longestHeld = longestHeldMs.map((ms) => ({ ms }));
  const what = step === "wait" ? "no connection came free" : "the creator did not answer";
  const held = longestHeld.length > 0 ? `; held longest, at least: ${longestHeld.map(({ ms }) => `${ms} ms`).join(", ")}` : "";
  return new PoolTimeoutError(
    `${what} within ${timeoutMs} ms (${option}) in the pool ${name}: ${stats.used} in use, ${stats.idle} idle, ${stats.opening} opening of at most ${stats.max}, ${stats.waiting} waiting${held}`,
    name,
    { stats, size, overflow, waitedMs, timeoutMs, step, longestHeld },
  );
}
