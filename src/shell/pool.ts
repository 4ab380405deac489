/** What every kind of pool offers, over one driver. The kinds differ in their options and in the policy behind them. */

import type { Creator } from "./connections.js";
import { Driver } from "./driver.js";
import { ArgumentError } from "./errors.js";
import { closePatience, show, type ConnectOptions, type Duration, type Settings } from "./options.js";
import type { PooledConnection } from "./pooled-connection.js";
import type { PoolStats } from "./stats.js";

/** The common base of the pools. `C` is the driver's connection. */
export abstract class Pool<C> implements AsyncDisposable {
  /** @internal */
  protected readonly driver: Driver<C>;
  readonly #creator: Creator<C>;
  readonly #settings: Settings<C>;

  /** @internal */
  protected constructor(creator: Creator<C>, settings: Settings<C>) {
    if (typeof creator !== "function") {
      throw new ArgumentError(`creator must be a function that returns a connection, or a promise of one; it is ${show(creator)}`, settings.loggingName);
    }
    this.#creator = creator;
    this.#settings = settings;
    this.driver = new Driver(creator, settings);
  }

  /** The pool's name in logs and errors. */
  get loggingName(): string {
    return this.driver.name;
  }

  /**
   * Checks a connection out: an idle one, a new one, or after a wait. What the creator throws comes out unchanged (the
   * same object); what the pool itself says is a PoolError; an abort rejects with the signal's reason.
   */
  connect(options?: ConnectOptions): Promise<PooledConnection<C>> {
    return this.driver.connect(options);
  }

  /**
   * Checks out, runs `fn`, returns the connection whatever happens. An error that the dialect's isDisconnect recognises
   * first invalidates the connection and every one as old. The error comes out unchanged.
   */
  async use<R>(fn: (connection: C, lease: PooledConnection<C>) => R | PromiseLike<R>, options?: ConnectOptions): Promise<R> {
    if (typeof fn !== "function") throw new ArgumentError(`use() wants a function of the connection; it got ${show(fn)}`, this.loggingName);
    const lease = await this.driver.connect(options);
    const connection = lease.connection;
    try {
      return await fn(connection, lease);
    } catch (error) {
      if (lease.isValid && this.#isDisconnect(error, connection)) await lease.invalidate(error, { pool: true });
      throw error;
    } finally {
      await lease.close();
    }
  }

  #isDisconnect(error: unknown, connection: C): boolean {
    try {
      return this.#settings.dialect.isDisconnect?.(error, connection) === true;
    } catch (failure) {
      this.driver.logger.error(`pool ${this.loggingName}: the dialect's isDisconnect failed`, failure);
      return false;
    }
  }

  /** Closes idle connections. Leases stay usable and are closed at return; the pool stays usable. Never rejects. */
  dispose(): Promise<void> {
    return this.driver.dispose();
  }

  /** A new pool of the same class with the same settings. Opens nothing. */
  recreate(): this {
    const kind = this.constructor as new (creator: Creator<C>, options: unknown) => this;
    return new kind(this.#creator, this.#settings.given);
  }

  /** Marks every open connection stale: each is replaced at its next checkout. */
  invalidateAll(): void {
    this.driver.invalidateAll();
  }

  /**
   * Terminal. Refuses new callers, rejects waiters, waits for leases up to `timeout` (default `"10s"`), then terminates
   * without awaiting. Always settles. Awaited inside use() it waits for itself until `timeout`.
   */
  close(options: { timeout?: Duration } = {}): Promise<void> {
    let patienceMs: number;
    try {
      patienceMs = closePatience(options, this.loggingName);
    } catch (error) {
      return Promise.reject(error);
    }
    return this.driver.close(patienceMs);
  }

  /** Whether close() was called. */
  get closed(): boolean {
    return this.driver.isClosed;
  }

  /** close(), not dispose(). */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Numbers with one meaning each; see {@link PoolStats}. */
  stats(): PoolStats {
    return this.driver.stats();
  }

  /** One human-readable line. */
  abstract status(): string;
}
