/**
 * The values that users give, and the words of an error about one of them: what it is, and what it may be. Whether a
 * number is in its range is the policy's question (src/policy/config.rs); it answers with the option's name.
 */

import { ArgumentError } from "./errors.js";

/**
 * A length of time. A string carries its unit (`"500ms"`, `"30s"`, `"5m"`, `"1h"`); a bare number is seconds, as in
 * SQLAlchemy. A bare number that can only be milliseconds by habit is refused: time-outs above 600, `idleTimeout` above
 * 7200, `recycle` above 86400.
 */
export type Duration = number | `${number}${"ms" | "s" | "m" | "h"}`;

const duration = 'a duration of 0 or more such as "30s" or "500ms" (a bare number is seconds)';

/** What each option may be, as its error says it. */
const allowed: Record<string, string> = {
  poolSize: "a whole number, 0 or more (0 = no limit)",
  "poolSize of SingletonThreadPool": "a whole number, 1 or more",
  maxOverflow: "a whole number, 0 or more, or -1 (no limit)",
  maxWaiters: "a whole number, 0 or more, or Infinity",
  timeout: `${duration}, or null (for ever)`,
  driverTimeout: `${duration}, or null (for ever)`,
  pingTimeout: `${duration}, or null (for ever)`,
  deadline: `${duration}, or null (none)`,
  idleTimeout: `${duration}; without it, never`,
  prePingAfterIdle: duration,
  recycle: `${duration}, or -1 (never)`,
  recycleJitter: "a number from 0 to 1",
  useLifo: "true or false",
  prePing: "true or false",
  storeTraceback: "true or false",
  resetOnReturn: '"rollback" (true), "commit", or "none" (false, null)',
  minIdle: "a whole number, 0 or more",
  maxUses: "a whole number, 1 or more, or Infinity",
  maxConnecting: "a whole number, 1 or more, or Infinity",
  dialect: "an object with functions such as doRollback, doClose, inTransaction",
  echo: 'true, false, "debug", or null',
  trackLeaks: 'true, false, or "stack"',
  loggingName: "a string, or null",
  logger: "an object with the functions debug, info, warn and error",
  clock: "an object with the functions now, setTimeout and clearTimeout",
  scope: '"auto", "isolate", or a function that returns an object or undefined',
  "scope of stats()": '"current" or "all"',
  "scope of connect()": "an object: in Workers ctx, or this.ctx of a Durable Object",
  signal: "an AbortSignal",
  "timeout of close()": 'a duration of 0 or more such as "10s" (a bare number is seconds)',
  "count of warm()": "a whole number, 0 or more",
};

/** Bare numbers above so many seconds are taken for milliseconds written by habit. */
const longestBareSeconds: Record<string, number> = { recycle: 86_400, idleTimeout: 7_200 };

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
        return Array.isArray(value)
          ? `an array of ${value.length}`
          : `an object (${value.constructor?.name ?? "no class"})`;
      default:
        return String(value);
    }
  } catch {
    return "something that cannot be shown";
  }
}

/** The error for an option that breaks its rule. */
export function refuse(option: string, value: unknown, pool = ""): ArgumentError {
  const [name] = option.split(" of Singleton");
  return new ArgumentError(`${name} must be ${allowed[option] ?? "something else"}; it is ${show(value)}`, pool);
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
  if (value > (longestBareSeconds[option] ?? 600)) {
    throw new ArgumentError(
      `${option} is ${value}, and a bare number is seconds: for milliseconds write "${value}ms", for so many seconds "${value}s"`,
      pool,
    );
  }
  return value * 1000;
}

/** A duration that does not pass through the policy's check of a construction. */
export function checkedMillis(option: string, value: unknown, pool: string): number {
  const ms = toMillis(option, value, pool);
  if (!(ms >= 0)) throw refuse(option, value, pool);
  return ms;
}

/** An object of known keys, or an {@link ArgumentError}. */
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

/** The same, where each is true, false, or left out. */
export function checkFlags(given: unknown, known: readonly string[], what: string, pool: string): void {
  checkKeys(given, known, what, pool);
  for (const [key, value] of Object.entries(given as Record<string, unknown>)) {
    if (value !== undefined && typeof value !== "boolean")
      throw new ArgumentError(`${key} must be true or false; it is ${show(value)}`, pool);
  }
}

/** An array is a mistake worth naming at once. */
export function checkIsOptions(
  options: unknown,
  what: string,
  pool: string,
): asserts options is Record<string, unknown> {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw new ArgumentError(`the options of ${what} must be an object; they are ${show(options)}`, pool);
  }
}

/** Whether all of these are functions of the value. */
export function hasFunctions(value: unknown, names: readonly string[]): boolean {
  return (
    typeof value === "object" &&
    value !== null &&
    names.every((name) => typeof (value as Record<string, unknown>)[name] === "function")
  );
}

/** Any AbortSignal-like: `aborted` itself is read once, by the driver; as a getter it costs more than the rest here. */
export function isSignal(value: unknown): value is AbortSignal {
  return (
    typeof value === "object" &&
    value !== null &&
    "aborted" in value &&
    typeof (value as AbortSignal).addEventListener === "function" &&
    typeof (value as AbortSignal).removeEventListener === "function"
  );
}
