/** What users may ask of a pool: types only. Checked and completed by settings.ts and call-options.ts. */

import type { PoolClock } from "./clock.js";
import type { Dialect } from "./dialect.js";
import type { PoolListenerPair, PoolListeners } from "./events.js";
import type { Echo, PoolLogger } from "./logger.js";
import type { ConnectionRecord } from "./record.js";

/**
 * Makes one driver connection, sync or async. Called with the slot that will hold it, and with what belongs to this one
 * opening.
 */
export interface Creator<C> {
  (record: ConnectionRecord<any>, opening: OpeningContext): C | PromiseLike<C>;
  /** What the pool's option `dialect` is by default. */
  readonly dialect?: Dialect<any> | undefined;
}

/** What a creator is given of its opening. */
export interface OpeningContext {
  /**
   * Aborted if the pool has no use for the connection any more: after `openTimeout`, and at the end of the pool or of
   * the scope. A caller that leaves does not abort it, because the connection serves the next one. Made only if it is
   * read.
   */
  readonly signal: AbortSignal;
}

/**
 * A length of time. A string carries its unit (`"500ms"`, `"30s"`, `"5m"`, `"1h"`); a bare number is seconds, as in
 * SQLAlchemy. A bare number that can only be milliseconds by habit is refused: time-outs above 600, `idleTimeout` above
 * 7200, `recycle` and `maxAge` above 86400.
 */
export type Duration = number | `${number}${"ms" | "s" | "m" | "h"}`;

/** What a return resets. `true` is `"rollback"`; `false` and `null` are `"none"`. */
export type ResetStyle = "rollback" | "commit" | "session" | "none" | boolean | null;

/** Options of every pool. */
export interface PoolOptions<C> {
  /** Age past which a connection is replaced at checkout. Default -1 = never; 0 = always. */
  recycle?: Duration | undefined;
  /**
   * Age at which a connection is closed: at once if it is idle, else at its return. Never lent when older. Default:
   * never. It closes connections below `minIdle`, too; with `min` the pool opens others.
   */
  maxAge?: Duration | undefined;
  /**
   * Spread of `recycle` and `maxAge`: the fraction of them, 0 to 1, that is taken off at random for each connection.
   * Default 0.
   */
  recycleJitter?: number | undefined;
  /**
   * What each return resets. `"rollback"` (default) or `"commit"` ends an open transaction. `"session"` resets the
   * whole session, also if no transaction is open: the dialect must have `doResetSession`.
   */
  resetOnReturn?: ResetStyle | undefined;
  /** Test a re-used connection before handing it out. Default false. The dialect must be able to ping. */
  prePing?: boolean | undefined;
  /** Ping only a connection that has been idle for at least this long. Default 0. */
  prePingAfterIdle?: Duration | undefined;
  /** How to talk to the driver. Default: what the connection itself offers. */
  dialect?: Dialect<NoInfer<C>> | undefined;
  /**
   * Whether a statement of a lease that has ended is refused, and does not reach the next caller's transaction. Lease
   * holders then have a proxy in place of the driver's connection. Default true, for a dialect with `guarded`.
   */
  guard?: boolean | undefined;
  /**
   * How long one call into the driver (reset, close, and open without `openTimeout`), or the listeners of one event,
   * may take before it counts as failed. Default `"30s"`, null = no limit.
   */
  driverTimeout?: Duration | null | undefined;
  /**
   * How long a connection that is busy at its return may take to come to rest, before it is terminated. Also how long
   * each step of any return holds use() and close(): the return then goes on without its caller. Default `"1s"`, null =
   * no limit but `driverTimeout`.
   */
  returnTimeout?: Duration | null | undefined;
  /**
   * How long one opening may take. Default: `driverTimeout`; null = no limit. After it the signal of the creator is
   * aborted, and a connection that opens later is closed.
   */
  openTimeout?: Duration | null | undefined;
  /**
   * Whether an opening that failed is tried again while its caller has time: until the caller's `deadline`, or without
   * one its `timeout`. A number: as long as at most so many retries in a row have failed. Openings that fail are spaced
   * out, one at a time, for all callers. Only an error that may pass is tried again; see `isTransient` of the dialect.
   * Default: true if the pool has a `deadline`, else false.
   */
  openRetry?: boolean | number | undefined;
  /** How long a ping may take before the connection counts as dead. Default `"5s"`, null = no limit. */
  pingTimeout?: Duration | null | undefined;
  /** Bounds the whole of connect(): queue, pings, opening, listeners. Default null = only the parts are bounded. */
  deadline?: Duration | null | undefined;
  /** Listeners from the start: `{ connect: fn, checkout: [fn, fn] }`, or pairs of `[listener, event]`. */
  events?: PoolListeners<NoInfer<C>> | ReadonlyArray<PoolListenerPair<NoInfer<C>>> | undefined;
  /**
   * What is logged beyond warnings and errors: true = invalidations, replacements, dispose and recreate; `"debug"` =
   * also every opening, checkout, return and close. Default null. Can be changed later: `pool.echo`.
   */
  echo?: Echo | undefined;
  /** Name in logs and errors. Default: a short unique name. */
  loggingName?: string | null | undefined;
  /** Where log messages go. Default `console`. */
  logger?: PoolLogger | undefined;
  /** The source of time, for tests and simulations. Default: the host's. */
  clock?: PoolClock | undefined;
  /**
   * Whether the pool reports a lease that is garbage-collected without a close. After a grace of 30 s the pool
   * terminates its connection and frees its slot. Default true if the host has FinalizationRegistry. `"stack"` also
   * reports where the lease was checked out (slow).
   */
  trackLeaks?: boolean | "stack" | undefined;
  /**
   * What may share connections. `"auto"` (default): in Cloudflare Workers one I/O context (a request, or a Durable
   * Object for all of its requests), elsewhere the isolate. `"isolate"`: no partition, for connections without a
   * socket. A function returns the key of the current scope: any object, or undefined for the scope of `"auto"`. The
   * scope of a key ends with `endScope(key)`, or when the key is collected. In Workers a scope never reaches beyond an
   * I/O context.
   */
  scope?: "auto" | "isolate" | (() => object | undefined) | undefined;
}

