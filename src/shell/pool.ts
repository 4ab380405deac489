/** What every kind of pool offers, over one driver. The kinds differ in their options and in the policy behind them. */

import type { Creator } from "./connections.js";
import { Driver } from "./driver.js";
import { ArgumentError } from "./errors.js";
import { checkListener, listenOnClass, Listeners, type ListenOptions, type PoolEvents } from "./events.js";
import type { Echo } from "./logger.js";
import {
  checkEcho,
  checkScopeKey,
  closePatience,
  poolSettings,
  type ConnectOptions,
  type Kind,
  type PoolOptions,
  type Settings,
} from "./options.js";
import type { PooledConnection } from "./pooled-connection.js";
import { Scopes } from "./scopes.js";
import type { PoolStats } from "./stats.js";
import { checkKeys, refuse, show, type Duration } from "./values.js";

/** The common base of the pools. `C` is the driver's connection. */
export abstract class Pool<C> implements AsyncDisposable {
  /** @internal Serves the pool, or where it has several scopes stands for all of them. */
  protected readonly driver: Driver<C>;
  /** Undefined where the pool has one scope: then nothing is looked for. */
  readonly #scopes: Scopes<C> | undefined;
  readonly #creator: Creator<C>;
  readonly #settings: Settings<C>;
  readonly #listeners: Listeners;

