/** What every kind of pool offers, over its scopes. The kinds differ in their options and in the policy behind them. */

import { checkScopeKey, checkTryOptions, closePatience, type Patience } from "./call-options.js";
import { Scope } from "./engine/scope.js";
import { Scopes } from "./engine/scopes.js";
import { ArgumentError } from "./errors.js";
import { checkListener, eventPairs, listenOnClass, Listeners, type ListenOptions, type PoolEvents } from "./events.js";
import { hasContexts, isThenable } from "./host.js";
import type { PooledConnection } from "./lease.js";
import type { Echo } from "./logger.js";
import type { Observable, Observer } from "./observer.js";
import type { ConnectOptions, Creator, Duration, PoolOptions, TryConnectOptions } from "./options.js";
import { gauges, type Kind } from "./protocol.js";
import { checkEcho, poolSettings, type Settings } from "./settings.js";
import { withoutGauges, type PoolCounts, type PoolStats } from "./stats.js";
import { summarize } from "./summaries.js";
import { checkKeys, refuse, show } from "./validate.js";

/** What the constructor of a pool that is recreated goes by, whatever a subclass passes to it. */
interface Recreation {
  readonly kind: Function;
  readonly creator: Creator<any>;
  readonly options: PoolOptions<any>;
  /** Whether the subclass has passed something else. */
  isOther: boolean;
}

let recreation: Recreation | undefined;

/** The common base of the pools. `C` is the driver's connection. */
export abstract class Pool<C> implements AsyncDisposable {
  /** @internal The pool's only scope, or the one that stands for the pool as a whole. */
  readonly first: Scope<C>;
  /** Undefined if the pool has one scope. */
  readonly #scopes: Scopes<C> | undefined;
  readonly #creator: Creator<C>;
  readonly #settings: Settings<C>;
  readonly #listeners: Listeners;
  /** Performs {@link use}. */
  readonly #use: typeof this.use;

