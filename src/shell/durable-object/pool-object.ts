/**
 * The Durable Object that hosts one pool for many isolates. Decides its defaults and which RPC methods there are. The
 * pool decides which caller gets a connection; session.ts decides what happens on it. Users subclass it; poolOf() calls
 * it.
 */

// The entry of Workers: no other host has Durable Objects.
import { QueuePool } from "../entry/workerd.js";
import { DurableObject } from "cloudflare:workers";
import { ArgumentError } from "../errors.js";
import type { PooledConnection } from "../lease.js";
import type { Creator, QueuePoolOptions } from "../options.js";
import type { PoolStats } from "../stats.js";
import { checkIsOptions, show } from "../validate.js";
import { Session, type Driving } from "./session.js";
import type { CallerStub } from "./caller.js";
import { Calls, type Call } from "./calls.js";
import { failureOf, valueOrThrow, type Outcome } from "./failure.js";
import { Lease } from "./lease.js";
import type { ReadRows } from "./row-stream.js";
import type { RunQuery } from "./run-query.js";
import { SessionResets } from "./session-resets.js";
import {
  checkSettings,
  checkStatement,
  checkStatements,
  unknownCall,
  type BatchOptions,
  type QueryResult,
  type Settings,
  type Statement,
  type StatementConfig,
  type WaitOptions,
} from "./statements.js";

/** Options of a {@link PoolObject}: those of a QueuePool, with other defaults. */
export interface PoolObjectOptions<C> extends QueuePoolOptions<C> {
  /** Connections of one object, idle or not. Default 5. */
  poolSize?: number | undefined;
  /** Connections beyond `poolSize` under load. Default 0: an object never has more than `poolSize`. */
  maxOverflow?: number | undefined;
  /**
   * Calls that may queue. Default 500: each takes up to 100 kB, and an object has 128 MB. The others are refused with a
   * QueueFullError.
   */
  maxWaiters?: number | undefined;
  /**
   * Idle time after which a connection is closed. Default `"30s"`: an open socket keeps the object in memory and
   * billed.
   */
  idleTimeout?: NonNullable<QueuePoolOptions<C>["idleTimeout"]> | undefined;
  /**
   * What each return resets. Default `"session"` if the dialect has `doResetSession`, because callers of different
   * tenants share the sessions; else `"rollback"`.
   */
  resetOnReturn?: QueuePoolOptions<C>["resetOnReturn"];
  /** Runs one statement. Default: `connection.query(text, values)`, which must return `rows`, as pg does. */
  runQuery?: RunQuery<NoInfer<C>> | undefined;
  /** Reads the rows of one statement, for `stream()`. Default: with a portal of the connection, if it is pg's. */
  readRows?: ReadRows<NoInfer<C>> | undefined;
}

/** The calls of an object, with their parameters still unchecked. */
export type PoolCall = "query" | "batch" | "lease" | "stats";

/**
 * A Durable Object class with a pool of at most 5 connections behind it, for every Worker that is bound to it:
 *
 * ```js
 * export class Database extends PoolObject {
 *   constructor(ctx, env) {
 *     super(ctx, env, clients(env.DATABASE_URL));
 *   }
 * }
 * ```
 *
 * Workers call it through `poolOf(env.DATABASE)`, which gives errors back as they were thrown. Called directly on a
 * stub, a method's error has its code in its message, and at compatibility dates before `enhanced_error_serialization`
 * nothing else. Results are plain data; values of a class that RPC does not know arrive as objects of their own
 * properties.
 *
 * `C` is the driver's connection, `Env` the bindings.
 */
export class PoolObject<C = any, Env = unknown> extends DurableObject<Env> {
  /**
   * The pool, for the subclass: its own RPC methods, or listeners (`this.pool.on("connect", …)`). Not reachable over
   * RPC.
   */
  protected readonly pool: QueuePool<C>;
  readonly #driving: Driving<C>;
  readonly #calls = new Calls();

