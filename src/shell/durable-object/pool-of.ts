/**
 * The Worker's side of a PoolObject: which object a call goes to, and its answer as a typed value or as the error that
 * was thrown there. Keeps no stub from one call to the next, so a pool made at module scope serves every request, and
 * an object that was reset is found again. Called by users.
 */

import { ArgumentError, DisconnectionError, InvalidRequestError } from "../errors.js";
import type { PoolStats } from "../stats.js";
import { checkKeys, hasFunctions, refuse, show } from "../validate.js";
import { Caller, type CallerStub } from "./caller.js";
import { errorOf, type Outcome } from "./failure.js";
import { hash } from "./hash.js";
import { markRequest } from "./request-marker.js";
import { cannotBeSent, cannotBeValue } from "./rpc-values.js";
import type { LeaseCall } from "./lease.js";
import type { PoolCall } from "./pool-object.js";
import type { Chunk } from "./row-stream.js";
import {
  checkOptions,
  checkStatement,
  checkStatements,
  type AbortOptions,
  type CheckedStatement,
  type BatchOptions,
  type LeaseBatchOptions,
  type QueryResult,
  readWith,
  type Settings,
  type Statement,
  type StatementConfig,
  type ValueTypes,
  type WaitOptions,
} from "./statements.js";

/** A binding to a class of Durable Objects, as far as it is used here. */
export interface ObjectNamespace {
  /** The id of the object of this name. */
  idFromName(name: string): unknown;
  /** A stub to call it by. */
  get(id: any, options?: any): unknown;
}

/** Which object, or which of several. */
export interface PoolOfOptions {
  /** The object's name, or the first part of it: one database, one name. Default `"pool"`. */
  name?: string | undefined;
  /**
   * The number of objects, named `pool-0`, `pool-1`, …, each with connections of its own. Default: one object, `pool`.
   */
  shards?: number | undefined;
  /**
   * With `shards`: the same key always goes to the same object, such as a tenant's id. Without a key, each call goes to
   * a random object.
   */
  key?: string | undefined;
  /**
   * Where to create an object that does not exist yet, such as `"weur"`: near the database. Default: near its first
   * caller.
   */
  locationHint?: string | undefined;
}

/** A pool in a Durable Object, or in several. */
export interface RemotePool {
  /**
   * Runs one statement on any connection; see {@link PoolObject.query}. Rejects with the error that was thrown there,
   * of its properties those that are plain data; with an ArgumentError, though the statement ran, where its result is
   * above the 32 MiB of RPC or has a value that RPC refuses.
   */
  query<Row = Record<string, any>>(
    text: string | StatementConfig,
    values?: readonly unknown[],
    options?: WaitOptions,
  ): Promise<QueryResult<Row>>;
  /**
   * Runs statements in their order on one connection, in one round trip, by default in a transaction; see {@link
   * PoolObject.batch}.
   */
  batch<Row = Record<string, any>>(
    statements: readonly Statement[],
    options?: BatchOptions,
  ): Promise<QueryResult<Row>[]>;
  /**
   * Runs one statement on a lease of its own, and reads its rows while they are wanted, about 1 MB at a time:
   * `for await (const row of pool.stream("SELECT …"))`. All of them together may be above 32 MiB. The loop may be left
   * at any time. `timeout` and `signal` are those of `query()`.
   */
  stream<Row = Record<string, any>>(
    text: string | StatementConfig,
    values?: readonly unknown[],
    options?: WaitOptions,
  ): AsyncGenerator<Row, void, undefined>;
  /** Checks one connection out: `using lease = await pool.lease()`. It goes back, reset, however this request ends. */
  lease(options?: WaitOptions): Promise<RemoteLease>;
  /** Checks out, runs `fn`, and releases the lease even if `fn` fails. */
  use<R>(fn: (lease: RemoteLease) => R | PromiseLike<R>, options?: WaitOptions): Promise<R>;
  /**
   * The numbers of the object; of several, of the one that this call goes to. `{ scope: "all" }`: the sums over all
   * shards. It calls each of them, so it starts those that do not run.
   */
  stats(options?: { scope?: "current" | "all" | undefined }): Promise<PoolStats>;
}

