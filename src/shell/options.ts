/**
 * What users may ask of a pool, and how it reaches the policy: known keys, units, defaults, and the words of an error.
 * Whether a number is in its range is the policy's question (src/policy/config.rs); it answers with the option's name.
 */

import { hostClock, type PoolClock } from "./clock.js";
import type { Dialect } from "./dialect.js";
import { ArgumentError } from "./errors.js";
import type { PoolLogger } from "./logger.js";

/**
 * A length of time. A string carries its unit (`"500ms"`, `"30s"`, `"5m"`, `"1h"`); a bare number is seconds, as in
 * SQLAlchemy. A bare number above 600 is refused: it is nearly always meant as milliseconds.
 */
export type Duration = number | `${number}${"ms" | "s" | "m" | "h"}`;

/** What a return does about an open transaction. `true` is `"rollback"`; `false` and `null` are `"none"`. */
export type ResetStyle = "rollback" | "commit" | "none" | boolean | null;

/** Options of every pool. */
export interface PoolOptions<C> {
  /** What to do with an open transaction at return. Default `"rollback"`. */
  resetOnReturn?: ResetStyle;
  /** How to talk to the driver. Default: what the connection itself offers. */
  dialect?: Dialect<NoInfer<C>>;
  /** How long one call into the driver (open, reset, close) may take before it counts as failed. Default `"30s"`, null = for ever. A connection that opens later is closed. */
  driverTimeout?: Duration | null;
  /** Bounds the whole of connect(): queue and opening. Default null = only the parts are bounded. */
  deadline?: Duration | null;
  /** Name in logs and errors. Default: a short unique name. */
  loggingName?: string | null;
  /** Where the pool reports what it swallows, such as a failed reset. Default `console`. */
  logger?: PoolLogger;
  /** Time, for tests and simulations. Default: the host's. */
  clock?: PoolClock;
}

/** Options of {@link QueuePool}. */
export interface QueuePoolOptions<C> extends PoolOptions<C> {
  /** Connections kept open. Default 5. 0 = no limit (then `maxOverflow` is -1). */
  poolSize?: number;
  /** Connections beyond `poolSize` under load, closed on return. Default 10. -1 = no limit. */
  maxOverflow?: number;
  /** How long connect() may queue for a free connection; opening is bounded by `driverTimeout`. Default `"30s"`, 0 = not at all, null = for ever. Late by at most 1/16 of it or 10 ms. */
  timeout?: Duration | null;
  /** Hand out the most recently returned connection first. Default false. */
  useLifo?: boolean;
  /** Callers that may wait at once; one more is refused at once. Default Infinity. */
  maxWaiters?: number;
}

/** What one call of connect() or use() may ask for. */
export interface ConnectOptions {
  /** Rejects with the signal's reason and leaves the queue at once. A creator already running goes on; its connection goes to the next waiter or becomes idle. */
  signal?: AbortSignal;
  /** Overrides the pool's for this call. */
  timeout?: Duration | null;
  /** Overrides the pool's for this call. */
  deadline?: Duration | null;
}

/** What the policy decodes (src/bindings/options.rs): durations in milliseconds, Infinity for none. */
export interface CoreOptions {
  poolSize: unknown;
  maxOverflow: unknown;
  maxWaiters: unknown;
  timeout: number;
  driverTimeout: number;
  deadline: number;
  useLifo: unknown;
  resetOnReturn: unknown;
}

/** Options after their check, for the shell. */
export interface Settings<C> {
  /** As the user wrote them, for errors and for recreate(). */
  readonly given: QueuePoolOptions<C>;
  readonly core: CoreOptions;
  readonly dialect: Dialect<C>;
  readonly loggingName: string;
  readonly logger: PoolLogger;
  readonly clock: PoolClock;
}

