/**
 * edgepool: a connection pool for JavaScript isolates.
 *
 * Make a {@link QueuePool} with a function that opens one connection. Then call `pool.use(fn)`, which returns the
 * connection even if `fn` fails, or `pool.connect()` for a {@link PooledConnection} ("lease") that you close yourself.
 * A dialect from `edgepool/dialects/*` resets and closes one driver's connections; listeners (`pool.on`, {@link
 * listen}) are called at every step. The other kinds of pool are {@link NullPool}, {@link StaticPool}, {@link
 * SingletonThreadPool} and {@link AssertionPool}.
 *
 * @module
 */

export type { PoolClock } from "./clock.js";
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
export { AssertionPool, AsyncAdaptedQueuePool, NullPool, QueuePool, SingletonThreadPool, StaticPool } from "./kinds.js";
export type { InvalidateOptions, LeaseCloseOptions, PooledConnection } from "./lease.js";
export type { Echo, PoolLogger } from "./logger.js";
export type {
  AssertionPoolOptions,
  ConnectOptions,
  Creator,
  OpeningContext,
  Duration,
  LendingPoolOptions,
  PoolOptions,
  PoolSizes,
  QueuePoolOptions,
  ResetStyle,
  SingletonThreadPoolOptions,
  TryConnectOptions,
} from "./options.js";
export { listen, Pool, type PoolClass } from "./pool.js";
export type { ConnectionRecord } from "./record.js";
export type { PoolStats } from "./stats.js";
