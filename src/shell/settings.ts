/**
 * The options of a pool, checked and completed for the shell and for the policy. The table of the numeric options, with
 * their order and defaults, is the policy's (protocol.ts); the policy also checks the ranges, and names the option that
 * broke its rule.
 */

import { hostClock, type PoolClock } from "./clock.js";
import type { Dialect } from "./dialect.js";
import { ArgumentError } from "./errors.js";
import { canFinalize, hasContexts, outsideOfRequests, type Run } from "./host.js";
import { Log, type Echo } from "./logger.js";
import type { AssertionPoolOptions, QueuePoolOptions } from "./options.js";
import { kinds, options, Place, placeDefaults, resetStyles, type Kind, type OptionName } from "./protocol.js";
import { checkIsOptions, checkKeys, hasFunctions, refuse, show, toMillis } from "./validate.js";

/** What the policy decodes: durations in milliseconds, Infinity for no limit, NaN for a wrong type, flags as 0 or 1. */
export type PolicyOptions = Readonly<Record<OptionName, number>>;

/** Everything that some kind of pool accepts. */
type AnyOptions<C> = QueuePoolOptions<C> & AssertionPoolOptions<C>;

/** Options after their check. */
export interface Settings<C> {
  /** As the user wrote them, for errors and for recreate(). */
  readonly given: Readonly<Record<string, unknown>>;
  readonly kind: Kind;
  readonly policy: PolicyOptions;
  /** The same as numbers in their order, as far as they were asked for, by place. */
  readonly numbersIn: Float64Array[];
  readonly resetOnReturn: (typeof resetStyles)[number];
  readonly dialect: Dialect<C>;
  /** Whether the guarded methods of the dialect are refused once a lease has ended. */
  readonly guards: boolean;
  readonly loggingName: string;
  /** The name of the function behind use(), which only this pool's has: it shows in stacks. */
  readonly nameOfUse: string;
  readonly log: Log;
  readonly clock: PoolClock;
  readonly tracksLeaks: boolean;
  /** Whether callers share connections, so that a lease is an operation. */
  readonly shares: boolean;
  /** Whether all sharers of a connection lose it when one of them invalidates its lease. */
  readonly invalidatesForAll: boolean;
  /** Whether each lease knows where it was checked out. */
  readonly keepsStacks: boolean;
  /**
   * "isolate": one scope. "context": one for each I/O context. A function: one for each key, and in Workers for each
   * context that asks with it.
   */
  readonly scope: "isolate" | "context" | (() => unknown);
  /** Runs what outlives its caller: if each request may be a scope, outside of every request. */
  readonly outside: Run;
  /** Whether I/O contexts share the connections, so that one context may wait for another. */
  readonly crosses: boolean;
}

/** The options that no number stands for. */
const otherKeys = ["dialect", "guard", "events", "echo", "loggingName", "logger", "clock", "trackLeaks", "scope"];

/** The options that a kind accepts. */
function keysOf(kind: Kind): string[] {
  const own: string[] = [];
  const common: string[] = [];
  for (const option of options) {
    if (!("kinds" in option)) common.push(option.name);
    else if ((option.kinds as readonly Kind[]).includes(kind)) own.push(option.name);
  }
  if (kind === "AssertionPool") own.push("storeTraceback");
  return [...own, ...common, ...otherKeys];
}

const dialectFunctions = [
  "doCheck",
  "doRollback",
  "doCommit",
  "doResetSession",
  "doClose",
  "doTerminate",
  "doPing",
  "isDisconnect",
  "isBusy",
  "doCancel",
  "isTransient",
  "inTransaction",
  "doRefuse",
  "onDisconnect",
] as const;

/** The members of a dialect that are no functions. */
const dialectValues = ["name", "guarded", "keepsSlotUntilClosed"] as const;

const dialectMembers: readonly string[] = [...dialectFunctions, ...dialectValues];

