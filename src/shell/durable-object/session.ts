/**
 * One checked-out connection while statements run on it, one after the other, until it is returned. Decides what
 * happens to a statement that still runs then, and how a batch begins and ends. Made by pool-object.ts for each of its
 * calls, by lease.ts for the time of a lease. Imports nothing of Cloudflare's.
 */

import type { Dialect } from "../dialect.js";
import { ArgumentError, DisconnectionError, InvalidRequestError } from "../errors.js";
import type { PooledConnection } from "../lease.js";
import type { Call } from "./calls.js";
import { errorOf, failureOf } from "./failure.js";
import { plainResult, type RunQuery, type RunResult } from "./run-query.js";
import type { CheckedStatement, QueryResult } from "./statements.js";
import { beginsOrEnds, mayBeOpenAfter } from "./transaction-words.js";

/** How the connections of one pool are called. */
export interface Driving<C> {
  readonly runQuery: RunQuery<C>;
  readonly dialect: Dialect<C>;
  readonly pool: string;
}

/** A statement that ends within this time after its lease saves the pool a new connection. */
const patienceMs = 1000;

/** The same for a statement that was cancelled. */
const cancelledMs = 300;

export class Session<C> {
  readonly #lease: PooledConnection<C>;
  readonly #driving: Driving<C>;
  /** Settles when the last requested statement is over. */
  #lastTurn: Promise<void> | undefined;
  /** How many requested statements are not over. */
  #pending = 0;
  #end: Promise<void> | undefined;
  #lost: unknown;
  /** The call whose turn it is, if it can become unwanted. */
  #call: Call | undefined;
  /** Settles when the server has the request to cancel the statement of this turn. */
  #cancelling: Promise<void> | undefined;
  /** Whether the statements that ran may have left a transaction open. */
  #mayHaveLeftOneOpen = false;

  constructor(lease: PooledConnection<C>, driving: Driving<C>) {
    this.#lease = lease;
    this.#driving = driving;
  }

  query(statement: CheckedStatement, call?: Call): Promise<QueryResult> {
    return this.#inTurn(() => this.#run(statement), call);
  }

  /** Stops at the first failure, and rejects with its place. In a transaction the other statements are rolled back. */
  batch(statements: readonly CheckedStatement[], inTransaction: boolean, call?: Call): Promise<QueryResult[]> {
    return this.#inTurn(() => (inTransaction ? this.#transaction(statements) : this.#runAll(statements, false)), call);
  }

