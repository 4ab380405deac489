/**
 * edgepool: a connection pool for JavaScript isolates.
 *
 * Make a {@link QueuePool} with a function that opens one connection. Then either `pool.use(fn)`, which returns the
 * connection whatever happens, or `pool.connect()` for a {@link PooledConnection} ("lease") that you close yourself.
 * A dialect from `edgepool/dialects/*` tells the pool how to reset and close one driver's connections.
 *
 * @module
 */

export type { PoolClock } from "./clock.js";
export type { Dialect } from "./dialect.js";
export type { Creator } from "./connections.js";
export {
  ArgumentError,
  InvalidRequestError,
  PoolClosedError,
  PoolCrashedError,
  PoolError,
  PoolTimeoutError,
  QueueFullError,
  type PoolErrorCode,
} from "./errors.js";
export type { PoolLogger } from "./logger.js";
export type { ConnectOptions, Duration, PoolOptions, QueuePoolOptions, ResetStyle } from "./options.js";
export { Pool } from "./pool.js";
export type { PooledConnection } from "./pooled-connection.js";
export { AsyncAdaptedQueuePool, QueuePool } from "./queue-pool.js";
export type { ConnectionRecord } from "./record.js";
export type { PoolStats } from "./stats.js";
