// The pools: how they are made, and every member with its type.

import {
  AssertionPool,
  AsyncAdaptedQueuePool,
  listen,
  NullPool,
  Pool,
  QueuePool,
  SingletonThreadPool,
  StaticPool,
  type AssertionPoolOptions,
  type ConnectOptions,
  type Creator,
  type Duration,
  type ListenOptions,
  type PoolClass,
  type PooledConnection,
  type PoolEvents,
  type LendingPoolOptions,
  type PoolOptions,
  type PoolSizes,
  type PoolStats,
  type QueuePoolOptions,
  type SingletonThreadPoolOptions,
  type TryConnectOptions,
} from "edgepool";
import { Connection, holds, type Flat, type Same } from "./same.js";

type C = Connection;

// What a constructor takes.
holds<Same<ConstructorParameters<typeof Pool<C>>, [creator: Creator<C>, options?: PoolOptions<C> | undefined]>>();
holds<
  Same<ConstructorParameters<typeof QueuePool<C>>, [creator: Creator<C>, options?: QueuePoolOptions<C> | undefined]>
>();
holds<
  Same<ConstructorParameters<typeof NullPool<C>>, [creator: Creator<C>, options?: LendingPoolOptions<C> | undefined]>
>();
holds<
  Same<
    ConstructorParameters<typeof SingletonThreadPool<C>>,
    [creator: Creator<C>, options?: SingletonThreadPoolOptions<C> | undefined]
  >
>();
holds<Same<ConstructorParameters<typeof StaticPool<C>>, [creator: Creator<C>, options?: PoolOptions<C> | undefined]>>();
holds<
  Same<
    ConstructorParameters<typeof AssertionPool<C>>,
    [creator: Creator<C>, options?: AssertionPoolOptions<C> | undefined]
  >
>();
holds<Same<typeof AsyncAdaptedQueuePool, typeof QueuePool>>();
holds<Same<AsyncAdaptedQueuePool<C>, QueuePool<C>>>();
// @ts-expect-error: the base is abstract
export const base = new Pool(() => new Connection());

// What the connection is comes from the creator, whatever else is written.
const open = () => new Connection();
holds<Same<Inferred<typeof plain>, C>>();
holds<Same<Inferred<typeof awaited>, C>>();
holds<Same<Inferred<typeof recorded>, C>>();
holds<Same<Inferred<typeof listened>, C>>();
holds<Same<Inferred<typeof spoken>, C>>();
type Inferred<P> = P extends Pool<infer Of> ? Of : never;
const plain = new QueuePool(open);
const awaited = new NullPool(async () => new Connection());
const recorded = new SingletonThreadPool((record) => (record.inUse ? open() : new Connection()));
const listened = new StaticPool(open, {
  events: {
    checkout: (connection, record, lease) => [connection.query(""), record.info, lease.isValid],
    checkin: [(connection) => connection?.query("")],
  },
});
const spoken = new AssertionPool(open, { dialect: { doPing: (connection) => connection.query("").then(() => true) } });
export const paired: QueuePool<C> = new QueuePool(open, {
  events: [[(connection: C) => connection.query(""), "connect"]],
});

// What an option may not be.
// @ts-expect-error: no option of any pool
export const unknownOption = new QueuePool(open, { max: 3 });
// @ts-expect-error: an option of QueuePool
export const notOfNull = new NullPool(open, { poolSize: 3 });
// @ts-expect-error: an option of QueuePool
export const notOfSingleton = new SingletonThreadPool(open, { timeout: "1s" });
// @ts-expect-error: an option of AssertionPool
export const notOfQueue = new QueuePool(open, { storeTraceback: true });
// @ts-expect-error: no event
export const noEvent = new QueuePool(open, { events: { connected: () => {} } });

// What every pool has.
type Common =
  | "loggingName"
  | "echo"
  | "connect"
  | "use"
  | "tryConnect"
  | "useSync"
  | "dispose"
  | "recreate"
  | "invalidateAll"
  | "close"
  | "endScope"
  | "closed"
  | "status"
  | "stats"
  | "on"
  | "off"
  | typeof Symbol.asyncDispose;
holds<Same<keyof Pool<C>, Common>>();
holds<Same<keyof NullPool<C> | keyof StaticPool<C> | keyof AssertionPool<C>, Common>>();
holds<Same<keyof SingletonThreadPool<C>, Common | "size">>();
holds<
  Same<keyof QueuePool<C>, Common | "size" | "checkedIn" | "overflow" | "checkedOut" | "timeout" | "warm" | "resize">
>();

holds<
  Same<
    Pick<Pool<C>, "loggingName" | "echo" | "closed">,
    { readonly loggingName: string; echo: boolean | "debug" | null; readonly closed: boolean }
  >
>();
holds<Same<Pool<C>["connect"], (options?: ConnectOptions) => Promise<PooledConnection<C>>>>();
holds<
  Same<
    Pool<C>["use"],
    <R>(fn: (connection: C, lease: PooledConnection<C>) => R | PromiseLike<R>, options?: ConnectOptions) => Promise<R>
  >
