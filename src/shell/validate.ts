/**
 * Checks the values that users give, and words the error about a wrong one: what it is, and what it may be. Whether a
 * number is in its range is the policy's decision (src/policy/config.rs), which returns the option's name.
 */

import { ArgumentError } from "./errors.js";

const duration = 'a duration of 0 or more such as "30s" or "500ms" (a bare number is seconds)';

/** The values that an option may have, as its error lists them. */
const allowed: Record<string, string> = {
  poolSize: "a whole number, 0 or more (0 = no limit)",
  "poolSize of SingletonThreadPool": "a whole number, 1 or more",
  maxOverflow: "a whole number, 0 or more, or -1 (no limit)",
  maxWaiters: "a whole number, 0 or more, or Infinity",
  timeout: `${duration}, or null (no limit)`,
  driverTimeout: `${duration}, or null (no limit)`,
  returnTimeout: `${duration}, or null (no limit of its own)`,
  openTimeout: `${duration}, or null (no limit)`,
  openRetry: "true, false, or a whole number of retries, 0 or more",
  pingTimeout: `${duration}, or null (no limit)`,
  deadline: `${duration}, or null (none)`,
  idleTimeout: `${duration}, or null (never)`,
  prePingAfterIdle: duration,
  recycle: `${duration}, or -1 (never)`,
  maxAge: 'a duration above 0 such as "30m" (a bare number is seconds); without it, never',
  recycleJitter: "a number from 0 to 1",
  useLifo: "true or false",
  prePing: "true or false",
  storeTraceback: "true or false",
  resetOnReturn: '"rollback" (true), "commit", "session", or "none" (false, null)',
  minIdle: "a whole number, 0 or more",
  min: "a whole number, 0 or more",
  refill: "true or false",
  maxUses: "a whole number, 1 or more, or Infinity",
  maxConnecting: "a whole number, 1 or more, or Infinity",
  holdLimit: `${duration}; without it, no limit`,
  onHoldLimit: '"report" or "terminate"',
  dialect: "an object with functions such as doRollback, doClose, inTransaction",
  echo: 'true, false, "debug", or null',
  guard: "true or false",
  trackLeaks: 'true, false, or "stack"',
  loggingName: "a string, or null",
  logger: "an object with the functions debug, info, warn and error",
  clock: "an object with the functions now, setTimeout and clearTimeout",
  scope: '"auto", "isolate", or a function that returns an object or undefined',
  "scope of stats()": '"current" or "all"',
  "scope of connect()": "an object: in Workers ctx, or this.ctx of a Durable Object",
  signal: "an AbortSignal",
  priority: "a whole number, 0 to 2147483647",
  "timeout of close()": 'a duration of 0 or more such as "10s" (a bare number is seconds)',
  "count of warm()": "a whole number, 0 or more",
};

/** A bare number above this many seconds is refused: it can only be milliseconds by habit. */
const longestBareSeconds: Record<string, number> = { recycle: 86_400, maxAge: 86_400, idleTimeout: 7_200 };

/** Returns a value as an error shows it. Never throws. */
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
        return Array.isArray(value)
          ? `an array of ${value.length}`
          : `an object (${value.constructor?.name ?? "no class"})`;
      default:
        return String(value);
    }
  } catch {
    return "a value that cannot be shown";
  }
}

/** Returns the error for an option that breaks its rule. */
export function refuse(option: string, value: unknown, pool = ""): ArgumentError {
  const [name] = option.split(" of Singleton");
  return new ArgumentError(`${name} must be ${allowed[option] ?? "another value"}; it is ${show(value)}`, pool);
}

const perUnit = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const;

/** Returns milliseconds; Infinity for null; NaN for a value that is no duration, which the policy refuses. */
export function toMillis(option: string, value: unknown, pool: string): number {
  if (value === null) return Infinity;
  if (typeof value === "string") {
    const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(value);
    return match ? Number(match[1]) * perUnit[match[2] as keyof typeof perUnit] : NaN;
  }
  if (typeof value !== "number") return NaN;
  // "No limit" is null. Infinity is more likely the result of a wrong sum.
  if (value === Infinity) return NaN;
  if (value > (longestBareSeconds[option] ?? 600)) {
    throw new ArgumentError(
      `${option} is ${value}, and a bare number means seconds: write "${value}ms" for milliseconds, or ` +
        `"${value}s" for seconds`,
      pool,
    );
  }
  return value * 1000;
}

/** Checks a duration that the policy does not check. */
export function checkedMillis(option: string, value: unknown, pool: string): number {
  const ms = toMillis(option, value, pool);
  if (!(ms >= 0)) throw refuse(option, value, pool);
  return ms;
}

/** Checks that the options have known keys only. Throws an {@link ArgumentError} that names the first unknown key. */
export function checkKeys(given: unknown, known: readonly string[], what: string, pool: string): void {
  checkIsOptions(given, what, pool);
  for (const key in given) {
    if (!known.includes(key)) {
      throw new ArgumentError(
        `${what} has no option ${show(key)} (its value is ${show(given[key])}); it has ${known.join(", ")}`,
        pool,
      );
    }
  }
}

/** Checks options that are flags: each is true, false, or absent. */
export function checkFlags(given: unknown, known: readonly string[], what: string, pool: string): void {
  checkKeys(given, known, what, pool);
  for (const [key, value] of Object.entries(given as Record<string, unknown>))
    if (value !== undefined) checkIsFlag(key, value, pool);
}

export function checkIsFlag(name: string, value: unknown, pool: string): asserts value is boolean {
  if (typeof value !== "boolean") throw new ArgumentError(`${name} must be true or false; it is ${show(value)}`, pool);
}

/** Checks that the options are an object. An array is refused, too. */
export function checkIsOptions(
  options: unknown,
  what: string,
  pool: string,
): asserts options is Record<string, unknown> {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw new ArgumentError(`the options of ${what} must be an object; they are ${show(options)}`, pool);
  }
}

/** Whether the value has all of these functions. */
export function hasFunctions(value: unknown, names: readonly string[]): boolean {
  return (
    typeof value === "object" &&
    value !== null &&
    names.every((name) => typeof (value as Record<string, unknown>)[name] === "function")
  );
}

/**
 * Whether the value is like an AbortSignal. `aborted` is only read later, once: as a getter it costs more than this.
 */
export function isSignal(value: unknown): value is AbortSignal {
  return (
    typeof value === "object" &&
    value !== null &&
    "aborted" in value &&
    typeof (value as AbortSignal).addEventListener === "function" &&
    typeof (value as AbortSignal).removeEventListener === "function"
  );
}