function checkDialect(dialect: unknown, pool: string): void {
  if (typeof dialect !== "object" || dialect === null) throw refuse("dialect", dialect, pool);
  // `import * as pg` gives a module, and a misspelt member would be missed only when the pool needs it.
  const unknown = Object.keys(dialect).filter((key) => !dialectMembers.includes(key));
  const isModule = !dialectMembers.some((name) => name !== "name" && name in dialect) && unknown.length > 0;
  const isMisspelt = (key: string): boolean =>
    dialectMembers.some((name) => name.toLowerCase() === key.replaceAll("_", "").toLowerCase());
  const misspelt = isModule ? unknown[0] : unknown.find(isMisspelt);
  if (misspelt !== undefined) {
    throw new ArgumentError(
      `dialect has no member ${show(misspelt)}; it may have ${dialectMembers.join(", ")} (of a module, give its ` +
        `default export)`,
      pool,
    );
  }
  for (const name of dialectFunctions) {
    const member = (dialect as Record<string, unknown>)[name];
    if (member !== undefined && typeof member !== "function") {
      throw new ArgumentError(`dialect.${name} must be a function or absent; it is ${show(member)}`, pool);
    }
  }
  const { guarded, keepsSlotUntilClosed: keeps } = dialect as Dialect;
  if (keeps !== undefined && typeof keeps !== "boolean")
    throw new ArgumentError(`dialect.keepsSlotUntilClosed must be true, false or absent; it is ${show(keeps)}`, pool);
  const areNames = (names: readonly unknown[]): boolean => names.every((name) => typeof name === "string");
  if (guarded !== undefined && typeof guarded !== "function" && !(Array.isArray(guarded) && areNames(guarded))) {
    throw new ArgumentError(
      `dialect.guarded must be an array of names, a function or absent; it is ${show(guarded)}`,
      pool,
    );
  }
}

/** Reads a value as the number that crosses, by its form; NaN for a wrong type, which the policy refuses by name. */
function toNumber(name: string, form: (typeof options)[number]["form"], value: unknown, pool: string): number {
  switch (form) {
    case "flag":
      return typeof value === "boolean" ? Number(value) : NaN;
    case "style":
      return styleOf(value);
    case "action":
      return value === "report" ? 0 : value === "terminate" ? 1 : NaN;
    case "retry":
      return value === true ? Infinity : value === false ? 0 : typeof value === "number" && value >= 0 ? value : NaN;
    case "limit":
      return toMillis(name, value, pool);
    case "duration":
      return value === null ? NaN : toMillis(name, value, pool);
    case "age":
      return value === -1 ? Infinity : value === null ? NaN : toMillis(name, value, pool);
    default:
      return typeof value === "number" ? value : NaN;
  }
}

function styleOf(value: unknown): number {
  const style = value === true ? "rollback" : value === false || value === null ? "none" : value;
  const place = resetStyles.indexOf(style as (typeof resetStyles)[number]);
  return place < 0 ? NaN : place;
}

function policyOptions(given: Readonly<Record<string, unknown>>, kind: Kind, pool: string): PolicyOptions {
  const number = kinds.findIndex(({ name }) => name === kind);
  const defaults: Partial<Record<OptionName, number>> = (kinds[number] as (typeof kinds)[number]).defaults;
  const numbers: Partial<Record<OptionName, number>> = {};
  for (const { name, form, default: usual } of options) {
    const value = given[name];
    numbers[name] =
      form === "kind" ? number : value === undefined ? (defaults[name] ?? usual) : toNumber(name, form, value, pool);
  }
  return numbers as PolicyOptions;
}

/** The `holdLimit` of a pool with `trackLeaks: "stack"`. */
const usualHoldLimitMs = 300_000;

let poolsNamed = 0;
let poolsMade = 0;

/**
 * Copies options: later changes of the caller's object must not reach recreate(). The known ones are read by name,
 * since those of a class, or its accessors, are not its own properties.
 */
function copyOf(asked: Record<string, unknown>, known: readonly string[]): Record<string, unknown> {
  const copy = { ...asked };
  for (const key of known) {
    if (Object.hasOwn(copy, key)) continue;
    const value = asked[key];
    if (value !== undefined) copy[key] = value;
  }
  return copy;
}

/**
 * Checks and completes the options of a pool. Throws an {@link ArgumentError} that names the first wrong option.
 * `ofCreator`: the dialect that the creator brings along.
 */
