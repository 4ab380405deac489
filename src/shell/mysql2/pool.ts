/**
 * The members of mysql2's Pool over a {@link QueuePool}: a subclass of mysql2's own, with another queue. That pool
 * decides which caller gets which connection. query(), execute(), promise() and the escapes are mysql2's.
 */

import type { EventEmitter } from "node:events";
import {
  InvalidRequestError,
  PoolClosedError,
  PoolTimeoutError,
  QueueFullError,
  QueuePool,
  type ConnectOptions,
  type PooledConnection,
  type QueuePoolOptions,
} from "edgepool";
import { dialect, guard, loanOf, opened, type Connection, type ConnectionClass, type Owner } from "./connection.js";
import { queueOptions, type Config, type Given } from "./settings.js";

type Callback = (error: unknown, connection?: Connection) => void;

/** What this module needs of the package mysql2. */
export interface Driver {
  readonly PoolConnection: ConnectionClass;
  readonly Pool: new (options: { config: Config }) => EventEmitter & {
    config: Config;
    promise(Own?: PromiseConstructor): PromisePool;
  };
  readonly ConnectionConfig: { parseUrl(url: string): Given };
  createPool(options: Given): { config: Config };
}

/** What this module needs of mysql2's promise pool. */
interface PromisePool {
  query(statement: unknown, values?: unknown): Promise<unknown>;
  execute(statement: unknown, values?: unknown): Promise<unknown>;
}

/** What programs compare the messages of errors with. */
const messages = {
  closed: "Pool is closed.",
  full: "Queue limit reached.",
  taken: "No connections available.",
};

/** How long end() waits for connections that are out. */
const endMillis = 10_000;

/** Returns the class of the pools, which is one of mysql2's. */
export function poolClass(driver: Driver): new (given: Given | string) => EventEmitter {
  return class MysqlPool extends driver.Pool {
    /** Whether end() was called. mysql2's promise pool reads it. */
    _closed = false;
    readonly #queue: QueuePool<Connection>;
    readonly #endMillis: number;
    readonly #owner: Owner = {
      _closed: false,
      releaseConnection: (connection) => this.#release(connection),
      _removeConnection: (connection) => this.#remove(connection),
    };

    constructor(given: Given | string) {
      const { maxIdle, acquireTimeout, endTimeout, edgepool, ...options } = read(driver, given);
      // With its own maxIdle mysql2 would set a timer here.
      const { config } = driver.createPool(options);
      super({ config });
      if (maxIdle !== undefined && !Number.isNaN(Number(maxIdle))) config.maxIdle = Number(maxIdle);
      this.#endMillis = duration("endTimeout", endTimeout) ?? endMillis;
      const settings: QueuePoolOptions<Connection> = {
        ...queueOptions(config, options, maxIdle !== undefined, duration("acquireTimeout", acquireTimeout)),
        ...edgepool,
      };
      this.#queue = new QueuePool<Connection>(
        async (_record, opening) => {
          const connection = await opened(driver.PoolConnection, this.#owner, copyOf(config), opening);
          guard(connection, this.#queue.loggingName);
          this.#notify("connection", connection);
          return connection;
        },
        { dialect, ...settings },
      );
    }

    /** The pool behind this one, for its stats, events and status. */
    get queuePool(): QueuePool<Connection> {
      return this.#queue;
    }

    /** Calls back with a connection. Its options are a signal and a limit of this call. */
    getConnection(...given: unknown[]): void {
      const callback = given.at(-1) as Callback;
      if (typeof callback !== "function") {
        throw new TypeError(
          "getConnection() wants a callback: for promises use promise(), or createPool of edgepool/mysql2/promise",
        );
      }
      const isWatched = this.listenerCount("enqueue") > 0;
      const before = isWatched ? this.#queue.stats().waiting : 0;
      const lease = this.#queue.connect(given.length > 1 ? limitsOf(given[0]) : undefined);
      if (isWatched && this.#queue.stats().waiting > before) this.#notify("enqueue");
      lease.then(
        (lent) => queueMicrotask(() => callback(null, this.#lend(lent))),
        (error: unknown) => queueMicrotask(() => callback(worded(error))),
      );
    }

    #lend(lease: PooledConnection<Connection>): Connection {
      const { connection } = lease;
      const loan = loanOf(connection);
      if (loan !== undefined) {
        loan.lease = lease;
        loan.isOut = true;
      }
      connection._released = false;
      this.#notify("acquire", connection);
      return connection;
    }

    /** Takes a connection back: one of callbacks, or one of promises. A second call does nothing, as in mysql2. */
    releaseConnection(given: Connection | { connection: Connection }): void {
      const connection = "connection" in given ? given.connection : given;
      if ((connection as { _pool?: unknown })._pool !== this.#owner && loanOf(connection) === undefined) {
        throw new InvalidRequestError(
          `releaseConnection() got a connection that is not one of pool ${this.#queue.loggingName}`,
          this.#queue.loggingName,
        );
      }
      connection.release();
    }

    /** Returns mysql2's promise pool, whose query() and execute() look for their caller only if they fail. */
    override promise(Own?: PromiseConstructor): PromisePool {
      const promised = super.promise(Own);
      const { trace } = this.config.connectionConfig as { trace?: unknown };
      if (trace !== true || (Own !== undefined && Own !== Promise)) return promised;
      const { query, execute } = promised;
      const pool = this as unknown as Record<"query" | "execute", (...given: unknown[]) => void>;
      promised.query = (statement, values) =>
        typeof values === "function"
          ? query.call(promised, statement, values)
          : answered((done) =>
              values === undefined ? pool.query(statement, done) : pool.query(statement, values, done),
            );
      promised.execute = (statement, values) =>
        typeof values === "function"
          ? execute.call(promised, statement, values)
          : answered((done) => (values ? pool.execute(statement, values, done) : pool.execute(statement, done)));
      return promised;
    }

    #release(connection: Connection): void {
      const loan = loanOf(connection);
      const lease = loan?.lease;
      if (loan === undefined || lease === undefined) return;
      loan.lease = undefined;
      loan.isOut = false;
      void lease.close();
      this.#notify("release", connection);
    }

    /** A connection that has died is reported by the dialect. */
    #remove(connection: Connection): void {
      const loan = loanOf(connection);
      const lease = loan?.lease;
      if (loan === undefined || lease === undefined) return;
      loan.lease = undefined;
      if (connection._fatalError || connection._protocolError || connection.stream.destroyed) return;
      // A graceful end is mysql2's to finish.
      if (!this.#isGraceful) return void lease.invalidate();
      void lease.detach();
      connection.stream.once("close", () => void lease.close({ transactionWasReset: true }));
    }

    get #isGraceful(): boolean {
      return (this.config.connectionConfig as { gracefulEnd?: unknown }).gracefulEnd === true;
    }

    /** Refuses callers that wait, waits for the connections that are out, and ends them at the end of its time. */
    end(callback?: (error?: unknown) => void): void {
      this._closed = true;
      void this.#queue.close({ timeout: `${this.#endMillis}ms` }).then(() => {
        if (typeof callback === "function") queueMicrotask(() => callback());
      });
    }

    /** An error of a listener must not disturb a checkout or a return. */
    #notify(event: string, ...given: unknown[]): void {
      try {
        this.emit(event, ...given);
      } catch (error) {
        console.error(`pool ${this.#queue.loggingName}: a listener of "${event}" failed`, error);
      }
    }

    static {
      // Minifiers change the name of a class, and libraries look for "Pool" in it.
      Object.defineProperty(this, "name", { value: "Pool" });
    }
  };
}

