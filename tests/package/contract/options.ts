// Durations, creators, dialects, and every option with its type.

import type {
  AssertionPoolOptions,
  ConnectionRecord,
  ConnectOptions,
  Creator,
  Dialect,
  Duration,
  LendingPoolOptions,
  OpeningContext,
  PoolClock,
  PoolEvents,
  PoolListenerPair,
  PoolListeners,
  PoolLogger,
  PoolOptions,
  QueuePoolOptions,
  ResetStyle,
  SingletonThreadPoolOptions,
} from "edgepool";
import { holds, type Connection, type Flat, type Same } from "./same.js";

/** Absent or undefined: `?: T | undefined`, so that a program with exactOptionalPropertyTypes may pass what it has. */
type Optional<T> = { [K in keyof T]?: T[K] | undefined };
type C = Connection;

holds<Same<Duration, number | `${number}ms` | `${number}s` | `${number}m` | `${number}h`>>();
export const durations: Duration[] = [30, 0.5, "500ms", "30s", "1.5m", "1h"];
// @ts-expect-error: seconds are "s"
export const inWords: Duration = "5 seconds";
// @ts-expect-error: a number in a string has no unit
export const bare: Duration = "30";

holds<Same<ResetStyle, "rollback" | "commit" | "session" | "none" | boolean | null>>();

// A creator gets the record, and answers a connection or anything that can be awaited for one.
export const sync: Creator<Connection> = (record: ConnectionRecord<any>) => record.connection as Connection;
export const thenable: Creator<number> = () => ({ then: (resolve) => Promise.resolve(1).then(resolve) });
holds<Same<ReturnType<Creator<C>>, C | PromiseLike<C>>>();
holds<Same<Parameters<Creator<C>>["length"], 2>>();
holds<Same<Parameters<Creator<C>>[1], OpeningContext>>();
holds<Same<OpeningContext, { readonly signal: AbortSignal }>>();
// @ts-expect-error: of another connection
export const other: Creator<Connection> = () => "connection";

type Member = keyof Dialect<C>;
holds<
  Same<
    Member,
    | "name"
    | "doCheck"
    | "doRollback"
    | "doCommit"
    | "doResetSession"
    | "doClose"
    | "doTerminate"
    | "doPing"
    | "isDisconnect"
    | "isBusy"
    | "doCancel"
    | "keepsSlotUntilClosed"
    | "isTransient"
    | "inTransaction"
    | "guarded"
    | "doRefuse"
    | "onDisconnect"
  >
>();
holds<Same<Pick<Dialect<C>, "name">, { readonly name?: string | undefined }>>();
holds<
  Same<
    Flat<Pick<Dialect<C>, "doRollback" | "doCommit" | "doResetSession" | "doClose" | "doTerminate">>,
    Optional<
      Record<"doRollback" | "doCommit" | "doResetSession" | "doClose" | "doTerminate", (connection: C) => unknown>
    >
  >
>();
holds<Same<NonNullable<Dialect<C>["doCheck"]>, (connection: C) => string | void>>();
holds<Same<NonNullable<Dialect<C>["doPing"]>, (connection: C) => boolean | PromiseLike<boolean>>>();
holds<Same<NonNullable<Dialect<C>["isDisconnect"]>, (error: unknown, connection: C) => boolean | "connection">>();
holds<Same<NonNullable<Dialect<C>["isBusy"]>, (connection: C) => boolean | "stuck">>();
holds<Same<NonNullable<Dialect<C>["doCancel"]>, (connection: C) => unknown>>();
holds<Same<Pick<Dialect<C>, "keepsSlotUntilClosed">, { readonly keepsSlotUntilClosed?: boolean | undefined }>>();
holds<Same<NonNullable<Dialect<C>["isTransient"]>, (error: unknown) => boolean>>();
holds<Same<NonNullable<Dialect<C>["inTransaction"]>, (connection: C) => boolean>>();
holds<Same<NonNullable<Dialect<C>["onDisconnect"]>, (connection: C, died: (error: unknown) => void) => () => void>>();
holds<Same<NonNullable<Dialect<C>["guarded"]>, readonly string[] | ((name: string) => boolean)>>();
holds<
  Same<
    NonNullable<Dialect<C>["doRefuse"]>,
    (error: unknown, given: readonly unknown[], connection: C, name: string) => unknown
  >
>();
export const nothing: Dialect<C> = {};
export const anyone: Dialect = { doClose: (connection) => connection.whatever() };
// @ts-expect-error: inTransaction answers at once
export const late: Dialect<C> = { inTransaction: async () => true };