/** What each option may be, as its error says it. */
const allowed: Record<string, string> = {
  poolSize: "a whole number, 0 or more (0 = no limit)",
  maxOverflow: "a whole number, 0 or more, or -1 (no limit)",
  maxWaiters: "a whole number, 0 or more, or Infinity",
  timeout: 'a duration of 0 or more such as "30s" or "500ms" (a bare number is seconds), or null (for ever)',
  driverTimeout: 'a duration of 0 or more such as "30s" or "500ms" (a bare number is seconds), or null (for ever)',
  deadline: 'a duration of 0 or more such as "30s" or "500ms" (a bare number is seconds), or null (none)',
  useLifo: "true or false",
  resetOnReturn: '"rollback" (true), "commit", or "none" (false, null)',
  dialect: "an object with functions such as doRollback, doClose, inTransaction",
  loggingName: "a string, or null",
  logger: "an object with the functions debug, info, warn and error",
  clock: "an object with the functions now, setTimeout and clearTimeout",
  signal: "an AbortSignal",
  "timeout of close()": 'a duration of 0 or more such as "10s" (a bare number is seconds)',
};

const dialectFunctions = [
  "doRollback", "doCommit", "doClose", "doTerminate", "doPing", "isDisconnect", "inTransaction", "onDisconnect",
] as const;

/** Bare numbers above this many seconds are taken for milliseconds written by habit. */
const longestBareSeconds = 600;

/** A value as an error shows it. Never throws, whatever it is given. */
export function show(value: unknown): string {
  try {
    switch (typeof value) {
      case "string":
        return JSON.stringify(value);
      case "function":
        return `a function (${value.name || "anonymous"})`;
      case "bigint":
        return `${value}n`;
      case "object":
        if (value === null) return "null";
        return Array.isArray(value) ? `an array of ${value.length}` : `an object (${value.constructor?.name ?? "no class"})`;
      default:
        return String(value);
    }
  } catch {
    return "something that cannot be shown";
  }
}

/** The error for an option that breaks its rule. */
export function refuse(option: string, value: unknown, pool = ""): ArgumentError {
  return new ArgumentError(`${option} must be ${allowed[option] ?? "something else"}; it is ${show(value)}`, pool);
}

const perUnit = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const;

/** Milliseconds; Infinity for null; NaN for what is no duration, which the policy refuses. */
export function toMillis(option: string, value: unknown, pool: string): number {
  if (value === null) return Infinity;
  if (typeof value === "string") {
    const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(value);
    return match ? Number(match[1]) * perUnit[match[2] as keyof typeof perUnit] : NaN;
  }
  if (typeof value !== "number") return NaN;
  // "No limit" is null: Infinity is more likely the result of a sum that went wrong.
  if (value === Infinity) return NaN;
  if (value > longestBareSeconds) {
    throw new ArgumentError(
      `${option} is ${value}, and a bare number is seconds: for milliseconds write "${value}ms", for so many seconds "${value}s"`,
      pool,
    );
  }
  return value * 1000;
}

/** An object of known keys, or an {@link ArgumentError}. */
export function checkKeys(given: unknown, known: readonly string[], what: string, pool: string): void {
  checkIsOptions(given, what, pool);
  for (const key in given) {
    if (!known.includes(key)) {
      throw new ArgumentError(`${what} has no option ${show(key)} (its value is ${show(given[key])}); it has ${known.join(", ")}`, pool);
    }
  }
}

const queuePoolKeys = [
  "poolSize", "maxOverflow", "timeout", "useLifo", "maxWaiters", "resetOnReturn", "dialect", "driverTimeout", "deadline",
  "loggingName", "logger", "clock",
] as const;

function hasFunctions(value: unknown, names: readonly string[]): boolean {
  return typeof value === "object" && value !== null && names.every((name) => typeof (value as Record<string, unknown>)[name] === "function");
}

function checkDialect(dialect: unknown, pool: string): void {
  if (typeof dialect !== "object" || dialect === null) throw refuse("dialect", dialect, pool);
  for (const name of dialectFunctions) {
    const member = (dialect as Record<string, unknown>)[name];
    if (member !== undefined && typeof member !== "function") {
      throw new ArgumentError(`dialect.${name} must be a function or absent; it is ${show(member)}`, pool);
    }
  }
}

/** An array is a mistake worth naming at once. */
function checkIsOptions(options: unknown, what: string, pool: string): asserts options is Record<string, unknown> {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw new ArgumentError(`the options of ${what} must be an object; they are ${show(options)}`, pool);
  }
}

