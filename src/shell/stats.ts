/** The pool's numbers as users see them. The policy counts them (src/policy/stats.rs). */

import { counters, gauges, limits } from "./protocol.js";

/** A snapshot: gauges first, then counters since construction. `total` = `idle` + `used` + `opening` + `closing`. */
export interface PoolStats {
  /** Slots that hold or are opening a connection. */
  readonly total: number;
  /** Open and free. `checkedIn()` also counts an emptied slot that waits to reconnect; `idle` and `total` do not. */
  readonly idle: number;
  /** With a lease holder, or on the way back from one. */
  readonly used: number;
  /** Of those in use: on the way back from a lease holder, for example in a reset. */
  readonly returning: number;
  /** A creator runs for it, or its connect listeners do. */
  readonly opening: number;
  /** Being closed or terminated. These count against `max` until the call has ended or timed out. */
  readonly closing: number;
  /** Callers in the queue. */
  readonly waiting: number;
  /** Detached and not closed yet. */
  readonly detached: number;
  /** `poolSize` + `maxOverflow`, or Infinity. */
  readonly max: number;
  /** The most idle connections that the pool keeps: `poolSize`, 0 or 1, by its kind. Infinity if there is no limit. */
  readonly maxIdle: number;
  /** So many idle connections stay open for longer than `idleTimeout`. */
  readonly minIdle: number;
  /** Connections that a creator opened, including those whose connect listeners failed. */
  readonly opened: number;
  /** Creators that failed, returned nothing, or took longer than `driverTimeout`. */
  readonly openFailed: number;
  /** Leases that were handed out. */
  readonly checkouts: number;
  /** Callers that had to queue. */
  readonly waited: number;
  /** Callers refused because a time ran out. */
  readonly timedOut: number;
  /** Callers that left through their signal. */
  readonly aborted: number;
  /** Connections replaced at checkout because they were stale, or closed because of `maxAge`. */
  readonly recycled: number;
  /** Connections terminated because the pool does not trust them. */
  readonly invalidated: number;
  /** Leases that were garbage-collected without close(); see `trackLeaks`. */
  readonly leaked: number;
}

/** SQLAlchemy's four numbers. */
export interface PoolCounts {
  readonly size: number;
  readonly checkedIn: number;
  readonly overflow: number;
  readonly checkedOut: number;
}

/** Returns what a scope without a caller yet shows: nothing in it, and the counters of its pool. */
export function withoutGauges(stats: PoolStats): PoolStats {
  return { ...stats, ...Object.fromEntries(gauges.map((name) => [name, 0])) };
}

const names = [...gauges, ...limits, ...counters];

/** Returns the policy's numbers with their names (`stats` in src/bindings/mod.rs). */
export function toStats(numbers: number[][]): PoolStats {
  return Object.fromEntries(numbers.flat().map((number, place) => [names[place], number])) as unknown as PoolStats;
}