  /**
   * `creator` opens one connected driver connection, when one is needed. Throws an {@link ArgumentError} for a bad
   * option; every call of the object then rejects with it.
   */
  constructor(ctx: DurableObjectState, env: Env, creator: Creator<C>, options: PoolObjectOptions<C> = {}) {
    super(ctx, env);
    checkIsOptions(options, "PoolObject", "");
    const { runQuery, readRows, ...poolOptions } = options as PoolObjectOptions<C>;
    if (readRows !== undefined && typeof readRows !== "function")
      throw new ArgumentError(
        `readRows must be a function (connection, text, values) => an async iterable of rows; it is ${show(readRows)}`,
      );
    if (runQuery !== undefined && typeof runQuery !== "function")
      throw new ArgumentError(
        `runQuery must be a function (connection, text, values) => ({ rows }); it is ${show(runQuery)}`,
      );
    const { dialect = (creator as Creator<C> | undefined)?.dialect ?? {} } = poolOptions;
    const resetOnReturn = poolOptions.resetOnReturn ?? (dialect.doResetSession === undefined ? "rollback" : "session");
    const resets = new SessionResets<C>(dialect, resetOnReturn === "session");
    this.pool = new QueuePool<C>(creator, {
      poolSize: 5,
      maxOverflow: 0,
      maxWaiters: 500,
      idleTimeout: "30s",
      loggingName: new.target.name,
      ...poolOptions,
      dialect: resets.dialect,
      resetOnReturn,
    });
    this.#driving = { runQuery, readRows, dialect, pool: this.pool.loggingName, resets };
  }

  /**
   * Runs one statement on any connection. Rejects with the driver's error; with a PoolTimeoutError if no connection
   * came free in time; with an ArgumentError. A transaction that the statement leaves open is rolled back.
   */
  query<Row extends object = object>(
    text: string | StatementConfig,
    values?: readonly unknown[],
    options?: WaitOptions,
  ): Promise<QueryResult<Row>> {
    return valueOrThrow(this.answerPoolOf("query", [text, values, options]) as Promise<Outcome<QueryResult<Row>>>);
  }

  /**
   * Runs statements in their order on one connection, in one round trip from the Worker; by default in a transaction,
   * which is rolled back if one of them fails. The error is then the driver's, with a `statementIndex` that counts from
   * 0 and a message that names the statement. A failed COMMIT has no `statementIndex`. A statement that begins or ends
   * a transaction rejects with an ArgumentError, before any has run: those need `transaction: false`. What the database
   * commits by itself, as MySQL does at DDL, stays.
   */
  batch<Row extends object = object>(
    statements: readonly Statement[],
    options?: BatchOptions,
  ): Promise<QueryResult<Row>[]> {
    return valueOrThrow(this.answerPoolOf("batch", [statements, options]) as Promise<Outcome<QueryResult<Row>[]>>);
  }

  /** Checks a connection out for one caller; dispose it, or let the request end. */
  lease(options?: WaitOptions): Promise<Lease> {
    return valueOrThrow(this.answerPoolOf("lease", [options]) as Promise<Outcome<Lease>>);
  }

  /** The pool's numbers in this object. */
  stats(): Promise<PoolStats> {
    return Promise.resolve(this.pool.stats());
  }

  /** @internal Called by poolOf(): returns a failure instead of throwing it. */
  async answerPoolOf(
    name: PoolCall,
    parameters: readonly unknown[] = [],
    caller: CallerStub | undefined = undefined,
    isAbortable = false,
  ): Promise<Outcome<unknown>> {
    let call: Call | undefined;
    try {
      if (name === "stats") return { value: this.pool.stats() };
      call = this.#calls.enter(caller, isAbortable);
      return { value: await this.#run(name, parameters, call) };
    } catch (error) {
      return { failure: failureOf(error) };
    } finally {
      if (call !== undefined) this.#calls.leave(call);
    }
  }

  #run(name: PoolCall, parameters: readonly unknown[], call: Call): unknown {
    switch (name) {
      case "query": {
        const statement = checkStatement(parameters[0], parameters[1]);
        const wait = checkSettings(parameters[2], "query()");
        return this.#use((session) => session.query(statement, call, true), wait, call);
      }
      case "batch": {
        const statements = checkStatements(parameters[0]);
        const { transaction = true, ...wait } = checkSettings(parameters[1], "batch()");
        if (statements.length === 0) return [];
        return this.#use((session) => session.batch(statements, transaction, call, true), wait, call);
      }
      case "lease":
        return this.#begin(checkSettings(parameters[0], "lease()"), call).then(
          (lease) => new Lease(new Session(lease, this.#driving)),
        );
      default:
        throw unknownCall("a PoolObject", name);
    }
  }

  #begin({ timeout }: Settings, call: Call): Promise<PooledConnection<C>> {
    return this.pool.connect({
      timeout: timeout as NonNullable<Settings["timeout"]>,
      signal: call as unknown as AbortSignal,
      // The state of the object is the key of its scope, so no search is needed.
      scope: this.ctx,
    });
  }

  async #use<T>(work: (session: Session<C>) => Promise<T>, wait: Settings, call: Call): Promise<T> {
    const session = new Session(await this.#begin(wait, call), this.#driving);
    call.onUnwanted = () => session.abandon();
    try {
      const asked = call.begin();
      if (asked !== undefined) await asked;
      return await work(session);
    } finally {
      // The caller need not wait for the return.
      void session.end();
    }
  }
}
