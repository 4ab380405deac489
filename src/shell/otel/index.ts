/**
 * edgepool/otel: puts the metrics of OpenTelemetry's semantic conventions for connection pools
 * (`db.client.connection.*`) on a meter. Needs no package: any Meter of `@opentelemetry/api` has these types.
 *
 * @module
 */

import type { Pool } from "../pool.js";
import { Instruments, type Meter } from "./instruments.js";
import { isObservable, PoolObserver } from "./pool-observer.js";

export type {
  BatchResult,
  Histogram,
  InstrumentOptions,
  Meter,
  MetricAttributes,
  ObservableInstrument,
} from "./instruments.js";

/** Options of attachMeter(). */
export interface MeterOptions {
  /** The attribute `db.client.connection.pool.name`. Default: the pool's `loggingName`. */
  poolName?: string | undefined;
}

/** The metrics of one pool, and of the pools that its recreate() makes. */
export interface PoolMetrics extends Disposable {
  /** Ends the metrics of these pools. A second call does nothing. */
  detach(): void;
  /** Calls detach(). */
  [Symbol.dispose](): void;
}

/** A pool of any kind, or a Pool of `edgepool/pg`. */
export type MeteredPool = Pool<any> | { readonly queuePool: Pool<any> };

/**
 * Puts the metrics of a pool on a meter, until detach(). Numbers are read when the meter is collected. Times are
 * recorded from now on, in seconds of the pool's clock. Pools of one name are added up. If the pool has metrics on this
 * meter already, returns those. What the meter throws later is logged, and passed to the pool's `error` listeners.
 * Throws a TypeError for what is no pool or no meter.
 */
export function attachMeter(pool: MeteredPool, meter: Meter, options: MeterOptions = {}): PoolMetrics {
  const queue: unknown = (pool as { queuePool?: unknown } | undefined)?.queuePool ?? pool;
  if (!isObservable(queue)) throw new TypeError("attachMeter() wants a pool of edgepool as its first argument");
  const { poolName = queue.loggingName } = options;
  if (typeof poolName !== "string") throw new TypeError("poolName must be a string");
  const instruments = Instruments.on(meter);
  return PoolObserver.of(queue, instruments) ?? new PoolObserver(queue, instruments, poolName);
}