/**
 * One connection in a Durable Object, until it is released, disposed, or the request ends. It is for the request that
 * took it: in another one `query()` and `batch()` reject with an InvalidRequestError, `release()` and the disposals do
 * nothing, and its owner goes on. If the connection was lost, `query()` and `batch()` reject with a DisconnectionError,
 * after a reset of the object with a {@link LostLeaseError}.
 */
export interface RemoteLease extends Disposable, AsyncDisposable {
  /** Runs one statement. After the end it rejects with an InvalidRequestError. */
  query<Row = Record<string, any>>(
    text: string | StatementConfig,
    values?: readonly unknown[],
    options?: AbortOptions,
  ): Promise<QueryResult<Row>>;
  /** Runs statements in their order, by default in a transaction of their own. */
  batch<Row = Record<string, any>>(
    statements: readonly Statement[],
    options?: LeaseBatchOptions,
  ): Promise<QueryResult<Row>[]>;
  /** Reads the rows of one statement as {@link RemotePool.stream}. Until its end no other statement may run. */
  stream<Row = Record<string, any>>(
    text: string | StatementConfig,
    values?: readonly unknown[],
    options?: AbortOptions,
  ): AsyncGenerator<Row, void, undefined>;
  /** Returns the connection; resolves once it is reset. A second call does nothing. Never rejects. */
  release(): Promise<void>;
}

/**
 * The error of a lease after its object was reset or got out of reach. The marks are those of the runtime's error,
 * which is the `cause`. The runtime marks its errors of `query()` and `batch()` in the same way.
 */
export interface LostLeaseError extends DisconnectionError {
  /** Whether the object was reset. */
  readonly durableObjectReset: boolean;
  /** Whether the work may succeed if it is done again, on a new lease. */
  readonly retryable: boolean;
  /** Whether the object has too much to do. */
  readonly overloaded: boolean;
}

/** The wire: one method, on the object and on a lease of it. */
interface Answering<Call extends string> {
  answerPoolOf(call: Call, parameters: readonly unknown[], caller?: CallerStub, isAbortable?: boolean): Answer;
}

type Answer = Promise<Outcome<unknown> & Partial<Disposable>>;

/**
 * The pool behind a binding to a {@link PoolObject} class. Costs nothing and opens nothing; may be made in a handler or
 * at module scope. Throws an {@link ArgumentError} for bad input, as do its methods (they reject).
 */
export function poolOf(namespace: ObjectNamespace, options: PoolOfOptions = {}): RemotePool {
  // A stub of an object, or of a service, has a function of every name.
  if (!hasFunctions(namespace, ["idFromName", "get"]) || hasFunctions(namespace, ["answerPoolOf"])) {
    throw new ArgumentError(
      `namespace must be a binding to a Durable Object class, such as env.DATABASE; it is ${show(namespace)}`,
    );
  }
  checkKeys(options, ["name", "shards", "key", "locationHint"], "poolOf()", "");
  const { name = "pool", shards, key, locationHint } = options;
  for (const [option, value] of Object.entries({ name, key, locationHint })) {
    if (value !== undefined && (typeof value !== "string" || value === ""))
      throw new ArgumentError(`${option} must be a string that is not empty; it is ${show(value)}`);
  }
  if (shards !== undefined && !(Number.isSafeInteger(shards) && shards >= 1))
    throw new ArgumentError(`shards must be a whole number, 1 or more; it is ${show(shards)}`);
  if (key !== undefined && shards === undefined)
    throw new ArgumentError(
      `key must come with shards, the number of objects that it chooses from; it is ${show(key)}, and shards was ` +
        `left out`,
    );
  const shardOfCall = (): number =>
    key === undefined ? Math.floor(Math.random() * (shards ?? 1)) : hash(key) % (shards ?? 1);
  const ids = idsOf(namespace);
  const objectAt = (shard: number): Answering<PoolCall> => {
    const objectName = shards === undefined ? name : `${name}-${shard}`;
    let id = ids.get(objectName);
    if (id === undefined) ids.set(objectName, (id = namespace.idFromName(objectName)));
    return namespace.get(id, locationHint === undefined ? undefined : { locationHint }) as Answering<PoolCall>;
  };
  return new ObjectPool(objectAt, shardOfCall, shards ?? 1);
}

