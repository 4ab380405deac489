/** Builds the error for a caller whose checkout was refused. */

import type { Limits } from "../call-options.js";
import type { GuardedClock } from "../clock.js";
import {
  AssertionError,
  PoolClosedError,
  PoolTimeoutError,
  QueueFullError,
  type PoolError,
  type TimeoutStep,
} from "../errors.js";
import { Refusal } from "../protocol.js";
import type { Settings } from "../settings.js";
import type { PoolCounts, PoolStats } from "../stats.js";
import { show } from "../validate.js";
import { withoutCallerStack } from "./caller-stacks.js";
import type { Policy } from "./policy.js";
import type { Slot } from "./slot.js";

/** The pool's numbers at the moment of a refusal. */
export interface Snapshot {
  readonly stats: PoolStats;
  readonly counts: PoolCounts;
  readonly longestHeld: ReadonlyArray<{ readonly ms: number; readonly stack?: string }>;
  /** For how long the longest return has been under way, or -1. */
  readonly returningMs: number;
}

export class Refusals<C> {
  /** Where the lease of an assertion pool was checked out. */
  firstCheckoutStack: string | undefined = undefined;
  /** Whether the callers' scope was ended, and not the pool. */
  isScopeEnded = false;
  /** The error of the last opening, while openings fail and are tried again. */
  openError: unknown = undefined;
  readonly #policy: Policy;
  readonly #settings: Settings<C>;
  readonly #clock: GuardedClock;
  readonly #slots: readonly (Slot<C> | undefined)[];

  constructor(policy: Policy, settings: Settings<C>, clock: GuardedClock, slots: readonly (Slot<C> | undefined)[]) {
    this.#policy = policy;
    this.#settings = settings;
    this.#clock = clock;
    this.#slots = slots;
  }

  /**
   * Returns the pool's numbers now: one snapshot serves all callers that are refused together. Does not read the clock.
   */
  snapshot(): Snapshot {
    return { stats: this.#policy.stats(false, -1), counts: this.#policy.counts(), ...this.#longestHeld() };
  }

  /** Whether a caller is refused for want of time. */
  isTimeout(refusal: number): boolean {
    return refusal in timeouts;
  }

  /**
   * Returns the error for a refused caller. `limits`: the caller's own times. `isNow`: the caller does not wait. Does
   * not read the clock.
   */
  errorFor(refusal: number, limits?: Limits, snapshot?: Snapshot, isNow = false): unknown {
    if (refusal === Refusal.Failed) return this.openError;
    return withoutCallerStack(this.#errorFor(refusal, limits, snapshot, isNow), {
      nameOfUse: this.#settings.nameOfUse,
      stack: limits?.stack,
    });
  }

  #errorFor(refusal: number, limits: Limits | undefined, snapshot: Snapshot | undefined, isNow: boolean): PoolError {
    const pool = this.#settings.loggingName;
    switch (refusal) {
      case Refusal.Closed:
        return new PoolClosedError(
          pool,
          this.isScopeEnded
            ? `this scope of the pool ${pool} has ended: endScope() was called with its key, or its key was collected`
            : undefined,
        );
      case Refusal.QueueFull: {
        const { waiting, used, max } = (snapshot ?? this.snapshot()).stats;
        return new QueueFullError(
          `the queue of the pool ${pool} is full: callers waiting: ${waiting} (maxWaiters: ` +
            `${show(this.#settings.policy.maxWaiters)}), connections in use: ${used} of at most ${max}`,
          pool,
        );
      }
      case Refusal.InUse: {
        const stack = this.firstCheckoutStack;
        const where = stack === undefined ? "" : `; it was checked out\n${stack}\nand is checked out again`;
        return new AssertionError(`the connection of the pool ${pool} is already checked out${where}`, pool);
      }
      default:
        return this.#timeout(refusal, limits, snapshot ?? this.snapshot(), isNow);
    }
  }

  #timeout(
    refusal: number,
    limits: Limits | undefined,
    { stats, counts, longestHeld, returningMs }: Snapshot,
    isNow: boolean,
  ): PoolTimeoutError {
    const { policy, loggingName: pool } = this.#settings;
    const { step, option: named, what } = timeouts[refusal] as (typeof timeouts)[number];
    const ownMs = { deadline: limits?.deadlineMs ?? policy.deadline, timeout: limits?.timeoutMs ?? policy.timeout };
    // With openRetry the timeout of a caller without a deadline bounds its opening, too.
    const isTimeout = named === "deadline" && ownMs.deadline === Infinity;
    const isDriver = named === "openTimeout" && policy.openTimeout < 0;
    const option = isTimeout ? "timeout" : isDriver ? "driverTimeout" : named;
    const timeoutMs = isNow ? 0 : option === "deadline" || option === "timeout" ? ownMs[option] : policy[option];
    // If the start was not timed, the limit itself is known to have passed.
    const waitedMs = !isNow && limits?.startedAt !== undefined ? this.#clock.lastMs - limits.startedAt : timeoutMs;
    const within = isNow ? "at once, as useSync() wants it," : `within ${timeoutMs} ms (${option})`;
    const { size, overflow } = counts;
    const held =
      longestHeld.length > 0 ? `; held longest, at least: ${longestHeld.map(({ ms }) => `${ms} ms`).join(", ")}` : "";
    const since = returningMs < 0 ? "" : `, for at least ${returningMs} ms`;
    const returning = stats.returning > 0 ? ` (${stats.returning} being returned${since})` : "";
    return new PoolTimeoutError(
      `${what} ${within} in the pool ${pool}: ${stats.used} in use${returning}, ` +
        `${stats.idle} idle, ${stats.opening} opening, ${stats.closing} closing, of at most ` +
        `${stats.max} connections; others waiting: ${stats.waiting}${held}`,
      pool,
      { stats, size, overflow, waitedMs, timeoutMs, step, longestHeld },
      this.openError === undefined ? undefined : { cause: this.openError },
    );
  }

  #longestHeld(): Pick<Snapshot, "longestHeld" | "returningMs"> {
    const { held, returningMs } = this.#policy.longestHeld(
      this.#settings.keepsStacks ? this.#clock.reading : undefined,
    );
    const longestHeld = held.map(({ ms, index }) => {
      const stack = this.#slots[index]?.held?.stack;
      return stack === undefined ? { ms } : { ms, stack };
    });
    return { longestHeld, returningMs };
  }
}

type TimeOption = "timeout" | "deadline" | "driverTimeout" | "openTimeout";

/** By refusal: in which step and by which option the time ran out, and what was missing. */
const timeouts: Record<number, { step: TimeoutStep; option: TimeOption; what: string }> = {
  [Refusal.WaitTimeout]: { step: "wait", option: "timeout", what: "no connection came free" },
  [Refusal.WaitDeadline]: { step: "wait", option: "deadline", what: "no connection came free" },
  [Refusal.OpenTimeout]: { step: "open", option: "openTimeout", what: "the creator did not answer" },
  [Refusal.OpenDeadline]: { step: "open", option: "deadline", what: "the creator did not answer" },
  [Refusal.PingDeadline]: { step: "ping", option: "deadline", what: "the ping was not answered" },
  [Refusal.ListenerTimeout]: { step: "listener", option: "driverTimeout", what: "a listener did not end" },
  [Refusal.ListenerDeadline]: { step: "listener", option: "deadline", what: "a listener did not end" },
};