export function poolSettings<C>(kind: Kind, asked: unknown, ofCreator: Dialect<C> | undefined): Settings<C> {
  checkIsOptions(asked, kind, "");
  const given: AnyOptions<C> = copyOf(asked, keysOf(kind));
  const {
    loggingName = null,
    logger = console,
    clock = hostClock,
    dialect = ofCreator ?? {},
    guard = true,
    echo = null,
    trackLeaks = canFinalize,
    storeTraceback = true,
    scope = "auto",
  } = given;
  if (loggingName !== null && typeof loggingName !== "string") throw refuse("loggingName", loggingName);
  const name = loggingName ?? `pool-${++poolsNamed}`;
  checkKeys(given, keysOf(kind), kind, name);
  checkDialect(dialect, name);
  if (typeof guard !== "boolean") throw refuse("guard", guard, name);
  if (!hasFunctions(logger, ["debug", "info", "warn", "error"])) throw refuse("logger", logger, name);
  if (!hasFunctions(clock, ["now", "setTimeout", "clearTimeout"])) throw refuse("clock", clock, name);
  checkEcho(echo, name);
  if (typeof trackLeaks !== "boolean" && trackLeaks !== "stack") throw refuse("trackLeaks", trackLeaks, name);
  if (typeof storeTraceback !== "boolean") throw refuse("storeTraceback", storeTraceback, name);
  if (scope !== "auto" && scope !== "isolate" && typeof scope !== "function") throw refuse("scope", scope, name);
  const policy = policyOptions(given as Readonly<Record<string, unknown>>, kind, name);
  // A pool that keeps stacks is searched for leases that do not come back.
  if (trackLeaks === "stack" && given.holdLimit === undefined && keysOf(kind).includes("holdLimit"))
    (policy as Record<OptionName, number>).holdLimit = usualHoldLimitMs;
  const { shares, pings, invalidatesForAll } = kinds[policy.kind] as (typeof kinds)[number];
  if (policy.prePing === 1 && pings && dialect.doPing === undefined) {
    throw new ArgumentError(
      "prePing is true, but the dialect cannot ping: give one with doPing, for example edgepool/dialects/pg",
      name,
    );
  }
  const resetOnReturn = resetStyles[policy.resetOnReturn] ?? "none";
  if (resetOnReturn === "session" && dialect.doResetSession === undefined) {
    throw new ArgumentError(
      'resetOnReturn is "session", but the dialect cannot reset a session: give one with doResetSession, for example ' +
        "edgepool/dialects/pg",
      name,
    );
  }
  return {
    given: given as Readonly<Record<string, unknown>>,
    kind,
    resetOnReturn,
    shares,
    invalidatesForAll,
    policy,
    numbersIn: [],
    dialect,
    guards: guard,
    loggingName: name,
    nameOfUse: `use of ${name} (pool ${++poolsMade})`,
    log: new Log(logger, name, echo),
    clock,
    tracksLeaks: trackLeaks !== false && canFinalize,
    keepsStacks: trackLeaks === "stack" || (kind === "AssertionPool" && storeTraceback),
    scope: scope !== "auto" ? scope : hasContexts ? "context" : "isolate",
    outside: typeof scope === "function" ? outsideOfRequests : (run) => run(),
    crosses: scope === "isolate" && hasContexts,
  };
}

/**
 * Returns the policy's options of one scope, in their order: in Workers a QueuePool has other defaults in some places.
 * Each request has a scope, so what they have in common is made once.
 */
export function policyOptionsIn<C>(settings: Settings<C>, place: Place): Float64Array {
  const { kind, policy, given, scope, numbersIn } = settings;
  const own = hasContexts && scope !== "isolate" && kind === "QueuePool" ? place : Place.Isolate;
  let numbers = numbersIn[own];
  if (numbers === undefined) {
    const all: Record<OptionName, number> = { ...policy };
    for (const [name, number] of Object.entries(placeDefaults[own] ?? {}))
      if (given[name] === undefined) all[name as OptionName] = number;
    numbersIn[own] = numbers = Float64Array.from(Object.values(all));
  }
  return numbers;
}

function formOf(name: OptionName): (typeof options)[number]["form"] {
  return options.find((option) => option.name === name)?.form ?? "number";
}

/** The options that resize() takes. */
const sizeKeys = ["poolSize", "maxOverflow", "minIdle", "min", "idleTimeout", "maxUses", "maxAge"] as const;

/**
 * Passes what resize() was given to the policy, by `change`. If the policy accepts it, later scopes and recreate() have
 * it, too. Throws an {@link ArgumentError} that names the wrong one.
 */
export function changeSizes<C>(
  { given, policy, numbersIn, loggingName: pool }: Settings<C>,
  asked: unknown,
  change: (sizes: Partial<PolicyOptions>) => void,
): void {
  checkKeys(asked, sizeKeys, "resize()", pool);
  const taken: Record<string, unknown> = {};
  const sizes: Partial<Record<OptionName, number>> = {};
  for (const name of sizeKeys) {
    const value = (asked as Record<string, unknown>)[name];
    if (value === undefined) continue;
    taken[name] = value;
    sizes[name] = toNumber(name, formOf(name), value, pool);
  }
  try {
    change(sizes);
  } catch (error) {
    throw typeof error === "string" ? refuse(error, taken[error], pool) : error;
  }
  Object.assign(given, taken);
  Object.assign(policy, sizes);
  numbersIn.length = 0;
}

export function checkEcho(echo: unknown, pool: string): asserts echo is Echo {
  if (echo !== null && typeof echo !== "boolean" && echo !== "debug") throw refuse("echo", echo, pool);
}

/** Returns the error for an option that the policy refused by its name. */
export function refuseOption<C>(option: string, { kind, given, loggingName }: Settings<C>): ArgumentError {
  const rule = option === "poolSize" && kind === "SingletonThreadPool" ? "poolSize of SingletonThreadPool" : option;
  return refuse(rule, given[option], loggingName);
}