/** Options of {@link NullPool}, and of every pool that lends a connection to one caller at a time. */
export interface LendingPoolOptions<C> extends PoolOptions<C> {
  /**
   * How long a lease may be out before the pool reports it, once: a warning in the log, and the event `held`. Default:
   * no limit; with `trackLeaks: "stack"` `"5m"`. A detached connection has none.
   */
  holdLimit?: Duration | undefined;
  /**
   * What happens to a lease at its `holdLimit`. Default `"report"`: nothing else. `"terminate"`: the pool takes it
   * back, as `lease.invalidate()` does, and the lease holder's next use of it throws.
   */
  onHoldLimit?: "report" | "terminate" | undefined;
}

/** Options of {@link QueuePool}. */
export interface QueuePoolOptions<C> extends LendingPoolOptions<C> {
  /** Connections kept open. Default 5. 0 = no limit (then `maxOverflow` does not matter). */
  poolSize?: number | undefined;
  /**
   * Extra connections under load; closed on return if no caller waits and `poolSize` connections are idle already.
   * Default 10; in a Workers request 0. -1 = no limit.
   */
  maxOverflow?: number | undefined;
  /**
   * How long connect() may queue for a free connection; `driverTimeout` bounds the opening. Default `"30s"`, 0 = not at
   * all, null = no limit. Late by at most 1/50 of it, or by 10 ms if that is more.
   */
  timeout?: Duration | null | undefined;
  /** Hand out the most recently returned connection first. Default false. */
  useLifo?: boolean | undefined;
  /** Callers that may wait at the same time; one more is refused at once. Default Infinity. */
  maxWaiters?: number | undefined;
  /**
   * Idle time after which a connection is closed, down to `minIdle`; null = never. Default: null; in Workers `"30s"`,
   * because an open socket keeps a Durable Object in memory, and a request with a WebSocket may last for hours.
   */
  idleTimeout?: Duration | null | undefined;
  /**
   * Connections that the pool opens by itself and keeps open, in use or idle; each one that ends is replaced. It begins
   * when the pool is made. In Workers, and with a `scope` function, it begins with the first call of each scope. A
   * failure goes to the `error` event; then the pool tries one at a time, after 100 ms, and twice as long each time, up
   * to 30 s. More than `poolSize` has the effect of `poolSize`. After dispose() it begins again with the next call.
   * Default 0.
   */
  min?: number | undefined;
  /**
   * Whether the pool opens connections by itself for `min`. Default true. With false `min` only keeps connections that
   * callers have opened, however long they have been idle, and those in use count.
   */
  refill?: boolean | undefined;
  /** Keeps at least this many connections open, however long they have been idle. Default 0. It opens none. */
  minIdle?: number | undefined;
  /** Uses after which a connection is closed at its return. Default Infinity. */
  maxUses?: number | undefined;
  /**
   * Creators that may run at the same time; a caller that needs one more waits. Default Infinity; in a Workers request
   * 5.
   */
  maxConnecting?: number | undefined;
}

/** What {@link QueuePool}'s resize() changes: the options of these names, with the same rules. */
export interface PoolSizes {
  poolSize?: number | undefined;
  maxOverflow?: number | undefined;
  minIdle?: number | undefined;
  min?: number | undefined;
  /** The time of idle connections begins again. */
  idleTimeout?: Duration | null | undefined;
  /** Uses before the first limit need not count. */
  maxUses?: number | undefined;
  /** For connections that open later. */
  maxAge?: Duration | undefined;
}

/** Options of {@link SingletonThreadPool}. */
export interface SingletonThreadPoolOptions<C> extends PoolOptions<C> {
  /**
   * Scopes that keep an idle connection at the same time. If one more scope comes to keep one, the connection that is
   * idle for longest is closed. A request of Workers keeps its own and does not count. Default 5, at least 1.
   */
  poolSize?: number | undefined;
}

/** Options of {@link AssertionPool}. */
export interface AssertionPoolOptions<C> extends LendingPoolOptions<C> {
  /** Keep the stack of the first checkout for the error of the second. Default true. */
  storeTraceback?: boolean | undefined;
}

/** Options of one call of tryConnect() or useSync(). */
export interface TryConnectOptions {
  /**
   * The key of the scope, if the caller knows it: in Workers the handler's `ctx`, or `this.ctx` of a Durable Object.
   */
  scope?: object | undefined;
}

/** Options of one call of connect() or use(). */
export interface ConnectOptions extends TryConnectOptions {
  /**
   * Rejects with the signal's reason and leaves the queue at once. A creator that runs already goes on; its connection
   * goes to the next waiter or becomes idle.
   */
  signal?: AbortSignal | undefined;
  /** Overrides the pool's `timeout` for this call. */
  timeout?: Duration | null | undefined;
  /** Overrides the pool's `deadline` for this call. */
  deadline?: Duration | null | undefined;
  /**
   * Waiters of a higher priority are served first, and those of one in the order of arrival. A whole number, default 0.
   * It orders the queue alone: a caller for which a connection is being opened has left it. No effect if callers share
   * a connection.
   */
  priority?: number | undefined;
}
