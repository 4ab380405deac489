/**
 * What users may ask of a pool, and how it reaches the policy: known keys, defaults, units. The words of an error are in
 * values.ts; whether a number is in its range is the policy's question (src/policy/config.rs).
 */

import { hostClock, type PoolClock } from "./clock.js";
import type { Dialect } from "./dialect.js";
import { hasContexts } from "./contexts.js";
import { ArgumentError } from "./errors.js";
import { eventPairs, type EventName, type PoolListenerPair, type PoolListeners } from "./events.js";
import { canTrackLeaks } from "./leaks.js";
import { Log, type Echo, type PoolLogger } from "./logger.js";
import {
  checkedMillis,
  checkIsOptions,
  checkKeys,
  hasFunctions,
  isSignal,
  refuse,
  show,
  toMillis,
  type Duration,
} from "./values.js";

/** What a return does about an open transaction. `true` is `"rollback"`; `false` and `null` are `"none"`. */
export type ResetStyle = "rollback" | "commit" | "none" | boolean | null;

/** Options of every pool. */
export interface PoolOptions<C> {
  /** Age past which a connection is replaced at checkout. Default -1 = never; 0 = always. */
  recycle?: Duration;
  /** Spread of `recycle`: the fraction of it, 0 to 1, that is taken off at random for each connection. Default 0. */
  recycleJitter?: number;
  /** What to do with an open transaction at return. Default `"rollback"`. */
  resetOnReturn?: ResetStyle;
  /** Test a re-used connection before handing it out. Default false. The dialect must be able to ping. */
  prePing?: boolean;
  /** Ping only what has been idle at least this long. Default 0. */
  prePingAfterIdle?: Duration;
  /** How to talk to the driver. Default: what the connection itself offers. */
  dialect?: Dialect<NoInfer<C>>;
  /** How long one call into the driver (open, reset, close) or one firing of listeners may take before it counts as failed. Default `"30s"`, null = for ever. A connection that opens later is closed. */
  driverTimeout?: Duration | null;
  /** How long a ping may take before the connection counts as dead. Default `"5s"`, null = for ever. */
  pingTimeout?: Duration | null;
  /** Bounds the whole of connect(): queue, pings, opening, listeners. Default null = only the parts are bounded. */
  deadline?: Duration | null;
  /** Listeners from the start: `{ connect: fn, checkout: [fn, fn] }`, or pairs of `[listener, event]`. */
  events?: PoolListeners<NoInfer<C>> | ReadonlyArray<PoolListenerPair<NoInfer<C>>>;
  /** What is logged beyond warnings and errors: true = invalidations, replacements and the pool's own turns, `"debug"` = every opening, checkout, return and close, too. Default null. Later: `pool.echo`. */
  echo?: Echo;
  /** Name in logs and errors. Default: a short unique name. */
  loggingName?: string | null;
  /** Where log messages go. Default `console`. */
  logger?: PoolLogger;
  /** Time, for tests and simulations. Default: the host's. */
  clock?: PoolClock;
  /**
   * Whether a lease that is garbage-collected unreturned is reported at once, and after a grace of 30 s its connection
   * terminated and its slot freed. Default true where FinalizationRegistry exists; `"stack"` also tells where it was
   * checked out (slow).
   */
  trackLeaks?: boolean | "stack";
  /**
   * What may share connections. `"auto"` (default): in Cloudflare Workers one I/O context (a request, or a Durable Object
   * for all of its requests), elsewhere the isolate. `"isolate"`: no partition, for connections without a socket. A
   * function answers the key of the current scope: any object, or undefined for what `"auto"` would take. Its scope ends
   * with `endScope(key)`, or when the key is collected. In Workers a scope never reaches beyond an I/O context.
   */
  scope?: "auto" | "isolate" | (() => object | undefined);
}

/** Options of {@link QueuePool}. */
export interface QueuePoolOptions<C> extends PoolOptions<C> {
  /** Connections kept open. Default 5. 0 = no limit (then `maxOverflow` does not matter). */
  poolSize?: number;
  /** Connections beyond `poolSize` under load; one that comes back is closed where nobody waits and `poolSize` are idle already. Default 10; in a Workers request 0. -1 = no limit. */
  maxOverflow?: number;
  /** How long connect() may queue for a free connection; opening is bounded by `driverTimeout`. Default `"30s"`, 0 = not at all, null = for ever. Late by at most 1/16 of it, or 10 ms where that is more. */
  timeout?: Duration | null;
  /** Hand out the most recently returned connection first. Default false. */
  useLifo?: boolean;
  /** Callers that may wait at once; one more is refused at once. Default Infinity. */
  maxWaiters?: number;
  /** Idle time after which a connection is closed, down to `minIdle`. Default: never; in a Durable Object `"30s"`, since an open socket keeps it in memory. */
  idleTimeout?: Duration;
  /** Connections that stay idle whatever `idleTimeout`. Default 0. */
  minIdle?: number;
  /** Uses after which a connection is closed at its return. Default Infinity. */
  maxUses?: number;
  /** Creators that may run at once; who needs one more waits. Default Infinity; in a Workers request 5. */
  maxConnecting?: number;
}

