/** The words of a refusal: what a caller is told whom the policy gives no connection. */

import type { Books } from "./books.js";
import type { PoolClock } from "./clock.js";
import {
  AssertionError,
  PoolClosedError,
  PoolTimeoutError,
  QueueFullError,
  type PoolError,
  type TimeoutStep,
} from "./errors.js";
import type { Limits, Settings } from "./options.js";
import { Refusal } from "./protocol.js";
import type { Slot } from "./record.js";
import type { PoolCounts, PoolStats } from "./stats.js";
import { show } from "./values.js";

/** How the pool did when a caller was refused. */
interface Circumstances {
  readonly stats: PoolStats;
  readonly counts: PoolCounts;
  readonly longestHeld: ReadonlyArray<{ readonly ms: number; readonly stack?: string }>;
}

export class Refusals<C> {
  /** Where the lease of an assertion pool was checked out. */
  takenAt: string | undefined = undefined;
  /** Whether it is the callers' scope that was ended, and not the pool. */
  isScopeEnded = false;
  readonly #books: Books;
  readonly #settings: Settings<C>;
  readonly #clock: PoolClock;
  readonly #slots: Slot<C>[];
  #seen: Circumstances | undefined = undefined;

  constructor(books: Books, settings: Settings<C>, clock: PoolClock, slots: Slot<C>[]) {
    this.#books = books;
    this.#settings = settings;
    this.#clock = clock;
    this.#slots = slots;
  }

  /** The books have changed: who is refused from now on is told how the pool does then. */
  renew(): void {
    this.#seen = undefined;
  }

  /** The error for one who is refused alone, by the books as they are. `limits`: the caller's own times. */
  alone(refusal: number, limits: Limits | undefined): PoolError {
    this.renew();
    return this.together(refusal, limits);
  }

  /** The same for one of many who are refused together: how the pool does is looked up for the first of them. */
  together(refusal: number, limits: Limits | undefined): PoolError {
    const pool = this.#settings.loggingName;
    if (refusal === Refusal.Closed) {
      return new PoolClosedError(
        pool,
        this.isScopeEnded
          ? `this scope of the pool ${pool} has ended: endScope() was called with its key, or its key was collected`
          : undefined,
      );
    }
    if (refusal === Refusal.QueueFull) {
      const { waiting, used, max } = this.#circumstances.stats;
      return new QueueFullError(
        `the queue of the pool ${pool} is full: callers who wait already: ${waiting} (maxWaiters: ${show(this.#settings.core.maxWaiters)}), connections in use: ${used} of at most ${max}`,
        pool,
      );
    }
    if (refusal === Refusal.InUse) {
      const where = this.takenAt === undefined ? "" : `; it was checked out\n${this.takenAt}\nand is asked for again`;
      return new AssertionError(`the connection of the pool ${pool} is already checked out${where}`, pool);
    }
    return this.#timeout(refusal, limits);
  }

  #timeout(refusal: number, limits: Limits | undefined): PoolTimeoutError {
    const { core, loggingName: pool } = this.#settings;
    const { step, option, what } = timeouts[refusal] as (typeof timeouts)[number];
    const timeoutMs =
      (option === "deadline" ? limits?.deadlineMs : option === "timeout" ? limits?.timeoutMs : undefined) ??
      core[option];
    // Where the start was not timed, the limit itself is what is known to have passed.
    const waitedMs = limits?.startedAt !== undefined ? this.#clock.now() - limits.startedAt : timeoutMs;
    const { stats, counts, longestHeld } = this.#circumstances;
    const { size, overflow } = counts;
    const held =
      longestHeld.length > 0 ? `; held longest, at least: ${longestHeld.map(({ ms }) => `${ms} ms`).join(", ")}` : "";
    return new PoolTimeoutError(
      `${what} within ${timeoutMs} ms (${option}) in the pool ${pool}: ${stats.used} in use, ${stats.idle} idle, ${stats.opening} opening, ${stats.closing} closing, of at most ${stats.max} connections; others waiting: ${stats.waiting}${held}`,
      pool,
      { stats, size, overflow, waitedMs, timeoutMs, step, longestHeld },
    );
  }

  get #circumstances(): Circumstances {
    this.#seen ??= { stats: this.#books.stats(false), counts: this.#books.counts(), longestHeld: this.#longestHeld() };
    return this.#seen;
  }

  #longestHeld(): Circumstances["longestHeld"] {
    return this.#books.longestHeld(this.#settings.keepsStacks ? this.#clock.now() : undefined).map(({ ms, index }) => {
      const stack = this.#slots[index]?.held?.stack;
      return stack === undefined ? { ms } : { ms, stack };
    });
  }
}

/** Where the time ran out: in which step, by which option, and what was missing. */
const timeouts: Record<number, { step: TimeoutStep; option: "timeout" | "deadline" | "driverTimeout"; what: string }> =
  {
    [Refusal.WaitTimeout]: { step: "wait", option: "timeout", what: "no connection came free" },
    [Refusal.WaitDeadline]: { step: "wait", option: "deadline", what: "no connection came free" },
    [Refusal.OpenTimeout]: { step: "open", option: "driverTimeout", what: "the creator did not answer" },
    [Refusal.OpenDeadline]: { step: "open", option: "deadline", what: "the creator did not answer" },
    [Refusal.PingDeadline]: { step: "ping", option: "deadline", what: "the ping was not answered" },
    [Refusal.ListenerTimeout]: { step: "listener", option: "driverTimeout", what: "a listener did not end" },
    [Refusal.ListenerDeadline]: { step: "listener", option: "deadline", what: "a listener did not end" },
  };
