/** The words of a refusal: what a caller is told whom the policy gives no connection. Used by driver.ts. */

import { AssertionError, PoolClosedError, PoolTimeoutError, QueueFullError, type PoolError, type TimeoutStep } from "./errors.js";
import type { CoreOptions, Limits } from "./options.js";
import { Refusal } from "./protocol.js";
import type { PoolCounts, PoolStats } from "./stats.js";
import { show } from "./values.js";

/** How the pool did when a caller was refused. */
export interface Snapshot {
  readonly stats: PoolStats;
  readonly counts: PoolCounts;
  readonly longestHeld: ReadonlyArray<{ readonly ms: number; readonly stack?: string }>;
}

/** What the errors tell of the pool, asked for only when one is made. */
export interface Circumstances {
  readonly name: string;
  readonly core: CoreOptions;
  /** Whether it is the caller's scope that was ended, and not the pool. */
  readonly isScopeEnded: boolean;
  /** Where the lease of an assertion pool was checked out. */
  readonly takenAt: string | undefined;
  circumstances(): Snapshot;
  nowMs(): number;
}

/** The error for a refusal that is the pool's own. `limits`: the caller's own times. */
export function refusalError(refusal: number, limits: Limits | undefined, pool: Circumstances): PoolError {
  if (refusal === Refusal.Closed) {
    return new PoolClosedError(pool.name, pool.isScopeEnded ? `this scope of the pool ${pool.name} has ended: endScope() was called with its key, or its key was collected` : undefined);
  }
  if (refusal === Refusal.QueueFull) {
    const { waiting, used, max } = pool.circumstances().stats;
    return new QueueFullError(
      `the queue of the pool ${pool.name} is full: ${waiting} callers wait already (maxWaiters: ${show(pool.core.maxWaiters)}), ${used} of at most ${max} connections are in use`,
      pool.name,
    );
  }
  if (refusal === Refusal.InUse) {
    const where = pool.takenAt === undefined ? "" : `; it was checked out\n${pool.takenAt}\nand is asked for again`;
    return new AssertionError(`the connection of the pool ${pool.name} is already checked out${where}`, pool.name);
  }
  return timeoutError(refusal, limits, pool);
}

/** Where the time ran out: in which step, by which option, and what was missing. */
const timeouts: Record<number, { step: TimeoutStep; option: "timeout" | "deadline" | "driverTimeout"; what: string }> = {
  [Refusal.WaitTimeout]: { step: "wait", option: "timeout", what: "no connection came free" },
  [Refusal.WaitDeadline]: { step: "wait", option: "deadline", what: "no connection came free" },
  [Refusal.OpenTimeout]: { step: "open", option: "driverTimeout", what: "the creator did not answer" },
  [Refusal.OpenDeadline]: { step: "open", option: "deadline", what: "the creator did not answer" },
  [Refusal.PingDeadline]: { step: "ping", option: "deadline", what: "the ping was not answered" },
  [Refusal.ListenerTimeout]: { step: "listener", option: "driverTimeout", what: "a listener did not end" },
  [Refusal.ListenerDeadline]: { step: "listener", option: "deadline", what: "a listener did not end" },
};

function timeoutError(refusal: number, limits: Limits | undefined, pool: Circumstances): PoolTimeoutError {
  const { core, name } = pool;
  const { step, option, what } = timeouts[refusal] as (typeof timeouts)[number];
  const timeoutMs = (option === "deadline" ? limits?.deadlineMs : option === "timeout" ? limits?.timeoutMs : undefined) ?? core[option];
  // Where the start was not timed, the limit itself is what is known to have passed.
  const waitedMs = limits?.startedAt !== undefined ? pool.nowMs() - limits.startedAt : timeoutMs;
  const { stats, counts, longestHeld } = pool.circumstances();
  const { size, overflow } = counts;
  const held = longestHeld.length > 0 ? `; held longest, at least: ${longestHeld.map(({ ms }) => `${ms} ms`).join(", ")}` : "";
  return new PoolTimeoutError(
    `${what} within ${timeoutMs} ms (${option}) in the pool ${name}: ${stats.used} in use, ${stats.idle} idle, ${stats.opening} opening of at most ${stats.max}, ${stats.waiting} waiting${held}`,
    name,
    { stats, size, overflow, waitedMs, timeoutMs, step, longestHeld },
  );
}