/** Options of {@link SingletonThreadPool}. */
export interface SingletonThreadPoolOptions<C> extends PoolOptions<C> {
  /** Scopes that keep a connection at once. Default 5, at least 1. */
  poolSize?: number;
}

/** Options of {@link AssertionPool}. */
export interface AssertionPoolOptions<C> extends PoolOptions<C> {
  /** Keep the stack of the first checkout for the error of the second. Default true. */
  storeTraceback?: boolean;
}

/** What one call of connect() or use() may ask for. */
export interface ConnectOptions {
  /** Rejects with the signal's reason and leaves the queue at once. A creator already running goes on; its connection goes to the next waiter or becomes idle. */
  signal?: AbortSignal;
  /** Overrides the pool's for this call. */
  timeout?: Duration | null;
  /** Overrides the pool's for this call. */
  deadline?: Duration | null;
  /** The key of the scope, where the caller knows it: in Workers the handler's `ctx`, or `this.ctx` of a Durable Object. */
  scope?: object;
}

/** The kinds of pool, by the names of their classes. */
export type Kind = "QueuePool" | "NullPool" | "SingletonThreadPool" | "StaticPool" | "AssertionPool";

/** The order is the policy's (src/bindings/options.rs). */
const kinds: readonly Kind[] = ["QueuePool", "NullPool", "SingletonThreadPool", "StaticPool", "AssertionPool"];
const styles = ["none", "rollback", "commit"] as const;

/** What the policy decodes (src/bindings/options.rs), in its order: durations in milliseconds, Infinity for none, NaN for what is of a wrong type, flags as 0 or 1. */
export interface CoreOptions {
  kind: number;
  poolSize: number;
  maxOverflow: number;
  maxWaiters: number;
  timeout: number;
  driverTimeout: number;
  deadline: number;
  useLifo: number;
  resetOnReturn: number;
  recycle: number;
  recycleJitter: number;
  prePing: number;
  prePingAfterIdle: number;
  pingTimeout: number;
  idleTimeout: number;
  minIdle: number;
  maxUses: number;
  maxConnecting: number;
}

/** Everything that some pool may be given. */
type AnyOptions<C> = QueuePoolOptions<C> & AssertionPoolOptions<C>;

/** Options after their check, for the shell. */
export interface Settings<C> {
  /** As the user wrote them, for errors and for recreate(). */
  readonly given: AnyOptions<C>;
  readonly kind: Kind;
  readonly core: CoreOptions;
  readonly resetOnReturn: "none" | "rollback" | "commit";
  readonly dialect: Dialect<C>;
  readonly loggingName: string;
  readonly log: Log;
  readonly clock: PoolClock;
  readonly events: ReadonlyArray<[EventName, (...parameters: any[]) => unknown]>;
  readonly tracksLeaks: boolean;
  /** Whether callers share connections, so that a lease is an operation. */
  readonly shares: boolean;
  /** Whether each lease knows where it was checked out. */
  readonly keepsStacks: boolean;
  /** "isolate": one scope. "context": one for each I/O context. A function: one for each key, and in Workers for each context that asks with it. */
  readonly scope: "isolate" | "context" | (() => unknown);
  /** Whether I/O contexts share the connections, so that one may wait for another's. */
  readonly crosses: boolean;
}

const commonKeys = [
  "recycle",
  "recycleJitter",
  "resetOnReturn",
  "prePing",
  "prePingAfterIdle",
  "dialect",
  "driverTimeout",
  "pingTimeout",
  "deadline",
  "events",
  "echo",
  "loggingName",
  "logger",
  "clock",
  "trackLeaks",
  "scope",
];

const ownKeys: Record<Kind, readonly string[]> = {
  QueuePool: [
    "poolSize",
    "maxOverflow",
    "timeout",
    "useLifo",
    "maxWaiters",
    "idleTimeout",
    "minIdle",
    "maxUses",
    "maxConnecting",
  ],
  NullPool: [],
  SingletonThreadPool: ["poolSize"],
  StaticPool: [],
  AssertionPool: ["storeTraceback"],
};

const dialectFunctions = [
  "doRollback",
  "doCommit",
  "doClose",
  "doTerminate",
  "doPing",
  "isDisconnect",
  "inTransaction",
  "onDisconnect",
] as const;

