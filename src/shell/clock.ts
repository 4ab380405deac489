/** The pool's source of time: the host's, or one of a test or a simulation. Read only if an option needs it. */

import type { Log } from "./logger.js";

/** A source of time. All in milliseconds. */
export interface PoolClock {
  /** Milliseconds since any fixed moment. A clock that goes back counts from its new reading. */
  now(): number;
  /**
   * Calls `callback` once, in `ms` milliseconds or later, and never before setTimeout() has returned. Returns a handle.
   * If the handle has `ref()` and `unref()`, the pool uses them.
   */
  setTimeout(callback: () => void, ms: number): unknown;
  /** Ends a timer that setTimeout() answered, also one that has run out. */
  clearTimeout(handle: unknown): void;
}

/** The host's clock and timers, looked up at each call so that fake timers installed later are seen. */
export const hostClock: PoolClock = {
  now: () => performance.now(),
  setTimeout: (callback, ms) => setTimeout(callback, ms),
  clearTimeout: (handle) => clearTimeout(handle as Parameters<typeof clearTimeout>[0]),
};

/** A leap of more than thirty years is a fault of the clock. */
const longestLeapMs = 2 ** 40;

/**
 * A clock that remembers its last reading, which can be used while no foreign code may run. It guards the pool against
 * the clock that it reads: a failure costs a reading, never the pool. The clock is read between two calls of the
 * policy, and a throw there would look like a crash. A clock that goes back, as fake timers do when they are installed,
 * counts from its new reading. Setting a timer may throw.
 */
export class GuardedClock implements PoolClock {
  readonly #clock: PoolClock;
  readonly #log: Log;
  #time = 0;
  #base: number | undefined;
  #reading = NaN;

  constructor(clock: PoolClock, log: Log) {
    this.#clock = clock;
    this.#log = log;
  }

  /** The last reading as the policy takes it: NaN if the clock failed. */
  get reading(): number {
    return this.#reading;
  }

  /** Milliseconds from the first reading to the last one; they never go back. */
  get lastMs(): number {
    return this.#time;
  }

  now(): number {
    let reading = NaN;
    // The clock and the log are foreign code.
    this.#reading = NaN;
    try {
      const answer: unknown = this.#clock.now();
      if (typeof answer === "number") reading = answer;
    } catch (error) {
      this.#log.error("the pool's clock failed; the pool's time stands still", error);
    }
    this.#reading = reading;
    const passed = reading - (this.#base ?? reading);
    if (passed < longestLeapMs && passed > -Infinity) {
      this.#time += Math.max(passed, 0);
      this.#base = reading;
    }
    return reading;
  }

  /** Reads the clock. Returns {@link lastMs}. */
  elapsed(): number {
    this.now();
    return this.#time;
  }

  setTimeout(callback: () => void, ms: number): unknown {
    return this.#clock.setTimeout(callback, ms);
  }

  /**
   * Calls `callback` after one turn of the host's loop. Returns the handle of a timer, if it is one: an immediate runs
   * once the sockets were read, and a timer that is due may run before that.
   */
  afterTurn(callback: () => void): unknown {
    const { setImmediate } = globalThis as { setImmediate?: (callback: () => void) => unknown };
    if (this.#clock !== hostClock || setImmediate === undefined) return this.#clock.setTimeout(callback, 1);
    setImmediate(callback);
    return undefined;
  }

  clearTimeout(handle: unknown): void {
    try {
      this.#clock.clearTimeout(handle);
    } catch (error) {
      this.#log.error("the pool's clock could not clear a timer", error);
    }
  }
}

/** Says whether a timer may keep the process alive, where the host's timers can tell (Node, Bun, newer workerd). */
export function holdProcess(handle: unknown, hold: boolean): void {
  const timer = handle as { ref?: () => unknown; unref?: () => unknown } | null;
  if (typeof timer !== "object" || timer === null) return;
  if (hold) timer.ref?.();
  else timer.unref?.();
}