>();
holds<Same<Pool<C>["tryConnect"], (options?: TryConnectOptions) => PooledConnection<C> | undefined>>();
holds<
  Same<Pool<C>["useSync"], <R>(fn: (connection: C, lease: PooledConnection<C>) => R, options?: TryConnectOptions) => R>
>();
holds<Same<Flat<TryConnectOptions>, { scope?: object | undefined }>>();
holds<Same<Pool<C>["dispose"], () => Promise<void>>>();
holds<Same<Pool<C>["invalidateAll"], (reason?: unknown) => void>>();
holds<
  Same<Pool<C>["close"], (options?: { timeout?: Duration | undefined; drain?: boolean | undefined }) => Promise<void>>
>();
holds<Same<Pool<C>["status"], () => string>>();
holds<Same<Pool<C>["stats"], (options?: { scope?: "current" | "all" | undefined }) => PoolStats>>();
holds<Same<Pool<C>["endScope"], (key: object) => Promise<void>>>();
holds<
  Same<
    Pool<C>["on"],
    <E extends keyof PoolEvents<C>>(event: E, listener: PoolEvents<C>[E], options?: ListenOptions) => () => void
  >
>();
holds<Same<Pool<C>["off"], <E extends keyof PoolEvents<C>>(event: E, listener: PoolEvents<C>[E]) => boolean>>();
export const disposable = (pool: Pool<C>): AsyncDisposable => pool;
holds<Same<Pool<C>[typeof Symbol.asyncDispose], () => Promise<void>>>();
// A recreated pool is of the class of the old one.
holds<Same<ReturnType<QueuePool<C>["recreate"]>, QueuePool<C>>>();
holds<Same<ReturnType<SingletonThreadPool<C>["recreate"]>, SingletonThreadPool<C>>>();
export const rows: Promise<number> = plain.use((connection) => connection.query("SELECT 1"));
export const now: Promise<string> = plain.use((_connection, lease) => (lease.isValid ? "valid" : "ended"), {
  signal: AbortSignal.timeout(10),
  timeout: null,
  deadline: "1s",
});

holds<
  Same<
    Flat<Pick<QueuePool<C>, "size" | "checkedIn" | "overflow" | "checkedOut">>,
    Record<"size" | "checkedIn" | "overflow" | "checkedOut", () => number>
  >
>();
holds<Same<QueuePool<C>["timeout"], () => number | null>>();
holds<Same<QueuePool<C>["warm"], (count?: number) => Promise<void>>>();
holds<Same<QueuePool<C>["resize"], (sizes: PoolSizes) => void>>();
holds<
  Same<
    Flat<PoolSizes>,
    {
      poolSize?: number | undefined;
      maxOverflow?: number | undefined;
      minIdle?: number | undefined;
      min?: number | undefined;
      idleTimeout?: Duration | null | undefined;
      maxUses?: number | undefined;
      maxAge?: Duration | undefined;
    }
  >
>();
holds<Same<Pick<SingletonThreadPool<C>, "size">, { readonly size: number }>>();

holds<
  Same<
    Flat<PoolStats>,
    Flat<
      Readonly<
        Record<
          | "total"
          | "idle"
          | "used"
          | "returning"
          | "opening"
          | "closing"
          | "waiting"
          | "detached"
          | "maxIdle"
          | "minIdle"
          | "max"
          | "opened"
          | "openFailed"
          | "checkouts"
          | "waited"
          | "timedOut"
          | "aborted"
          | "recycled"
          | "invalidated"
          | "leaked",
          number
        >
      >
    >
  >
>();

// Listening on a pool knows its connection; on a class it is a caller's.
holds<Same<PoolClass, abstract new (...args: any[]) => Pool<any>>>();
export const classes: PoolClass[] = [
  Pool,
  QueuePool,
  AsyncAdaptedQueuePool,
  NullPool,
  SingletonThreadPool,
  StaticPool,
  AssertionPool,
];
export const ofPool = listen(
  plain,
  "checkout",
  (connection, record, lease) => [connection.query(""), record.inUse, lease.info],
  { once: true },
);
export const withoutOptions: [() => void, () => void] = [
  listen(plain, "close", (connection) => connection.query("")),
  listen(NullPool, "close", () => {}),
];
export const ofClass = listen(QueuePool, "connect", (connection) => connection.whatever(), { insert: true });
export const ofBase: () => void = listen(Pool, "error", (_error, { operation, record }) => [operation, record?.info]);
holds<Same<typeof ofPool, () => void>>();
holds<Same<typeof ofClass, () => void>>();
// @ts-expect-error: no event
listen(plain, "connected", () => {});
// @ts-expect-error: of another connection
listen(plain, "connect", (connection: string) => connection);
// @ts-expect-error: nothing to listen on
listen({}, "connect", () => {});
// @ts-expect-error: no option of a listener
listen(plain, "connect", () => {}, { first: true });