/** An id is no I/O, so it may be used by every request. It costs as much as a fifth of a call. */
const mostIds = 1000;
const knownIds = new WeakMap<ObjectNamespace, Map<string, unknown>>();

function idsOf(namespace: ObjectNamespace): Map<string, unknown> {
  let ids = knownIds.get(namespace);
  if (ids === undefined || ids.size > mostIds) knownIds.set(namespace, (ids = new Map()));
  return ids;
}

class ObjectPool implements RemotePool {
  readonly #objectAt: (shard: number) => Answering<PoolCall>;
  readonly #shardOfCall: () => number;
  readonly #shards: number;

  constructor(objectAt: (shard: number) => Answering<PoolCall>, shardOfCall: () => number, shards: number) {
    this.#objectAt = objectAt;
    this.#shardOfCall = shardOfCall;
    this.#shards = shards;
  }

  async query<Row>(
    text: string | StatementConfig,
    values?: readonly unknown[],
    options?: WaitOptions,
  ): Promise<QueryResult<Row>> {
    const statement = checkStatement(text, values);
    const { settings, signal } = checkOptions(options, "query()");
    return resultOf(text, await this.#ask("query", parametersOf(statement, settings), signal));
  }

  async batch<Row>(statements: readonly Statement[], options?: BatchOptions): Promise<QueryResult<Row>[]> {
    const checked = checkStatements(statements);
    const { settings, signal } = checkOptions(options, "batch()");
    return resultsOf(statements, await this.#ask("batch", [checked, settings], signal));
  }

  async *stream<Row>(
    text: string | StatementConfig,
    values?: readonly unknown[],
    options?: WaitOptions,
  ): AsyncGenerator<Row, void, undefined> {
    checkStatement(text, values);
    const lease = await this.lease(options);
    try {
      yield* lease.stream<Row>(text, values, options?.signal === undefined ? undefined : { signal: options.signal });
    } finally {
      await lease.release();
    }
  }

  async lease(options?: WaitOptions): Promise<RemoteLease> {
    const { settings, signal } = checkOptions(options, "lease()");
    const outcome = await this.#ask("lease", [settings], signal);
    return new HeldLease(valueOf(outcome), outcome);
  }

  async use<R>(fn: (lease: RemoteLease) => R | PromiseLike<R>, options?: WaitOptions): Promise<R> {
    if (typeof fn !== "function") throw new ArgumentError(`use() wants a function of the lease; it got ${show(fn)}`);
    const lease = await this.lease(options);
    try {
      return await fn(lease);
    } finally {
      await lease.release();
    }
  }

  async stats(options: { scope?: "current" | "all" | undefined } = {}): Promise<PoolStats> {
    checkKeys(options, ["scope"], "stats()", "");
    const { scope = "current" } = options;
    if (scope !== "current" && scope !== "all") throw refuse("scope of stats()", scope);
    const shards = scope === "all" ? Array.from({ length: this.#shards }, (_, shard) => shard) : [this.#shardOfCall()];
    const each = await Promise.all(
      shards.map(async (shard) => valueOf<PoolStats>(await sent(this.#objectAt(shard), "stats", []))),
    );
    return each.reduce(sumOf);
  }

  async #ask(call: PoolCall, parameters: readonly unknown[], signal: AbortSignal | undefined): Answer {
    const caller = new Caller();
    const shard = this.#shardOfCall();
    try {
      signal?.throwIfAborted();
      return await untilAborted(sent(this.#objectAt(shard), call, parameters, caller, signal !== undefined), signal);
    } catch (error) {
      // A lease has sent nothing to the database yet, and neither has a call in the queue.
      const isUnsent = call === "lease" || Caller.isQueued(caller);
      if (!isUnsent || signal?.aborted === true || !isOfLostObject(error)) throw error;
      return await untilAborted(sent(this.#objectAt(shard), call, parameters, caller, signal !== undefined), signal);
    } finally {
      Caller.end(caller);
    }
  }
}

class HeldLease implements RemoteLease {
  readonly #lease: Answering<LeaseCall>;
  /** Owns the stub: the lease lives as long as it is neither disposed nor collected. */
  readonly #owner: Partial<Disposable>;
  readonly #isHere = markRequest();
  #ending: Promise<void> | undefined;
  /** Whether rows are being read, be it that the object has sent the last of them. */
  #isReading = false;

  constructor(lease: Answering<LeaseCall>, owner: Partial<Disposable>) {
    this.#lease = lease;
    this.#owner = owner;
  }

  async query<Row>(
    text: string | StatementConfig,
    values?: readonly unknown[],
    options?: AbortOptions,
  ): Promise<QueryResult<Row>> {
    const statement = checkStatement(text, values);
    const { settings, signal } = checkOptions(options, "query() of a lease");
    this.#checkIsNotReading();
    return resultOf(text, await this.#ask("query", parametersOf(statement, settings), signal));
  }

  async batch<Row>(statements: readonly Statement[], options?: LeaseBatchOptions): Promise<QueryResult<Row>[]> {
    const checked = checkStatements(statements);
    const { settings, signal } = checkOptions(options, "batch() of a lease");
    this.#checkIsNotReading();
    return resultsOf(statements, await this.#ask("batch", [checked, settings], signal));
  }

  async *stream<Row>(
    text: string | StatementConfig,
    values?: readonly unknown[],
    options?: AbortOptions,
  ): AsyncGenerator<Row, void, undefined> {
    const statement = checkStatement(text, values);
    const { signal } = checkOptions(options, "query() of a lease");
    const types = typesOf(text);
    this.#checkIsNotReading();
    this.#isReading = true;
    let isOver = false;
    const chunkOf = async (call: LeaseCall, parameters: readonly unknown[]): Promise<Chunk> => {
      const outcome = await this.#ask(call, parameters, signal);
      // What the object answers ends its reading. An answer that did not arrive leaves it open.
      isOver = "failure" in outcome || (outcome.value as Chunk).isLast;
      return valueOf<Chunk>(outcome);
    };
    try {
      let chunk = await chunkOf("openRows", [statement]);
      for (;;) {
        // The next chunk is on its way while this one is read.
        const next = chunk.isLast ? undefined : chunkOf("moreRows", []);
        next?.catch(() => {});
        // Not yield*, whose iterator of an array has no throw().
        for (const row of readWith(types, chunk as unknown as QueryResult).rows) yield row as Row;
        if (next === undefined) return;
        chunk = await next;
      }
    } finally {
      this.#isReading = false;
      if (!isOver && this.#ending === undefined && this.#isHere()) {
        // The error of a lost lease is that of its next call.
        const ended = this.#ask("endRows", [], undefined).catch(() => {});
        // It may wait for a statement that the driver cannot cancel.
        if (signal?.aborted !== true) await ended;
      }
    }
  }

  async release(): Promise<void> {
    if (!this.#isHere()) return;
    await (this.#ending ??= this.#release());
  }

  async #release(): Promise<void> {
    try {
      await this.#lease.answerPoolOf("release", []);
      this.#owner[Symbol.dispose]?.();
    } catch {
      // The object is gone, and its connections with it. The calls of the lease holder have their own errors.
    }
  }

  [Symbol.dispose](): void {
    if (this.#ending !== undefined || !this.#isHere()) return;
    this.#ending = Promise.resolve();
    this.#owner[Symbol.dispose]?.();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }

  #checkIsNotReading(): void {
    if (this.#isReading)
      throw new InvalidRequestError(
        "rows are being read on this lease with stream(): read them to their end, or leave the loop, first",
        "",
      );
  }

  async #ask(
    call: LeaseCall,
    parameters: readonly unknown[],
    signal: AbortSignal | undefined,
  ): Promise<Outcome<unknown>> {
    if (this.#ending !== undefined) {
      throw new InvalidRequestError(
        "this lease has ended: it was released or disposed here, and its connection may be with another caller " +
          "now; take a new one with lease()",
        "",
      );
    }
    if (!this.#isHere())
      throw new InvalidRequestError(
        "this lease was taken by another request, and only that one can use it; take a new one with lease()",
        "",
      );
    signal?.throwIfAborted();
    const caller = signal && new Caller();
    try {
      return await untilAborted(sent(this.#lease, call, parameters, caller), signal);
    } catch (error) {
      if (signal?.aborted === true || error instanceof ArgumentError || !isOfLostObject(error)) throw error;
      throw lostLease(error);
    } finally {
      if (caller !== undefined) Caller.end(caller);
    }
  }
}

/**
 * Sends the call and returns its outcome. Rejects unchanged with an error of the runtime about the object
 * (`durableObjectReset`, `overloaded`, `retryable`).
 */
async function sent<Call extends string>(
  target: Answering<Call>,
  call: Call,
  parameters: readonly unknown[],
  caller?: Caller,
  isAbortable?: boolean,
): Answer {
  try {
    return await target.answerPoolOf(call, parameters, caller, isAbortable);
  } catch (error) {
    const { name, message, remote } = error as { name?: unknown; message?: unknown; remote?: unknown };
    if (name !== "DataCloneError" && !/limited to 32 ?MiB/.test(String(message))) throw error;
    throw remote === true ? cannotBeSent(String(message)) : cannotBeValue(String(message));
  }
}

/** Rejects with the signal's reason when it is aborted. What arrives later is disposed of. */
function untilAborted(answer: Answer, signal: AbortSignal | undefined): Answer {
  if (signal === undefined) return answer;
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      reject(signal.reason as Error);
      answer.then(
        (late) => late[Symbol.dispose]?.(),
        () => {},
      );
    };
    signal.addEventListener("abort", onAbort, { once: true });
    const isOver = (): void => signal.removeEventListener("abort", onAbort);
    answer.then(resolve, reject).then(isOver, isOver);
  });
}

/** What the runtime says of an error about an object. */
interface RuntimeError {
  readonly message?: unknown;
  readonly durableObjectReset?: unknown;
  readonly overloaded?: unknown;
  readonly retryable?: unknown;
}

const goneMessages = /no longer (running|exists)|connection lost|disconnected|stub used after being disposed/i;

/** Whether the error of the runtime means that the object behind a stub is gone, and not that it has too much to do. */
function isOfLostObject(error: unknown): boolean {
  if (typeof error !== "object" || error === null) return false;
  const { message, durableObjectReset, overloaded, retryable } = error as RuntimeError;
  if (overloaded === true) return false;
  return durableObjectReset === true || retryable === true || goneMessages.test(String(message));
}

/** The runtime marks only the error of a call under way: a lease that was idle at the reset gets the marks here. */
function lostLease(cause: unknown): LostLeaseError {
  const { durableObjectReset = true, retryable = true, overloaded = false } = cause as Partial<LostLeaseError>;
  const error = new DisconnectionError(
    "the Durable Object that held this lease was reset or is out of reach: the connection is lost, and what was not " +
      "committed with it; take a new one with lease()",
    { cause },
  );
  return Object.assign(error, { durableObjectReset, retryable, overloaded });
}

/** As earlier versions of the object take them, if there is nothing new in them. */
function parametersOf(statement: CheckedStatement, settings: Settings): unknown[] {
  const { text, values, name, rowMode, types } = statement;
  return (name ?? rowMode ?? types) === undefined ? [text, values, settings] : [statement, undefined, settings];
}

function sumOf(some: PoolStats, more: PoolStats): PoolStats {
  const sums = Object.entries(some).map(([name, number]) => [name, number + more[name as keyof PoolStats]]);
  return Object.fromEntries(sums) as PoolStats;
}

function resultOf<Row>(text: string | StatementConfig, outcome: Outcome<unknown>): QueryResult<Row> {
  return readWith(typesOf(text), valueOf<QueryResult>(outcome)) as QueryResult<Row>;
}

function resultsOf<Row>(statements: readonly Statement[], outcome: Outcome<unknown>): QueryResult<Row>[] {
  const results = valueOf<QueryResult[]>(outcome);
  return results.map((result, index) => readWith(typesOf(statements[index]), result) as QueryResult<Row>);
}

function typesOf(statement: Statement | undefined): ValueTypes | undefined {
  return typeof statement === "object" ? statement.types : undefined;
}

function valueOf<T>(outcome: Outcome<unknown>): T {
  if ("failure" in outcome) throw errorOf(outcome.failure);
  return outcome.value as T;
}
