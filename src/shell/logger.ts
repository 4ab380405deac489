/** Where the pool logs: a logger with four levels, filtered by the pool's `echo`. */

/**
 * A logger with four levels; `console` is one. Each call passes one line that begins with the pool's name. An error
 * that a logger throws is dropped.
 */
export interface PoolLogger {
  /** Every opening, checkout, return and close; only with `echo: "debug"`. */
  debug(message: string): void;
  /** Invalidations, replacements, dispose and recreate; only with `echo`. */
  info(message: string): void;
  /** What the program should fix: a lost lease, a connection without a rollback. */
  warn(message: string): void;
  /** An error that the pool swallowed: the message, then the error if there is one. */
  error(message: string, error?: unknown): void;
}

/**
 * What is logged beyond warnings and errors: nothing; with true invalidations, replacements, dispose and recreate; with
 * `"debug"` also every opening, checkout, return and close.
 */
export type Echo = boolean | "debug" | null;

/**
 * The log of one pool. Its messages begin with the pool's name. Callers check the level first if a message takes work
 * to word. A logger that throws must not change the pool's state, so its error is dropped.
 */
export class Log {
  readonly pool: string;
  readonly logger: PoolLogger;
  readonly #warned = new Set<string>();
  #echo: Echo = null;
  isInfo = false;
  isDebug = false;

  constructor(logger: PoolLogger, pool: string, echo: Echo) {
    this.logger = logger;
    this.pool = pool;
    this.echo = echo;
  }

  get echo(): Echo {
    return this.#echo;
  }

  set echo(echo: Echo) {
    this.#echo = echo;
    this.isDebug = echo === "debug";
    this.isInfo = echo === true || this.isDebug;
  }

  debug(message: string): void {
    if (this.isDebug) this.#attempt(() => this.logger.debug(this.#named(message)));
  }

  info(message: string): void {
    if (this.isInfo) this.#attempt(() => this.logger.info(this.#named(message)));
  }

  warn(message: string): void {
    this.#attempt(() => this.logger.warn(this.#named(message)));
  }

  /** Warns of this once, however often it is found. */
  warnOnce(message: string): void {
    if (!this.#warned.has(message)) this.warn(message);
    this.#warned.add(message);
  }

  error(message: string, error?: unknown): void {
    this.#attempt(() =>
      error === undefined ? this.logger.error(this.#named(message)) : this.logger.error(this.#named(message), error),
    );
  }

  #named(message: string): string {
    return `pool ${this.pool}: ${message}`;
  }

  #attempt(log: () => void): void {
    try {
      log();
    } catch {
      // There is no other place to report it.
    }
  }
}