function checkDialect(dialect: unknown, pool: string): void {
  if (typeof dialect !== "object" || dialect === null) throw refuse("dialect", dialect, pool);
  // `import * as pg` brings a module, and a misspelt member would be missed only when it is needed.
  const unknown = Object.keys(dialect).filter(
    (key) => key !== "name" && !(dialectFunctions as readonly string[]).includes(key),
  );
  const isModule = !dialectFunctions.some((name) => name in dialect) && unknown.length > 0;
  const isMisspelt = (key: string): boolean =>
    dialectFunctions.some((name) => name.toLowerCase() === key.replaceAll("_", "").toLowerCase());
  const misspelt = isModule ? unknown[0] : unknown.find(isMisspelt);
  if (misspelt !== undefined) {
    throw new ArgumentError(
      `dialect has no member ${show(misspelt)}; it may have ${dialectFunctions.join(", ")} (of a module, give its default export)`,
      pool,
    );
  }
  for (const name of dialectFunctions) {
    const member = (dialect as Record<string, unknown>)[name];
    if (member !== undefined && typeof member !== "function") {
      throw new ArgumentError(`dialect.${name} must be a function or absent; it is ${show(member)}`, pool);
    }
  }
}

/** Of the right type, or what the policy refuses by the option's name. */
const number = (value: unknown): number => (typeof value === "number" ? value : NaN);
const flag = (value: unknown): number => (typeof value === "boolean" ? Number(value) : NaN);

function styleOf(value: unknown): number {
  const style = value === true ? "rollback" : value === false || value === null ? "none" : value;
  const place = styles.indexOf(style as (typeof styles)[number]);
  return place < 0 ? NaN : place;
}

let poolsNamed = 0;

/** Checks and completes the options of a pool. Throws an {@link ArgumentError} that names the first that is wrong. */
export function poolSettings<C>(kind: Kind, options: unknown): Settings<C> {
  checkIsOptions(options, kind, "");
  // A copy: what the caller does with the object later is no matter of recreate().
  const given: AnyOptions<C> = { ...options };
  const {
    loggingName = null,
    logger = console,
    clock = hostClock,
    dialect = {},
    events = {},
    echo = null,
    trackLeaks = canTrackLeaks,
    storeTraceback = true,
    scope = "auto",
  } = given;
  if (loggingName !== null && typeof loggingName !== "string") throw refuse("loggingName", loggingName);
  const name = loggingName ?? `pool-${++poolsNamed}`;
  checkKeys(given, [...ownKeys[kind], ...commonKeys], kind, name);
  checkDialect(dialect, name);
  if (!hasFunctions(logger, ["debug", "info", "warn", "error"])) throw refuse("logger", logger, name);
  if (!hasFunctions(clock, ["now", "setTimeout", "clearTimeout"])) throw refuse("clock", clock, name);
  checkEcho(echo, name);
  if (typeof trackLeaks !== "boolean" && trackLeaks !== "stack") throw refuse("trackLeaks", trackLeaks, name);
  if (typeof storeTraceback !== "boolean") throw refuse("storeTraceback", storeTraceback, name);
  if (scope !== "auto" && scope !== "isolate" && typeof scope !== "function") throw refuse("scope", scope, name);

  const {
    poolSize = 5,
    maxOverflow = 10,
    maxWaiters = Infinity,
    useLifo = false,
    minIdle = 0,
    maxUses = Infinity,
    maxConnecting = Infinity,
  } = given;
  // Only a QueuePool's callers queue for a connection; the others' wait for one that is on its way, as long as that takes.
  const {
    timeout = kind === "QueuePool" ? "30s" : null,
    driverTimeout = "30s",
    pingTimeout = "5s",
    deadline = null,
    idleTimeout = null,
  } = given;
  const { recycle = -1, recycleJitter = 0, prePing = false, prePingAfterIdle = 0, resetOnReturn = "rollback" } = given;
  if (prePing === true && dialect.doPing === undefined && kind !== "NullPool") {
    throw new ArgumentError(
      "prePing is true, but the dialect cannot ping: give one with doPing, for example edgepool/dialects/pg",
      name,
    );
  }
  const core: CoreOptions = {
    kind: kinds.indexOf(kind),
    poolSize: number(poolSize),
    maxOverflow: number(maxOverflow),
    maxWaiters: number(maxWaiters),
    timeout: toMillis("timeout", timeout, name),
    driverTimeout: toMillis("driverTimeout", driverTimeout, name),
    deadline: toMillis("deadline", deadline, name),
    useLifo: flag(useLifo),
    resetOnReturn: styleOf(resetOnReturn),
    recycle: recycle === -1 ? Infinity : toMillis("recycle", recycle ?? NaN, name),
    recycleJitter: number(recycleJitter),
    prePing: flag(prePing),
    prePingAfterIdle: toMillis("prePingAfterIdle", prePingAfterIdle ?? NaN, name),
    pingTimeout: toMillis("pingTimeout", pingTimeout, name),
    idleTimeout: given.idleTimeout === null ? NaN : toMillis("idleTimeout", idleTimeout, name),
    minIdle: number(minIdle),
    maxUses: number(maxUses),
    maxConnecting: number(maxConnecting),
  };
  const log = new Log(logger, name, echo);
  const keepsStacks = trackLeaks === "stack" || (kind === "AssertionPool" && storeTraceback);
  const shares = kind === "StaticPool" || kind === "SingletonThreadPool";
  return {
    given,
    kind,
    resetOnReturn: styles[core.resetOnReturn] ?? "none",
    shares,
    core,
    dialect,
    loggingName: name,
    log,
    clock,
    events: eventPairs(events, name),
    tracksLeaks: trackLeaks !== false && canTrackLeaks,
    keepsStacks,
    scope: scope !== "auto" ? scope : hasContexts ? "context" : "isolate",
    crosses: scope === "isolate" && hasContexts,
  };
}