  /**
   * Returns the connection, reset. Waits a moment for a statement that still runs, then terminates the connection, so
   * that no other caller gets it before that statement is over. Never rejects. A second call returns the same promise.
   */
  end(): Promise<void> {
    return (this.#end ??= this.#giveBack());
  }

  /** As {@link end}, but no answer is wanted: the statement under way is cancelled. */
  abandon(): void {
    if (this.#end !== undefined) return;
    if (this.#pending > 0) this.#cancel();
    this.#end = this.#giveBack(cancelledMs);
  }

  /** Cancels the statement under way if it is this call's. Its other statements do not run. */
  cancel(call: Call): void {
    if (this.#call === call) this.#cancel();
  }

  async #giveBack(patience = patienceMs): Promise<void> {
    if (this.#pending === 0 || (await settles(this.#lastTurn, patience))) return this.#lease.close();
    return this.#lease.invalidate(
      new InvalidRequestError("a statement still ran when its lease ended", this.#driving.pool),
    );
  }

  /** Without a request of the dialect to cancel it the statement goes on. */
  #cancel(): void {
    const { dialect } = this.#driving;
    if (!this.#lease.isValid || dialect.doCancel === undefined) return;
    const { connection } = this.#lease;
    this.#cancelling = (async () => dialect.doCancel?.(connection))().then(ignore, ignore);
  }

  async #inTurn<T>(work: () => Promise<T>, call: Call | undefined): Promise<T> {
    const turnBefore = this.#lastTurn;
    let isOver = ignore;
    this.#lastTurn = new Promise((resolve) => (isOver = resolve));
    this.#pending++;
    try {
      if (turnBefore !== undefined) await turnBefore;
      this.#call = call;
      return await work();
    } finally {
      this.#call = undefined;
      // The next statement is not the one to cancel.
      if (this.#cancelling !== undefined) await this.#cancelling;
      this.#cancelling = undefined;
      this.#pending--;
      isOver();
    }
  }

  async #run({ text, values }: CheckedStatement): Promise<QueryResult> {
    this.#checkUsable();
    return plainResult(await this.#send(text, values));
  }

  async #send(text: string, values?: readonly unknown[]): Promise<RunResult> {
    const { connection } = this.#lease;
    // The end of a batch's transaction is sent in any case.
    if (text !== "ROLLBACK") this.#call?.check();
    const mayBeOpen = mayBeOpenAfter(text, this.#mayHaveLeftOneOpen);
    // A text may fail after some of its statements have run.
    this.#mayHaveLeftOneOpen ||= mayBeOpen;
    try {
      const result = await this.#driving.runQuery(connection, text, values);
      this.#mayHaveLeftOneOpen = mayBeOpen;
      return result;
    } catch (error) {
      if (this.#lease.isValid && this.#isDisconnect(error, connection)) {
        this.#lost = error;
        await this.#lease.close({ error });
      }
      throw error;
    }
  }

  async #transaction(statements: readonly CheckedStatement[]): Promise<QueryResult[]> {
    this.#checkUsable();
    const { pool } = this.#driving;
    if (this.#mayBeInTransaction()) {
      throw new InvalidRequestError(
        "this lease has an open transaction already: end it before batch(), or give batch() transaction: false to " +
          "run inside it",
        pool,
      );
    }
    const refused = statements.find(({ text }) => beginsOrEnds(text));
    if (refused !== undefined) {
      throw new ArgumentError(
        `statements[${statements.indexOf(refused)}] (${shortened(refused.text)}) begins or ends a transaction, ` +
          `and batch() runs all of them in its own: leave it out, or give batch() transaction: false`,
        pool,
      );
    }
    await this.#send("BEGIN");
    try {
      const results = await this.#runAll(statements, true);
      await this.#send("COMMIT");
      return results;
    } catch (error) {
      await this.#rollBack();
      throw error;
    }
  }

  async #rollBack(): Promise<void> {
    if (!this.#lease.isValid || !this.#mayBeInTransaction()) return;
    try {
      await this.#send("ROLLBACK");
    } catch (error) {
      this.#lost ??= error;
      await this.#lease.invalidate(error);
    }
  }

  async #runAll(statements: readonly CheckedStatement[], inTransaction: boolean): Promise<QueryResult[]> {
    const results: QueryResult[] = [];
    for (const [statementIndex, statement] of statements.entries()) {
      const place = (): string =>
        `statement ${statementIndex + 1} of ${statements.length} (${shortened(statement.text)})`;
      try {
        results.push(await this.#run(statement));
      } catch (error) {
        const failure = failureOf(error);
        const consequence = inTransaction ? "all of it was rolled back" : "those before it stay";
        throw errorOf({
          ...failure,
          message: `${failure.message} [${place()}; ${consequence}]`,
          properties: { ...failure.properties, statementIndex },
        });
      }
      if (inTransaction && !this.#mayBeInTransaction()) {
        const message =
          `${place()} ended the transaction that batch() runs all of them in: what ran until then ` +
          `is as it left it, and what comes after it did not run; statements that begin or end one need ` +
          `transaction: false`;
        throw Object.assign(new InvalidRequestError(message, this.#driving.pool), { statementIndex });
      }
    }
    return results;
  }

  /** By the dialect, or by the statements that ran if the dialect cannot tell. */
  #mayBeInTransaction(): boolean {
    return this.#driving.dialect.inTransaction?.(this.#lease.connection) ?? this.#mayHaveLeftOneOpen;
  }

  #checkUsable(): void {
    const { pool } = this.#driving;
    if (this.#lost === undefined && this.#end === undefined && !this.#lease.isValid)
      throw new DisconnectionError(
        "the pool took the connection of this lease back: it was out for its holdLimit, or the pool was closed; take " +
          "a new one with lease()",
        {},
        pool,
      );
    if (this.#lost !== undefined)
      throw new DisconnectionError(
        "the connection of this lease was lost: take a new one with lease()",
        { cause: this.#lost },
        pool,
      );
    if (this.#end !== undefined)
      throw new InvalidRequestError(
        "this lease has ended: it was released or disposed, and its connection may be with another caller now; " +
          "take a new one with lease()",
        pool,
      );
  }

  #isDisconnect(error: unknown, connection: C): boolean {
    try {
      return (this.#driving.dialect.isDisconnect?.(error, connection) ?? false) !== false;
    } catch {
      return false;
    }
  }
}

const ignore = (): void => {};

/** Whether the promise settles within the time. */
async function settles(promise: Promise<void> | undefined, ms: number): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<boolean>((resolve) => (timer = setTimeout(resolve, ms, false)));
  const isSettled = await Promise.race([promise?.then(() => true), late]);
  clearTimeout(timer);
  return isSettled !== false;
}

/** Returns enough of a statement to find it. */
function shortened(text: string): string {
  const line = text.trim().replace(/\s+/g, " ");
  return line.length <= 60 ? line : `${line.slice(0, 59)}…`;
}