/** What is no scalar is no number either; the decoder need not look into it. */
function scalar(value: unknown): unknown {
  return typeof value === "object" || typeof value === "function" ? NaN : value;
}

let poolsNamed = 0;

/** Checks and completes the options of a QueuePool. Throws an {@link ArgumentError} that names the first that is wrong. */
export function queuePoolSettings<C>(options: unknown): Settings<C> {
  checkIsOptions(options, "QueuePool", "");
  // A copy: what the caller does with the object later is no matter of recreate().
  const given: QueuePoolOptions<C> = { ...options };
  const { loggingName = null, logger = console, clock = hostClock, dialect = {} } = given;
  if (loggingName !== null && typeof loggingName !== "string") throw refuse("loggingName", loggingName);
  const name = loggingName ?? `pool-${++poolsNamed}`;
  checkKeys(given, queuePoolKeys, "QueuePool", name);
  checkDialect(dialect, name);
  if (!hasFunctions(logger, ["debug", "info", "warn", "error"])) throw refuse("logger", logger, name);
  if (!hasFunctions(clock, ["now", "setTimeout", "clearTimeout"])) throw refuse("clock", clock, name);

  const { poolSize = 5, maxOverflow = 10, maxWaiters = Infinity, useLifo = false } = given;
  const { timeout = "30s", driverTimeout = "30s", deadline = null, resetOnReturn = "rollback" } = given;
  const core: CoreOptions = {
    poolSize: scalar(poolSize),
    maxOverflow: scalar(maxOverflow),
    maxWaiters: scalar(maxWaiters),
    useLifo: scalar(useLifo),
    timeout: toMillis("timeout", timeout, name),
    driverTimeout: toMillis("driverTimeout", driverTimeout, name),
    deadline: toMillis("deadline", deadline, name),
    resetOnReturn: resetOnReturn === true ? "rollback" : resetOnReturn === false || resetOnReturn === null ? "none" : scalar(resetOnReturn),
  };
  return { given, core, dialect, loggingName: name, logger, clock };
}

/** One caller's own times. In milliseconds, undefined where the pool's hold. */
export interface Limits {
  readonly timeoutMs: number | undefined;
  readonly deadlineMs: number | undefined;
  /** By the pool's clock; undefined where no deadline needs it. */
  readonly startedAt: number | undefined;
}

const connectKeys = ["signal", "timeout", "deadline"] as const;

/** Checks the options of one connect(); answers its own times, if any. Throws an {@link ArgumentError} that names the first that is wrong. */
export function connectLimits(options: unknown, poolDeadlineMs: number, clock: PoolClock, pool: string): Limits | undefined {
  checkIsOptions(options, "connect()", pool);
  checkKeys(options, connectKeys, "connect()", pool);
  const { signal, timeout, deadline } = options as ConnectOptions;
  if (signal !== undefined && !isSignal(signal)) throw refuse("signal", signal, pool);
  if (timeout === undefined && deadline === undefined && poolDeadlineMs === Infinity) return undefined;
  const timeoutMs = timeout === undefined ? undefined : checkedMillis("timeout", timeout, pool);
  const deadlineMs = deadline === undefined ? undefined : checkedMillis("deadline", deadline, pool);
  const startedAt = (deadlineMs ?? poolDeadlineMs) === Infinity ? undefined : clock.now();
  return { timeoutMs, deadlineMs, startedAt };
}

/** A duration that does not pass through the policy's check of a construction. */
function checkedMillis(option: string, value: unknown, pool: string): number {
  const ms = toMillis(option, value, pool);
  if (!(ms >= 0)) throw refuse(option, value, pool);
  return ms;
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

/** Any AbortSignal-like: `aborted` itself is read once, by the driver; as a getter it costs more than the rest here. */
function isSignal(value: unknown): value is AbortSignal {
  return typeof value === "object" && value !== null && "aborted" in value && typeof (value as AbortSignal).addEventListener === "function" && typeof (value as AbortSignal).removeEventListener === "function";
}
