/** The options of one call, checked: connect() and use(), close(), warm(). */

import type { GuardedClock } from "./clock.js";
import type { ConnectOptions, TryConnectOptions } from "./options.js";
import { checkedMillis, checkIsFlag, checkIsOptions, checkKeys, isSignal, refuse } from "./validate.js";

/** One caller's own times, and where it called. In milliseconds; undefined for the pool's own times. */
export interface Limits {
  readonly timeoutMs: number | undefined;
  readonly deadlineMs: number | undefined;
  readonly priority: number;
  /** As {@link GuardedClock.elapsed}; undefined if nothing needs it. */
  readonly startedAt: number | undefined;
  readonly stack: string | undefined;
}

const connectKeys = ["signal", "timeout", "deadline", "priority", "scope"] as const;

/** What the policy counts. */
const mostPriority = 2 ** 31 - 1;

/**
 * Checks the options of one connect() and returns the caller's own times, if any. Throws an ArgumentError that names
 * the first wrong option.
 */
export function connectLimits(
  options: unknown,
  poolDeadlineMs: number,
  clock: GuardedClock,
  pool: string,
  mayQueueAgain: boolean,
): Limits | undefined {
  checkIsOptions(options, "connect()", pool);
  checkKeys(options, connectKeys, "connect()", pool);
  const { signal, timeout, deadline, priority = 0 } = options as ConnectOptions;
  if (signal !== undefined && !isSignal(signal)) throw refuse("signal", signal, pool);
  if (!Number.isInteger(priority) || priority < 0 || priority > mostPriority) throw refuse("priority", priority, pool);
  checkScopeKey((options as ConnectOptions).scope, pool);
  if (timeout === undefined && deadline === undefined && priority === 0 && poolDeadlineMs === Infinity)
    return undefined;
  const timeoutMs = timeout === undefined ? undefined : checkedMillis("timeout", timeout, pool);
  const deadlineMs = deadline === undefined ? undefined : checkedMillis("deadline", deadline, pool);
  // A caller that queues again waits for what is left of its timeout then.
  const isTimed =
    (deadlineMs ?? poolDeadlineMs) !== Infinity || (mayQueueAgain && (timeoutMs ?? Infinity) !== Infinity);
  const startedAt = isTimed ? clock.elapsed() : undefined;
  return { timeoutMs, deadlineMs, priority, startedAt, stack: undefined };
}

/** Checks the options of a call that does not wait. */
export function checkTryOptions(options: unknown, call: string, pool: string): asserts options is TryConnectOptions {
  checkKeys(options, ["scope"], call, pool);
  checkScopeKey((options as TryConnectOptions).scope, pool);
}

/** Checks the key of a scope. */
export function checkScopeKey(key: unknown, pool: string): asserts key is object | undefined {
  if (key !== undefined && (typeof key !== "object" || key === null)) throw refuse("scope of connect()", key, pool);
}

/** How long close() may wait, and whether the callers that came before are served. */
export interface Patience {
  readonly ms: number;
  readonly drains: boolean;
}

/** Checks the options of close(). */
export function closePatience(options: unknown, pool: string): Patience {
  checkIsOptions(options, "close()", pool);
  checkKeys(options, ["timeout", "drain"], "close()", pool);
  const { timeout = "10s", drain = false } = options;
  const option = "timeout of close()";
  // No null here: close() always settles.
  if (timeout === null) throw refuse(option, timeout, pool);
  checkIsFlag("drain", drain, pool);
  return { ms: checkedMillis(option, timeout, pool), drains: drain };
}

/** Checks how many connections warm() is to open. */
export function warmCount(count: unknown, pool: string): number {
  if (!Number.isSafeInteger(count) || (count as number) < 0) throw refuse("count of warm()", count, pool);
  return Math.min(count as number, 2 ** 30);
}
