/** What the pool tells, and where: a logger with four levels, behind the pool's `echo`. */

/** Four levels; `console` is one. Each is given one line that begins with the pool's name. What a logger throws is dropped. */
export interface PoolLogger {
  /** Every opening, checkout, return and close; only with `echo: "debug"`. */
  debug(message: string): void;
  /** Invalidations, replacements and the pool's own turns; only with `echo`. */
  info(message: string): void;
  /** What a program should be mended for: a lost lease, a connection without a rollback. */
  warn(message: string): void;
  /** What the pool swallowed, with the error where there is one, the message first as `console` has it. */
  error(message: string, error?: unknown): void;
}

/** How much is told beyond warnings and errors: nothing; invalidations, replacements and the pool's own turns; or every opening, checkout, return and close, too. */
export type Echo = boolean | "debug" | null;

/**
 * The log of one pool. Its messages begin with the pool's name. Whoever has something to say at the lower levels asks
 * first: nothing is worded that is not shown. A logger that throws must not change the pool's books: its error is dropped.
 */
export class Log {
  readonly pool: string;
  readonly #logger: PoolLogger;
  #echo: Echo = null;
  isInfo = false;
  isDebug = false;

  constructor(logger: PoolLogger, pool: string, echo: Echo) {
    this.#logger = logger;
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
    if (this.isDebug) this.#attempt(() => this.#logger.debug(this.#named(message)));
  }

  info(message: string): void {
    if (this.isInfo) this.#attempt(() => this.#logger.info(this.#named(message)));
  }

  warn(message: string): void {
    this.#attempt(() => this.#logger.warn(this.#named(message)));
  }

  error(message: string, error?: unknown): void {
    this.#attempt(() =>
      error === undefined ? this.#logger.error(this.#named(message)) : this.#logger.error(this.#named(message), error),
    );
  }

  #named(message: string): string {
    return `pool ${this.pool}: ${message}`;
  }

  #attempt(log: () => void): void {
    try {
      log();
    } catch {
      // Nothing is left to report it to.
    }
  }
}