type Limit = Duration | null;
type OfEveryPool = {
  recycle: Duration;
  maxAge: Duration;
  recycleJitter: number;
  resetOnReturn: ResetStyle;
  prePing: boolean;
  prePingAfterIdle: Duration;
  driverTimeout: Limit;
  returnTimeout: Limit;
  openTimeout: Limit;
  openRetry: boolean | number;
  pingTimeout: Limit;
  deadline: Limit;
  guard: boolean;
  echo: boolean | "debug" | null;
  loggingName: string | null;
  logger: PoolLogger;
  clock: PoolClock;
  trackLeaks: boolean | "stack";
  scope: "auto" | "isolate" | (() => object | undefined);
};
type OfQueuePool = {
  poolSize: number;
  maxOverflow: number;
  timeout: Limit;
  useLifo: boolean;
  maxWaiters: number;
  idleTimeout: Limit;
  minIdle: number;
  min: number;
  refill: boolean;
  maxUses: number;
  maxConnecting: number;
};
type OfLendingPool = { holdLimit: Duration; onHoldLimit: "report" | "terminate" };
/** What says nothing of the connection, compared as a whole; the two that do are compared one by one. */
type Plain<T> = Flat<Omit<T, "dialect" | "events">>;

holds<Same<Plain<PoolOptions<C>>, Optional<OfEveryPool>>>();
holds<Same<Plain<LendingPoolOptions<C>>, Flat<Optional<OfEveryPool & OfLendingPool>>>>();
holds<Same<Plain<QueuePoolOptions<C>>, Flat<Optional<OfEveryPool & OfLendingPool & OfQueuePool>>>>();
holds<Same<Plain<SingletonThreadPoolOptions<C>>, Flat<Optional<OfEveryPool & { poolSize: number }>>>>();
holds<
  Same<Plain<AssertionPoolOptions<C>>, Flat<Optional<OfEveryPool & OfLendingPool & { storeTraceback: boolean }>>>
>();
export const everywhere = (
  options: PoolOptions<C>,
): [QueuePoolOptions<C>, SingletonThreadPoolOptions<C>, AssertionPoolOptions<C>] => [options, options, options];

holds<Same<NonNullable<PoolOptions<C>["dialect"]>, Dialect<C>>>();
holds<Same<NonNullable<PoolOptions<C>["events"]>, PoolListeners<C> | ReadonlyArray<PoolListenerPair<C>>>>();
holds<Same<keyof PoolListeners<C>, keyof PoolEvents<C>>>();
holds<
  Same<NonNullable<PoolListeners<C>["checkin"]>, PoolEvents<C>["checkin"] | ReadonlyArray<PoolEvents<C>["checkin"]>>
>();
holds<
  Same<
    Extract<PoolListenerPair<C>, readonly [unknown, "reset"]>,
    readonly [listener: PoolEvents<C>["reset"], event: "reset"]
  >
>();
holds<Same<PoolListenerPair<C>[1], keyof PoolEvents<C>>>();

holds<
  Same<
    Flat<ConnectOptions>,
    Optional<{ signal: AbortSignal; timeout: Limit; deadline: Limit; priority: number; scope: object }>
  >
>();

/** The members of an options type that may be absent but not undefined: none. */
type Exact<T> = { [K in keyof T]-?: Record<K, undefined> extends Pick<T, K> ? never : K }[keyof T];
holds<
  Same<
    | Exact<QueuePoolOptions<C>>
    | Exact<SingletonThreadPoolOptions<C>>
    | Exact<AssertionPoolOptions<C>>
    | Exact<LendingPoolOptions<C>>
    | Exact<ConnectOptions>
    | Exact<Dialect<C>>
    | Exact<PoolListeners<C>>,
    never
  >
>();
export const maybe = (signal: AbortSignal | undefined, timeout: Duration | undefined): ConnectOptions => ({
  signal,
  timeout,
});

holds<Same<keyof PoolClock, "now" | "setTimeout" | "clearTimeout">>();
holds<Same<PoolClock["now"], () => number>>();
holds<Same<PoolClock["setTimeout"], (fn: () => void, ms: number) => unknown>>();
holds<Same<PoolClock["clearTimeout"], (handle: unknown) => void>>();
holds<Same<keyof PoolLogger, "debug" | "info" | "warn" | "error">>();
holds<
  Same<Flat<Pick<PoolLogger, "debug" | "info" | "warn">>, Record<"debug" | "info" | "warn", (message: string) => void>>
>();
holds<Same<PoolLogger["error"], (message: string, error?: unknown) => void>>();
export const consoleWillDo: PoolLogger = console;
