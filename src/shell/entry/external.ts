/**
 * OpenNext: Turbopack leaves this import as it is, and the bundler after it resolves "edgepool" for Workers. What
 * Turbopack bundles itself is evaluated in a handler, and there Workers compile nothing.
 */

export const {
  ArgumentError,
  AssertionError,
  AssertionPool,
  AsyncAdaptedQueuePool,
  DisconnectionError,
  InvalidRequestError,
  listen,
  NullPool,
  Pool,
  PoolClosedError,
  PoolCrashedError,
  PoolError,
  PoolTimeoutError,
  QueueFullError,
  QueuePool,
  SingletonThreadPool,
  StaticPool,
} = await import(/* turbopackIgnore: true */ "edgepool");
