/**
 * One connection of a PoolObject for one caller, passed by reference over RPC. However the caller ends, the runtime
 * calls `Symbol.dispose`, and the connection goes back reset. Decides nothing: session.ts does. Made by
 * pool-object.ts.
 */

import { RpcTarget } from "cloudflare:workers";
import type { CallerStub } from "./caller.js";
import { Call } from "./calls.js";
import type { Session } from "./session.js";
import { outcomeOf, valueOrThrow, type Outcome } from "./failure.js";
import {
  checkSettings,
  checkStatement,
  checkStatements,
  unknownCall,
  type LeaseBatchOptions,
  type QueryResult,
  type Statement,
  type StatementConfig,
} from "./statements.js";

/** The calls of a lease, with their parameters still unchecked. */
export type LeaseCall = "query" | "batch" | "openRows" | "moreRows" | "endRows" | "release";

/** The result of `lease()` of a {@link PoolObject}. Statements run one after the other, on one connection. */
export class Lease extends RpcTarget {
  readonly #session: Session<any>;

  /** @internal */
  constructor(session: Session<any>) {
    super();
    this.#session = session;
  }

  /** Runs one statement. Rejects with the driver's error, an ArgumentError, or after the end an InvalidRequestError. */
  query<Row extends object = object>(
    text: string | StatementConfig,
    values?: readonly unknown[],
  ): Promise<QueryResult<Row>> {
    return valueOrThrow(this.answerPoolOf("query", [text, values]) as Promise<Outcome<QueryResult<Row>>>);
  }

  /** Runs statements in their order, by default in a transaction of their own; see {@link PoolObject.batch}. */
  batch<Row extends object = object>(
    statements: readonly Statement[],
    options?: LeaseBatchOptions,
  ): Promise<QueryResult<Row>[]> {
    return valueOrThrow(this.answerPoolOf("batch", [statements, options]) as Promise<Outcome<QueryResult<Row>[]>>);
  }

  /** Returns the connection; resolves once it is reset. A second call does nothing. Never rejects. */
  release(): Promise<void> {
    return this.#session.end();
  }

  /** Returns the connection without waiting: called by the runtime when the last reference to the lease is gone. */
  [Symbol.dispose](): void {
    void this.#session.end();
  }

  /** @internal Called by poolOf(): returns a failure instead of throwing it. `caller` comes with a signal alone. */
  answerPoolOf(
    name: LeaseCall,
    parameters: readonly unknown[] = [],
    caller: CallerStub | undefined = undefined,
  ): Promise<Outcome<unknown>> {
    const call = caller && new Call(caller);
    if (call !== undefined) {
      call.onUnwanted = () => this.#session.cancel(call);
      call.ask();
    }
    return outcomeOf(async (): Promise<unknown> => {
      switch (name) {
        case "query": {
          const statement = checkStatement(parameters[0], parameters[1]);
          checkSettings(parameters[2], "query() of a lease");
          return this.#session.query(statement, call);
        }
        case "batch": {
          const statements = checkStatements(parameters[0]);
          const { transaction = true } = checkSettings(parameters[1], "batch() of a lease");
          return this.#session.batch(statements, transaction, call);
        }
        case "openRows":
          return this.#session.openRows(checkStatement(parameters[0], undefined), call);
        case "moreRows":
          return this.#session.moreRows(call);
        case "endRows":
          return this.#session.endRows();
        case "release":
          return this.#session.end();
        default:
          throw unknownCall("a lease", name);
      }
    });
  }
}