/** The policy's options in one scope: in Workers some of a QueuePool's defaults are others. Of a context of which nothing is known, the careful ones of both kinds. */
export function coreIn<C>({ kind, core, given, scope }: Settings<C>, isActor: boolean | undefined): CoreOptions {
  if (!hasContexts || scope === "isolate" || kind !== "QueuePool") return core;
  const isRequest = isActor !== true;
  return {
    ...core,
    maxOverflow: isRequest && given.maxOverflow === undefined ? 0 : core.maxOverflow,
    maxConnecting: isRequest && given.maxConnecting === undefined ? 5 : core.maxConnecting,
    idleTimeout: isActor !== false && given.idleTimeout === undefined ? 30_000 : core.idleTimeout,
  };
}

export function checkEcho(echo: unknown, pool: string): asserts echo is Echo {
  if (echo !== null && typeof echo !== "boolean" && echo !== "debug") throw refuse("echo", echo, pool);
}

/** The error for an option that the policy refused by its name. */
export function refuseOption<C>(option: string, { kind, given, loggingName }: Settings<C>): ArgumentError {
  const rule = option === "poolSize" && kind === "SingletonThreadPool" ? "poolSize of SingletonThreadPool" : option;
  return refuse(rule, (given as Record<string, unknown>)[option], loggingName);
}

/** One caller's own times, and where it called. In milliseconds, undefined where the pool's hold. */
export interface Limits {
  readonly timeoutMs: number | undefined;
  readonly deadlineMs: number | undefined;
  /** By the pool's clock; undefined where nothing needs it. */
  readonly startedAt: number | undefined;
  readonly stack: string | undefined;
}

const connectKeys = ["signal", "timeout", "deadline", "scope"] as const;

/** Checks the options of one connect(); answers its own times, if any. Throws an {@link ArgumentError} that names the first that is wrong. */
export function connectLimits(
  options: unknown,
  poolDeadlineMs: number,
  clock: PoolClock,
  pool: string,
): Limits | undefined {
  checkIsOptions(options, "connect()", pool);
  checkKeys(options, connectKeys, "connect()", pool);
  const { signal, timeout, deadline } = options as ConnectOptions;
  if (signal !== undefined && !isSignal(signal)) throw refuse("signal", signal, pool);
  checkScopeKey((options as ConnectOptions).scope, pool);
  if (timeout === undefined && deadline === undefined && poolDeadlineMs === Infinity) return undefined;
  const timeoutMs = timeout === undefined ? undefined : checkedMillis("timeout", timeout, pool);
  const deadlineMs = deadline === undefined ? undefined : checkedMillis("deadline", deadline, pool);
  const startedAt = (deadlineMs ?? poolDeadlineMs) === Infinity ? undefined : clock.now();
  return { timeoutMs, deadlineMs, startedAt, stack: undefined };
}

/** Checks what is given as the key of a scope. */
export function checkScopeKey(key: unknown, pool: string): asserts key is object | undefined {
  if (key !== undefined && (typeof key !== "object" || key === null)) throw refuse("scope of connect()", key, pool);
}

/** Checks the options of close(); answers how long it may wait for leases. */
export function closePatience(options: unknown, pool: string): number {
  checkIsOptions(options, "close()", pool);
  checkKeys(options, ["timeout"], "close()", pool);
  const { timeout = "10s" } = options;
  const option = "timeout of close()";
  // No null here: close() always settles.
  if (timeout === null) throw refuse(option, timeout, pool);
  return checkedMillis(option, timeout, pool);
}

/** Checks how many connections warm() is to open. */
export function warmCount(count: unknown, pool: string): number {
  if (!Number.isSafeInteger(count) || (count as number) < 0) throw refuse("count of warm()", count, pool);
  return Math.min(count as number, 2 ** 30);
}