  /** `creator` makes one connected driver connection. It is called when a connection is needed, never here. */
  constructor(creator: Creator<C>, options?: PoolOptions<C>);
  /** @internal */
  constructor(creator: Creator<C>, options: PoolOptions<C>, kind: Kind);
  constructor(creator: Creator<C>, options: PoolOptions<C> = {}, kind: Kind = "QueuePool") {
    if (new.target === Pool)
      throw new ArgumentError("Pool is the common base of the pools: make a QueuePool, or another kind");
    if (recreation?.kind === new.target) {
      recreation.isOther = creator !== recreation.creator || options !== recreation.options;
      ({ creator, options } = recreation);
      recreation = undefined;
    }
    this.#settings = poolSettings<C>(kind, options, (creator as Creator<C> | undefined)?.dialect);
    if (typeof creator !== "function") {
      throw new ArgumentError(
        `creator must be a function that returns a connection, or a promise of one; it is ${show(creator)}`,
        this.#settings.loggingName,
      );
    }
    Pool.#showSummaries();
    this.#creator = creator;
    this.#listeners = new Listeners(this, this.#settings.log);
    this.#use = this.#useNamed(this.#settings.nameOfUse);
    const { events: asked = {} } = this.#settings.given;
    const events = eventPairs(asked, this.#settings.loggingName);
    this.first = new Scope(creator, this.#settings, this.#listeners);
    const { scope } = this.#settings;
    if (scope !== "isolate") {
      this.#scopes = new Scopes(
        this.first,
        (parent) => new Scope(creator, this.#settings, this.#listeners, parent),
        scope === "context" ? undefined : scope,
      );
    }
    for (const [event, listener] of events) this.#listeners.add(event, listener, {});
    // Later, so that the caller can add listeners before anything is opened.
    if (this.#settings.policy.min > 0 && scope === "isolate" && !hasContexts) queueMicrotask(() => this.first.start());
  }

  /** The pool's name in logs and errors. */
  get loggingName(): string {
    return this.first.name;
  }

  /** What is logged beyond warnings and errors; may be set at any time. */
  get echo(): Echo {
    return this.first.log.echo;
  }

  set echo(echo: Echo) {
    checkEcho(echo, this.loggingName);
    this.first.log.echo = echo;
    this.first.onEcho();
  }

  /**
   * Checks a connection out: an idle one, a new one, or after a wait. An error of the creator, a dialect, or a connect,
   * firstConnect or checkout listener comes out unchanged (the same object). An error of the pool itself is a
   * PoolError. An abort rejects with the signal's reason.
   */
  connect(options?: ConnectOptions): Promise<PooledConnection<C>> {
    return this.#scopes === undefined ? this.first.connect(options) : this.#connectIn(this.#scopes, options);
  }

  #connectIn(scopes: Scopes<C>, options: ConnectOptions | undefined): Promise<PooledConnection<C>> {
    try {
      checkScopeKey(options?.scope, this.loggingName);
      // With options a scope looks for observers: only the first one is notified of them.
      const asked = this.#listeners.hasObservers ? (options ?? {}) : options;
      return scopes.current(options?.scope).connect(asked);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** @internal The current scope, if there is one. */
  protected get here(): Scope<C> | undefined {
    return this.#scopes === undefined ? this.first : this.#scopes.seen();
  }

  /** @internal SQLAlchemy's numbers of the current scope. */
  protected get counts(): PoolCounts {
    const { here } = this;
    if (here !== undefined) return here.counts();
    const { size } = this.first.counts();
    return { size, checkedIn: 0, overflow: 0 - size, checkedOut: 0 };
  }

  /** @internal The current scope, made if there is none. `key`: that of the scope, if the caller knows it. */
  protected enter(key?: object): Scope<C> {
    return this.#scopes?.current(key) ?? this.first;
  }

  /**
   * Calls connect(), runs `fn`, and returns the connection even if `fn` fails. An error that the dialect's isDisconnect
   * recognises costs the connection, alone, or with each connection as old that does not answer a ping. The error comes
   * out unchanged. Settles once the connection is back; at once if it is busy, and at the latest when a step of its
   * return has taken `returnTimeout`.
   */
  use<R>(fn: (connection: C, lease: PooledConnection<C>) => R | PromiseLike<R>, options?: ConnectOptions): Promise<R> {
    return this.#use(fn, options);
  }

  /** Returns the function behind use(). Its name is in the stack of each caller that waits inside of `fn`. */
  #useNamed(name: string): typeof this.use {
    const named: Record<string, typeof this.use> = {
      [name]: async (fn, options) => {
        if (typeof fn !== "function") throw this.#wantsFunction("use()", fn);
        const lease = await this.connect(options);
        try {
          return await fn(lease.connection, lease);
        } catch (error) {
          await lease.close({ error });
          throw error;
        } finally {
          await lease.close();
        }
      },
    };
    return named[name] as typeof this.use;
  }

  /**
   * The synchronous connect(): returns a lease at once, or undefined if that needs a wait. An opening, ping or checkout
   * listener that answers with a promise goes on for the next caller. Throws what connect() would reject with.
   */
  tryConnect(options?: TryConnectOptions): PooledConnection<C> | undefined {
    if (options !== undefined) checkTryOptions(options, "tryConnect()", this.loggingName);
    return this.enter(options?.scope).connectNow(false);
  }

  /**
   * The synchronous use(): calls `fn` with a connection, returns the connection, and returns what `fn` returned. Throws
   * a PoolTimeoutError if it would have to wait for a connection. If the dialect answers with a promise, the return
   * goes on in the background. A promise of `fn` is an ArgumentError, and costs the connection.
   */
  useSync<R>(fn: (connection: C, lease: PooledConnection<C>) => R, options?: TryConnectOptions): R {
    if (typeof fn !== "function") throw this.#wantsFunction("useSync()", fn);
    if (options !== undefined) checkTryOptions(options, "useSync()", this.loggingName);
    const lease = this.enter(options?.scope).connectNow(true) as PooledConnection<C>;
    let result: R;
    try {
      result = fn(lease.connection, lease);
    } catch (error) {
      void lease.close({ error });
      throw error;
    }
    if (isThenable(result)) throw this.#wentOn(result, lease);
    void lease.close();
    return result;
  }

  /** The function goes on, with a connection that must not be lent to another caller. */
  #wentOn(promise: PromiseLike<unknown>, lease: PooledConnection<C>): ArgumentError {
    const error = new ArgumentError(
      "the function of useSync() returned a promise: call use() instead",
      this.loggingName,
    );
    // A query that begins when it is awaited must not begin now.
    if (promise instanceof Promise) promise.catch(() => {});
    void lease.invalidate(error);
    return error;
  }

  #wantsFunction(call: string, fn: unknown): ArgumentError {
    return new ArgumentError(`${call} wants a function of the connection; it got ${show(fn)}`, this.loggingName);
  }

  /**
   * Closes idle connections. Leases stay usable, and their connections are closed at return; the pool stays usable.
   * Never rejects. In Workers it closes those of the current request or object. Those of others are never handed out
   * again, and closed at the next call there.
   */
  dispose(): Promise<void> {
    const { log } = this.first;
    const [scope, ...others] = this.withinReach() as [Scope<C>, ...Array<Scope<C>>];
    return scope
      .disposeWith(others)
      .then(() => (log.isInfo ? log.info(`disposed; ${this.#statusOf(scope.stats())}`) : undefined));
  }

  /**
   * Returns a new pool of the same class with the same creator and settings, and the present listeners. Opens nothing.
   * Calls the constructor of the class with the creator and the options. If a subclass passes something else on, or
   * throws, the new pool still has the creator and settings of this one, and its enumerable properties.
   */
  recreate(): this {
    return this.#listeners.observe({ name: "recreate" }, () => this.#recreated());
  }

  #recreated(): this {
    this.first.log.info("recreating");
    const { events: _events, ...given } = this.#settings.given;
    const options = { ...given, echo: this.echo };
    const kind = this.constructor as new (creator: Creator<C>, options: unknown) => this;
    const before = recreation;
    const own = (recreation = { kind, creator: this.#creator, options, isOther: false });
    const { first: _first, ...properties } = this as Pool<C> & Record<string, unknown>;
    let pool: this;
    try {
      pool = new kind(this.#creator, options);
      if (own.isOther) {
        // Its functions belong to the new pool already.
        for (const [key, value] of Object.entries(properties))
          if (typeof value !== "function") (pool as Record<string, unknown>)[key] = value;
      }
    } catch {
      // The constructor of a subclass refuses what it was not made for.
      recreation = undefined;
      pool = Reflect.construct(Pool, [this.#creator, options, this.#settings.kind], kind) as this;
      Object.assign(pool, properties);
    } finally {
      recreation = before;
    }
    this.#listeners.copyTo(pool.#listeners);
    return pool;
  }

  /** Marks every open connection stale: each is replaced at its next checkout. */
  invalidateAll(_reason?: unknown): void {
    this.first.invalidateAll();
  }

  /**
   * Ends the pool. Refuses new callers, rejects waiters, waits for leases and returns up to `timeout` (default
   * `"10s"`), then terminates their connections without awaiting that. With `drain: true` (default false) it first
   * serves every caller that came before; what is left at the end of `timeout` is refused and terminated. Always
   * settles. A later call returns the same promise and can only hasten the end: the shortest `timeout` counts, 0 ends
   * it now, and a call without `drain` refuses the waiters. In Workers other requests and objects notice at their next
   * call. Inside use() it waits for its own lease until `timeout`. Rejects with an ArgumentError for a wrong option.
   */
  close(options: { timeout?: Duration | undefined; drain?: boolean | undefined } = {}): Promise<void> {
    let patience: Patience;
    try {
      patience = closePatience(options, this.loggingName);
    } catch (error) {
      return Promise.reject(error);
    }
    const [scope, ...others] = this.withinReach() as [Scope<C>, ...Array<Scope<C>>];
    return scope.closeWith(others, patience);
  }

  /** @internal The scopes that can act now. */
  withinReach(): Scope<C>[] {
    return this.#scopes?.withinReach() ?? [this.first];
  }

  /**
   * Ends the scope of a key of the option `scope`: closes its idle connections, refuses its waiters. Its leases stay
   * usable, and their connections are closed at return. Resolves when the idle connections are closed; the key may
   * begin a new scope.
   */
  endScope(key: object): Promise<void> {
    return this.#scopes?.end(key) ?? Promise.resolve();
  }

  /** Whether close() was called. */
  get closed(): boolean {
    return this.first.isClosed;
  }

  /** close(), not dispose(). */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /**
   * Returns the pool's numbers; see {@link PoolStats}. Gauges are those of the current scope (zeros if there is none
   * yet). With `scope: "all"` gauges are the sums over all scopes that were not collected yet. In Workers a further
   * request counts only while it uses, opens or waits for a connection: an idle one may have ended. Counters are always
   * the pool's.
   */
  stats(options: { scope?: "current" | "all" | undefined } = {}): PoolStats {
    checkKeys(options, ["scope"], "stats()", this.loggingName);
    const { scope = "current" } = options;
    if (scope !== "current" && scope !== "all") throw refuse("scope of stats()", scope, this.loggingName);
    return this.#statsOf(scope === "all");
  }

  /** Returns one human-readable line about the current scope. */
  status(): string {
    return this.#statusOf(this.#statsOf(false));
  }

  #statsOf(everywhere: boolean): PoolStats {
    const { here, first } = this;
    if (everywhere) return (here ?? first).statsEverywhere(this.#scopes?.contextNumber ?? -1);
    return here === undefined ? withoutGauges(first.stats()) : here.stats();
  }

  #statusOf(stats: PoolStats): string {
    const { used, returning, idle, opening, closing, waiting, max } = stats;
    const back = returning > 0 ? ` (${returning} being returned)` : "";
    return (
      `pool ${this.loggingName}: ${used} in use${back}, ${idle} idle, ${opening} opening, ${closing} closing, of at ` +
      `most ${max}; ${waiting} waiting`
    );
  }

  static #showSummaries(): void {
    summarize(Pool.prototype as Pool<any>, (pool: Pool<any>) => {
      const { kind, loggingName: name } = pool.#settings;
      const numbers: Record<string, number> = {};
      try {
        const stats = pool.stats();
        for (const gauge of [...gauges, "max"] as const) numbers[gauge] = stats[gauge];
      } catch {
        // The user's scope function may throw, and a crash leaves no numbers.
      }
      return { name, kind, closed: pool.closed, ...numbers };
    });
  }

  /** @internal What an observer may ask of the pool. */
  observable(): Observable {
    const stats = (): PoolStats => this.first.statsEverywhere(this.#scopes?.contextNumber ?? -1);
    return { listeners: this.#listeners, clock: this.#settings.clock, stats };
  }

  /** @internal Adds an observer to every pool of the class, made before or after. Returns what removes it. */
  static observe(observer: Observer): () => void {
    return listenOnClass(this, "observe", observer, {});
  }

  /** @internal */
  static isPool(value: unknown): value is Pool<any> {
    return typeof value === "object" && value !== null && #listeners in value;
  }

  /**
   * Adds a listener of this pool; returns the function that removes it. A function that is added twice for one event is
   * called once.
   */
  on<E extends keyof PoolEvents<C>>(event: E, listener: PoolEvents<C>[E], options: ListenOptions = {}): () => void {
    checkListener(event, listener, options, this.loggingName);
    return this.#listeners.add(event, listener, options);
  }

  /** Removes a listener of this pool; returns whether it was there. */
  off<E extends keyof PoolEvents<C>>(event: E, listener: PoolEvents<C>[E]): boolean {
    checkListener(event, listener, {}, this.loggingName);
    return this.#listeners.remove(event, listener);
  }
}

/** Any of the pool classes, or the base. */
export type PoolClass = abstract new (...parameters: any[]) => Pool<any>;

/**
 * Listens on one pool, or on every pool of a class made before or after: `listen(Pool, …)`, `listen(QueuePool, …)`. The
 * listeners of classes are called first. Returns the function that removes the listener.
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