  /** `creator` makes one connected driver connection; it is called when one is needed, never here. */
  constructor(creator: Creator<C>, options?: PoolOptions<C>);
  /** @internal */
  constructor(creator: Creator<C>, options: PoolOptions<C>, kind: Kind);
  constructor(creator: Creator<C>, options: PoolOptions<C> = {}, kind: Kind = "QueuePool") {
    if (new.target === Pool)
      throw new ArgumentError("Pool is the common base of the pools: make a QueuePool, or another kind");
    this.#settings = poolSettings<C>(kind, options);
    if (typeof creator !== "function") {
      throw new ArgumentError(
        `creator must be a function that returns a connection, or a promise of one; it is ${show(creator)}`,
        this.#settings.loggingName,
      );
    }
    this.#creator = creator;
    this.#listeners = new Listeners(this);
    this.driver = new Driver(creator, this.#settings, this.#listeners);
    const { scope } = this.#settings;
    if (scope !== "isolate") {
      this.#scopes = new Scopes(
        this.driver,
        (home) => new Driver(creator, this.#settings, this.#listeners, home),
        scope === "context" ? undefined : scope,
      );
    }
    for (const [event, listener] of this.#settings.events) this.#listeners.add(event, listener, {});
  }

  /** The pool's name in logs and errors. */
  get loggingName(): string {
    return this.driver.name;
  }

  /** What is logged beyond warnings and errors; may be set at any time. */
  get echo(): Echo {
    return this.driver.log.echo;
  }

  set echo(echo: Echo) {
    checkEcho(echo, this.loggingName);
    this.driver.log.echo = echo;
    this.driver.echoed();
  }

  /**
   * Checks a connection out: an idle one, a new one, or after a wait. What the creator, a dialect or a connect,
   * firstConnect or checkout listener throws comes out unchanged (the same object); what the pool itself says is a
   * PoolError; an abort rejects with the signal's reason.
   */
  connect(options?: ConnectOptions): Promise<PooledConnection<C>> {
    return this.#scopes === undefined ? this.driver.connect(options) : this.#connectIn(this.#scopes, options);
  }

  #connectIn(scopes: Scopes<C>, options: ConnectOptions | undefined): Promise<PooledConnection<C>> {
    try {
      checkScopeKey(options?.scope, this.loggingName);
      return scopes.current(options?.scope).connect(options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** @internal The driver of the current scope; where there is none yet, the one that stands for the pool. */
  protected get here(): Driver<C> {
    return this.#scopes?.seen() ?? this.driver;
  }

  /** @internal The driver of the current scope, made where there is none. */
  protected enter(): Driver<C> {
    return this.#scopes?.current(undefined) ?? this.driver;
  }

  /**
   * Checks out, runs `fn`, returns the connection whatever happens. An error that the dialect's isDisconnect recognises
   * first invalidates the connection and every one as old. The error comes out unchanged.
   */
  async use<R>(
    fn: (connection: C, lease: PooledConnection<C>) => R | PromiseLike<R>,
    options?: ConnectOptions,
  ): Promise<R> {
    if (typeof fn !== "function")
      throw new ArgumentError(`use() wants a function of the connection; it got ${show(fn)}`, this.loggingName);
    const lease = await (this.#scopes === undefined
      ? this.driver.connect(options)
      : this.#connectIn(this.#scopes, options));
    try {
      return await fn(lease.connection, lease);
    } catch (error) {
      if (lease.isValid && this.driver.isDisconnect(error, lease.connection))
        await lease.invalidate(error, { pool: true });
      throw error;
    } finally {
      await lease.close();
    }
  }

  /**
   * Closes idle connections. Leases stay usable and are closed at return; the pool stays usable. Never rejects. In Workers
   * those of the current request or object; those of others are never handed out again, and closed at their next call.
   */
  dispose(): Promise<void> {
    const { log } = this.driver;
    const drivers = this.#withinReach();
    drivers[0]?.disposePool();
    const disposed = Promise.all(drivers.map((driver) => driver.dispose()));
    return disposed.then(() =>
      log.isInfo ? log.info(`disposed; ${this.#statusOf(drivers[0] as Driver<C>)}`) : undefined,
    );
  }

  /** A new pool of the same class with the same settings and the listeners of this moment. Opens nothing. */
  recreate(): this {
    this.driver.log.info("recreating");
    const kind = this.constructor as new (creator: Creator<C>, options: unknown) => this;
    const { events: _events, ...given } = this.#settings.given;
    const pool = new kind(this.#creator, { ...given, echo: this.echo });
    this.#listeners.copyTo(pool.#listeners);
    return pool;
  }

  /** Marks every open connection stale: each is replaced at its next checkout. */
  invalidateAll(_reason?: unknown): void {
    this.driver.invalidateAll();
  }

  /**
   * Terminal. Refuses new callers, rejects waiters, waits for leases up to `timeout` (default `"10s"`), then terminates
   * without awaiting. Always settles; in Workers other requests and objects notice at their next call. Awaited inside use()
   * it waits for itself until `timeout`.
   */
  close(options: { timeout?: Duration } = {}): Promise<void> {
    let patienceMs: number;
    try {
      patienceMs = closePatience(options, this.loggingName);
    } catch (error) {
      return Promise.reject(error);
    }
    const [only, ...others] = this.#withinReach() as [Driver<C>, ...Array<Driver<C>>];
    only.endPool(patienceMs);
    if (others.length === 0) return only.awaitEnd();
    return Promise.all([only, ...others].map((driver) => driver.awaitEnd())).then(() => undefined);
  }

  #withinReach(): Driver<C>[] {
    return this.#scopes?.withinReach() ?? [this.driver];
  }

  /**
   * Ends a scope that a `scope` function made: closes its idle connections, refuses its waiters. Its leases stay usable
   * and are closed at their return. Resolves when what was idle is closed; the key may begin a new scope.
   */
  endScope(key: object): Promise<void> {
    return this.#scopes?.end(key) ?? Promise.resolve();
  }

  /** Whether close() was called. */
  get closed(): boolean {
    return this.driver.isClosed;
  }

  /** close(), not dispose(). */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /**
   * Numbers with one meaning each; see {@link PoolStats}. Gauges are the current scope's (zeros where there is none yet),
   * or with `scope: "all"` the sums of those of all scopes that were not collected yet; counters are always the pool's.
   */
  stats(options: { scope?: "current" | "all" } = {}): PoolStats {
    checkKeys(options, ["scope"], "stats()", this.loggingName);
    const { scope = "current" } = options;
    if (scope !== "current" && scope !== "all") throw refuse("scope of stats()", scope, this.loggingName);
    return this.here.stats(scope === "all");
  }

  /** One human-readable line about the current scope. */
  status(): string {
    return this.#statusOf(this.here);
  }

  #statusOf(driver: Driver<C>): string {
    const { used, idle, opening, closing, waiting, max } = driver.stats(false);
    return `pool ${this.loggingName}: ${used} in use, ${idle} idle, ${opening} opening, ${closing} closing, of at most ${max}; ${waiting} waiting`;
  }

  /** @internal */
  static isPool(value: unknown): value is Pool<any> {
    return typeof value === "object" && value !== null && #listeners in value;
  }

  /** Adds a listener of this pool; answers the function that removes it. A function is heard once for each event, however often it is added. */
  on<E extends keyof PoolEvents<C>>(event: E, listener: PoolEvents<C>[E], options: ListenOptions = {}): () => void {
    checkListener(event, listener, options, this.loggingName);
    return this.#listeners.add(event, listener, options);
  }

  /** Removes a listener of this pool; answers whether it was there. */
  off<E extends keyof PoolEvents<C>>(event: E, listener: PoolEvents<C>[E]): boolean {
    checkListener(event, listener, {}, this.loggingName);
    return this.#listeners.remove(event, listener);
  }
}

/** Any of the pool classes, or the base. */
export type PoolClass = abstract new (...parameters: any[]) => Pool<any>;

/**
 * Listens on one pool, or on every pool of a class made before or after: `listen(Pool, …)`, `listen(QueuePool, …)`. The
 * listeners of classes come first. Answers the function that removes the listener.
 */
export function listen<C, E extends keyof PoolEvents<C>>(
  target: Pool<C>,
  event: E,
  listener: PoolEvents<C>[E],
  options?: ListenOptions,
): () => void;
export function listen<E extends keyof PoolEvents<any>>(
  target: PoolClass,
  event: E,
  listener: PoolEvents<any>[E],
  options?: ListenOptions,
): () => void;
export function listen(
  target: Pool<any> | PoolClass,
  event: keyof PoolEvents<any>,
  listener: (...parameters: any[]) => unknown,
  options: ListenOptions = {},
): () => void {
  if (Pool.isPool(target)) return target.on(event, listener, options);
  if (typeof target !== "function" || !(target === Pool || (target.prototype as unknown) instanceof Pool)) {
    throw new ArgumentError(`listen() wants a pool, or a class of pools; it got ${show(target)}`);
  }
  checkListener(event, listener, options, "");
  return listenOnClass(target, event, listener, options);
}
