// Every error: what it is one of, what it knows, and which of them a caller may make.

import {
  ArgumentError,
  AssertionError,
  DisconnectionError,
  InvalidRequestError,
  PoolClosedError,
  PoolError,
  PoolTimeoutError,
  QueueFullError,
  type PoolErrorCode,
  type PoolStats,
} from "edgepool";
import { holds, type Flat, type Same } from "./same.js";

/** What is `instanceof` this. */
type Of<T> = abstract new (...args: never) => T;

holds<
  Same<
    PoolErrorCode,
    | "ERR_POOL_ARGUMENT"
    | "ERR_POOL_TIMEOUT"
    | "ERR_POOL_CLOSED"
    | "ERR_POOL_QUEUE_FULL"
    | "ERR_POOL_INVALID_REQUEST"
    | "ERR_POOL_DISCONNECTION"
    | "ERR_POOL_ASSERTION"
    | "ERR_POOL_CRASHED"
  >
>();
type Own<T> = Flat<Omit<T, keyof Error>>;
type Basic = { readonly code: PoolErrorCode; readonly pool: string; toJSON: () => Record<string, unknown> };

export const errors: Of<Error>[] = [PoolError];
export const poolErrors: Of<PoolError>[] = [
  ArgumentError,
  PoolTimeoutError,
  PoolClosedError,
  QueueFullError,
  InvalidRequestError,
  AssertionError,
  DisconnectionError,
];
holds<Same<Own<PoolError>, Basic>>();
holds<Same<Own<ArgumentError | PoolClosedError | QueueFullError | InvalidRequestError | AssertionError>, Basic>>();
holds<Same<Own<DisconnectionError>, Flat<Basic & { readonly invalidatePool: boolean }>>>();
holds<
  Same<
    Own<PoolTimeoutError>,
    Flat<
      Basic & {
        readonly stats: PoolStats;
        readonly size: number;
        readonly overflow: number;
        readonly waitedMs: number;
        readonly timeoutMs: number;
        readonly step: "wait" | "open" | "ping" | "listener";
        readonly longestHeld: ReadonlyArray<{ readonly ms: number; readonly stack?: string }>;
      }
    >
  >
>();
export const cause = (error: PoolError): unknown => error.cause;

// The one that a listener throws.
export const thrown = [
  new DisconnectionError(),
  new DisconnectionError("gone"),
  new DisconnectionError("gone", { cause: 1 }),
  new DisconnectionError("gone", { invalidatePool: true }),
];
export const constructor: new (
  message?: string,
  options?: { cause?: unknown; invalidatePool?: boolean | undefined },
) => DisconnectionError = DisconnectionError;
// @ts-expect-error: no such word
export const misspelt = new DisconnectionError("gone", { invalidate: true });
