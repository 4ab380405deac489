/**
 * What edgepool/otel and edgepool/diagnostics see of a pool: its activities. An observer performs the call of each
 * activity, and passes on what the call returns or throws. It decides nothing, and guards the pool against the code
 * that it calls.
 */

import type { DriverCall } from "./dialect.js";
import type { PoolClock } from "./clock.js";
import type { ConnectionRecord } from "./record.js";
import type { PoolStats } from "./stats.js";

export type ActivityName = "checkout" | "open" | "ping" | "reset" | "close" | "return" | "recreate";

/** One thing that a pool does. */
export interface Activity {
  readonly name: ActivityName;
  /** Of open, ping, reset and close; null if the connection has no slot any more. */
  readonly record?: ConnectionRecord<any> | null;
  /** Of ping, reset and close. */
  readonly connection?: unknown;
  /** Of reset and close. */
  readonly call?: DriverCall;
  /** Of reset and close: the error because of which the connection is not trusted. */
  readonly reason?: unknown;
  /** Of return: that of the lease holder. */
  readonly lease?: ObservableLease;
}

/** A lease, to an observer of returns. */
export interface ObservableLease {
  /** Whether it has left its slot: it has ended, or its connection was detached or has died. */
  readonly isDetached: boolean;
  /** When its caller received it, for observers to keep. */
  lentAt: number | undefined;
}

/** Performs the call of an activity, and returns or throws what the call does. */
export type Observer = <R>(pool: object, activity: Activity, call: () => R) => R;

/** What an observer may ask of a pool. */
export interface Observable {
  readonly clock: PoolClock;
  readonly listeners: {
    add(event: "observe", observer: Observer, options: object): unknown;
    remove(event: "observe", observer: Observer): unknown;
    /** Logs an error of the observer, and emits it. */
    report(operation: "listener", error: unknown, record: null, what: string): void;
  };
  /** Of all scopes, outside of every request, too. */
  stats(): PoolStats;
}