type Done = (error: unknown, rows?: unknown, fields?: unknown) => void;

/**
 * Returns a promise of the rows and fields that `run` calls back with. Its error has the stack of the functions that
 * await it. mysql2 notes a stack at each call, which takes nearly as long as all else that it does for a small query.
 */
function answered(run: (done: Done) => void): Promise<unknown> {
  return new Promise((resolve) =>
    run((error, rows, fields) => {
      if (!error) return resolve([rows, fields]);
      // V8 shows a handler the functions that await the promise behind it: that promise must follow it before it runs.
      let reject: Done = () => {};
      const rejected = new Promise((_, rejectIt) => (reject = rejectIt));
      resolve(rejected.catch(rethrowWithCaller));
      reject(error);
    }),
  );
}

/** Without functions that await, the stack of the driver stays. */
function rethrowWithCaller(error: unknown): never {
  const holder: { stack?: string } = {};
  (Error as { captureStackTrace?(holder: object): void }).captureStackTrace?.(holder);
  const frames = holder.stack?.split("\n").filter((frame) => frame.includes(" at async ")) ?? [];
  if (error instanceof Error && frames.length > 0)
    error.stack = [`${error.name}: ${error.message}`, ...frames].join("\n");
  throw error;
}

function limitsOf(given: unknown): ConnectOptions {
  const { signal, acquireTimeout } = (given ?? {}) as Record<string, any>;
  const deadline = duration("acquireTimeout", acquireTimeout);
  return { signal, ...(deadline !== undefined && { deadline: `${deadline}ms` }) };
}

/** A connection string has options of the pool, too. */
function read(driver: Driver, given: Given | string): Given {
  if (typeof given === "string") return { ...driver.ConnectionConfig.parseUrl(given) };
  if (typeof given !== "object" || given === null)
    throw new TypeError("createPool() wants the options of mysql2, or a connection string");
  const { uri } = given;
  return { ...(typeof uri === "string" && driver.ConnectionConfig.parseUrl(uri)), ...given };
}

/** changeUser() writes into the config of its connection. */
function copyOf({ connectionConfig }: Config): unknown {
  return Object.create(
    Object.getPrototypeOf(connectionConfig) as object,
    Object.getOwnPropertyDescriptors(connectionConfig),
  );
}

/** Returns milliseconds; undefined for what means no limit. */
function duration(name: string, value: unknown): number | undefined {
  if (value === undefined || value === null || value === 0 || value === Infinity) return undefined;
  const milliseconds = Number(value);
  if (!(milliseconds > 0)) throw new TypeError(`${name} must be a number of milliseconds; it is ${String(value)}`);
  return milliseconds;
}

/** Gives the errors of a checkout the messages of mysql2. The class, the code and the pool's numbers are ours. */
function worded(error: unknown): unknown {
  if (error instanceof PoolClosedError) return new PoolClosedError(error.pool, messages.closed);
  if (error instanceof QueueFullError) return new QueueFullError(messages.full, error.pool);
  if (error instanceof PoolTimeoutError && error.step === "wait" && error.timeoutMs === 0)
    return new PoolTimeoutError(messages.taken, error.pool, error, { cause: error });
  return error;
}
