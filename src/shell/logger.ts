/** Where the pool reports what it must swallow to keep its books straight. */

/** Four levels; `console` is one. */
export interface PoolLogger {
  debug(message: string): void;
  info(message: string): void;
  warn(message: string): void;
  error(message: string, error?: unknown): void;
}

/** A logger that throws must not change the pool's books: its error is dropped. */
export function guarded(logger: PoolLogger): PoolLogger {
  const attempt = (log: () => void): void => {
    try {
      log();
    } catch {
      // Nothing is left to report it to.
    }
  };
  return {
    debug: (message) => attempt(() => logger.debug(message)),
    info: (message) => attempt(() => logger.info(message)),
    warn: (message) => attempt(() => logger.warn(message)),
    error: (message, error) => attempt(() => (error === undefined ? logger.error(message) : logger.error(message, error))),
  };
}
