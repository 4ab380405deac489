/**
 * The Worker's side of a PoolObject: which object a call goes to, and the calls of its pool. Keeps no stub from one
 * call to the next, so a pool made at module scope serves every request, and an object that was reset is found again.
 * Called by users.
 */

import { ArgumentError } from "../errors.js";
import type { PoolStats } from "../stats.js";
import { checkKeys, hasFunctions, refuse, show } from "../validate.js";
import { Caller } from "./caller.js";
import { hash } from "./hash.js";
import type { PoolCall } from "./pool-object.js";
import {
  type Answer,
  type Answering,
  isOfLostObject,
  parametersOf,
  resultOf,
  resultsOf,
  sent,
  untilAborted,
  valueOf,
} from "./remote-call.js";
import { HeldLease, type RemoteLease } from "./remote-lease.js";
import {
  type BatchOptions,
  checkOptions,
  checkStatement,
  checkStatements,
  type QueryResult,
  type Statement,
  type StatementConfig,
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

function sumOf(some: PoolStats, more: PoolStats): PoolStats {
  const sums = Object.entries(some).map(([name, number]) => [name, number + more[name as keyof PoolStats]]);
  return Object.fromEntries(sums) as PoolStats;
}
