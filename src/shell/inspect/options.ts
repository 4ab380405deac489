/** The options of inspect(), checked and completed. */

import { ArgumentError } from "../errors.js";
import type { Duration } from "../options.js";
import { Pool } from "../pool.js";
import { checkIsOptions, checkKeys, show, toMillis } from "../validate.js";

/** Decides whether a request may see the pools. */
export type Authorize = (request: Request) => boolean | PromiseLike<boolean>;

/** What decides which requests may see the pools: a token, or a function. One of them is required. */
export type InspectAccess =
  | {
      /**
       * A secret of at least 16 characters. A request shows it as `Authorization: Bearer …`, or as the password of
       * Basic, for which browsers ask. It is compared in constant time.
       */
      token: string;
      authorize?: undefined;
    }
  | {
      /** Decides for each request. Only `true` lets it see the pools: anything else, an error and silence refuse it. */
      authorize: Authorize;
      token?: undefined;
    };

/** Options of {@link inspect}. */
export type InspectOptions = InspectAccess & {
  /** The pools of the page, or a function that returns them and is called for each picture: pools may be replaced. */
  pools: Pool<any> | readonly Pool<any>[] | (() => Pool<any> | readonly Pool<any>[] | null | undefined);
  /** How long `authorize` may take; then the request is refused. Default `"5s"`. */
  authorizeTimeout?: Duration | undefined;
  /** The time between two pictures, from `"50ms"` to `"60s"`. Default `"200ms"`. */
  interval?: Duration | undefined;
};

/** Options after their check. */
export interface Settings {
  readonly poolsOf: () => readonly Pool<any>[];
  readonly token: string | undefined;
  readonly authorize: Authorize | undefined;
  readonly authorizeTimeoutMs: number;
  readonly intervalMs: number;
}

const leastToken = 16;

export function readOptions(given: InspectOptions): Settings {
  checkIsOptions(given, "inspect()", "");
  checkKeys(given, ["pools", "token", "authorize", "authorizeTimeout", "interval"], "inspect()", "");
  const { pools, token, authorize, authorizeTimeout = "5s", interval = "200ms" } = given as Record<string, unknown>;
  if ((token === undefined) === (authorize === undefined)) {
    throw new ArgumentError(
      "inspect() needs one of the options token and authorize, because every request could see the pools otherwise; " +
        "it has " +
        (token === undefined ? "none" : "both"),
    );
  }
  if (token !== undefined && (typeof token !== "string" || token.length < leastToken))
    throw new ArgumentError(`token must be a string of at least ${leastToken} characters; it is not`);
  if (authorize !== undefined && typeof authorize !== "function")
    throw new ArgumentError(
      `authorize must be a function of the request that returns true or false; it is ${show(authorize)}`,
    );
  if (typeof pools !== "function") asPools(pools);
  return {
    poolsOf: typeof pools === "function" ? () => asPools(pools() ?? []) : () => asPools(pools),
    token,
    authorize: authorize as Authorize | undefined,
    authorizeTimeoutMs: within("authorizeTimeout", authorizeTimeout, 1, 600_000),
    intervalMs: within("interval", interval, 50, 60_000),
  };
}

function asPools(given: unknown): readonly Pool<any>[] {
  const pools: readonly unknown[] = Array.isArray(given) ? given : [given];
  for (const pool of pools) {
    if (!Pool.isPool(pool)) {
      throw new ArgumentError(
        `pools must be a pool of edgepool, an array of pools, or a function that returns them; one is ${show(pool)} ` +
          `(of the Pool of edgepool/pg give its queuePool)`,
      );
    }
  }
  return pools as readonly Pool<any>[];
}

function within(option: string, given: unknown, least: number, most: number): number {
  const ms = toMillis(option, given, "");
  if (ms >= least && ms <= most) return ms;
  throw new ArgumentError(
    `${option} must be a duration from ${least} ms to ${most / 1000} s such as "1s" (a bare number is seconds); ` +
      `it is ${show(given)}`,
  );
}
