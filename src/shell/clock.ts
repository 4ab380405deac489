/** The pool's source of time: the host's, or one of a test or a simulation. Read only if an option needs it. */

import type { Log } from "./logger.js";

/** A source of time. All in milliseconds. */
export interface PoolClock {
  /** Milliseconds since any fixed moment, never going back. */
  now(): number;
  /**
   * Calls `callback` once, in `ms` milliseconds or later, and never before setTimeout() has returned. Returns a handle.
   * If the handle has `ref()` and `unref()`, the pool uses them.
   */
  setTimeout(callback: () => void, ms: number): unknown;
  /** Ends a timer that setTimeout() returned, or does nothing if the timer has run out. */
  clearTimeout(handle: unknown): void;
}

/** The host's clock and timers, looked up at each call so that the pool uses fake timers that are installed later. */
export const hostClock: PoolClock = {
  now: () => performance.now(),
  setTimeout: (callback, ms) => setTimeout(callback, ms),
  clearTimeout: (handle) => clearTimeout(handle as Parameters<typeof clearTimeout>[0]),
};

/** A clock that remembers its last reading, which can be used while no foreign code may run. */
export interface GuardedClock extends PoolClock {
  readonly lastMs: number;
}

/**
 * Returns the same clock, except that its failures are logged: the clock is read between two calls of the policy, where
 * a throw would look like a crash. setTimeout() may still throw; timer.ts handles that.
 */
export function guardedClock(clock: PoolClock, log: Log): GuardedClock {
  let last = 0;
  return {
    get lastMs() {
      return last;
    },
    now() {
      try {
        const now = clock.now();
        if (typeof now === "number" && now >= last) last = now;
      } catch (error) {
        log.error("the pool's clock failed; it stands still", error);
      }
      return last;
    },
    setTimeout: (callback, ms) => clock.setTimeout(callback, ms),
    clearTimeout(handle) {
      try {
        clock.clearTimeout(handle);
      } catch (error) {
        log.error("the pool's clock could not clear a timer", error);
      }
    },
  };
}

/** Lets a timer keep the process alive, or not, if the host's timers support that (Node, Bun, newer workerd). */
export function holdProcess(handle: unknown, hold: boolean): void {
  const timer = handle as { ref?: () => unknown; unref?: () => unknown } | null;
  if (typeof timer !== "object" || timer === null) return;
  if (hold) timer.ref?.();
  else timer.unref?.();
}
