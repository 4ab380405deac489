/**
 * edgepool: a connection pool for JavaScript isolates.
 *
 * Make a {@link QueuePool} with a function that opens one connection. Then either `pool.use(fn)`, which returns the
 * connection whatever happens, or `pool.connect()` for a {@link PooledConnection} ("lease") that you close yourself.
 * A dialect from `edgepool/dialects/*` tells the pool how to reset and close one driver's connections; listeners
 * (`pool.on`, {@link listen}) hear of every step. The other kinds of pool are {@link NullPool}, {@link StaticPool},
 * {@link SingletonThreadPool} and {@link AssertionPool}.
 *
 * @module
 */

export type { PoolClock } from "./clock.js";
export type { Creator } from "./connections.js";
export type { Dialect } from "./dialect.js";
export {
  ArgumentError,
  AssertionError,
  DisconnectionError,
  InvalidRequestError,
  PoolClosedError,
  PoolCrashedError,
  PoolError,
  PoolTimeoutError,
  QueueFullError,
  type PoolErrorCode,
  type TimeoutDetails,
  type TimeoutStep,
} from "./errors.js";
export type {
  ListenOptions,
  PoolEvents,
  PoolListenerPair,
  PoolListeners,
  PoolOperation,
  ResetState,
} from "./events.js";
export type { Echo, PoolLogger } from "./logger.js";
export type {
  AssertionPoolOptions,
  ConnectOptions,
  PoolOptions,
  QueuePoolOptions,
  ResetStyle,
  SingletonThreadPoolOptions,
} from "./options.js";
export { AssertionPool, NullPool, SingletonThreadPool, StaticPool } from "./other-pools.js";
export { listen, Pool, type PoolClass } from "./pool.js";
export type { InvalidateOptions, LeaseCloseOptions, PooledConnection } from "./pooled-connection.js";
export { AsyncAdaptedQueuePool, QueuePool } from "./queue-pool.js";
export type { ConnectionRecord } from "./record.js";
export type { PoolStats } from "./stats.js";
export type { Duration } from "./values.js";
