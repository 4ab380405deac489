/**
 * A lease of a connection in a Durable Object, as the Worker holds it. Made by pool-of.ts.
 */

import { ArgumentError, DisconnectionError, InvalidRequestError } from "../errors.js";
import { Caller } from "./caller.js";
import type { Outcome } from "./failure.js";
import type { LeaseCall } from "./lease.js";
import {
  type Answering,
  isOfLostObject,
  parametersOf,
  resultOf,
  resultsOf,
  sent,
  typesOf,
  untilAborted,
  valueOf,
} from "./remote-call.js";
import { markRequest } from "./request-marker.js";
import type { Chunk } from "./row-stream.js";
import {
  type AbortOptions,
  checkOptions,
  checkStatement,
  checkStatements,
  type LeaseBatchOptions,
  type QueryResult,
  readWith,
  type Statement,
  type StatementConfig,
} from "./statements.js";

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
  /** Reads the rows of one statement as `stream()` of the pool does. Until its end no other statement may run. */
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

export class HeldLease implements RemoteLease {
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
