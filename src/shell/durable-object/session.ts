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
import type { Flight } from "./pg-flight.js";
import { mayPrepareAgain, type PreparedNames } from "./prepared-names.js";
import { plainResult, runStatement, runTogether, type RunQuery, type RunResult } from "./run-query.js";
import { RowStream, type Chunk, type ReadRows } from "./row-stream.js";
import type { SessionResets } from "./session-resets.js";
import { settles } from "./settles.js";
import type { CheckedStatement, QueryResult } from "./statements.js";
import { beginsOrEnds, mayBeOpenAfter, readsOrChangesRows } from "./transaction-words.js";

/** How the connections of one pool are called. */
export interface Driving<C> {
  readonly runQuery: RunQuery<C> | undefined;
  readonly readRows: ReadRows<C> | undefined;
  readonly dialect: Dialect<C>;
  readonly pool: string;
  readonly resets: SessionResets<C>;
}

/** A statement that ends within this time after its lease saves the pool a new connection. */
const patienceMs = 1000;

/** The same for a statement that was cancelled. */
const cancelledMs = 300;

export class Session<C> {
  readonly #lease: PooledConnection<C>;
  readonly #driving: Driving<C>;
  /** How many requested statements are not over. */
  #pending = 0;
  /** Called in turn: each begins what waits for the statements before it. */
  readonly #waiting: (() => void)[] = [];
  #end: Promise<void> | undefined;
  #lost: unknown;
  /** The call whose turn it is, if it can become unwanted. */
  #call: Call | undefined;
  /** Settles when the server has the request to cancel the statement of this turn. */
  #cancelling: Promise<void> | undefined;
  /** What is read in chunks, from its first to its last. */
  #stream: RowStream | undefined;
  /** Whether the reset was sent along, and succeeded. */
  #isReset = false;
  /** Whether a statement was sent in this session. */
  #hasSent = false;
  /** Whether the statements that ran may have left a transaction open. */
  #mayHaveLeftOneOpen = false;

  constructor(lease: PooledConnection<C>, driving: Driving<C>) {
    this.#lease = lease;
    this.#driving = driving;
  }

  /** `isLast`: nothing else will run in this session, so its reset may be sent along. */
  query(statement: CheckedStatement, call?: Call, isLast = false): Promise<QueryResult> {
    return this.#inTurn(() => {
      this.#checkUsable();
      return this.#run(statement, isLast);
    }, call);
  }

  /** Stops at the first failure, and rejects with its place. In a transaction the other statements are rolled back. */
  batch(
    statements: readonly CheckedStatement[],
    inTransaction: boolean,
    call?: Call,
    isLast = false,
  ): Promise<QueryResult[]> {
    return this.#inTurn(
      () => (inTransaction ? this.#transaction(statements, isLast) : this.#runAll(statements, false, isLast)),
      call,
    );
  }

  /** Begins to read the rows of a statement in chunks. Until the last one nothing else runs. */
  openRows(statement: CheckedStatement, call?: Call): Promise<Chunk> {
    return this.#inTurn(async () => {
      this.#checkUsable();
      call?.check();
      const { connection } = this.#lease;
      const mayBeSentAgain = this.#mayBeSentAgain(statement, undefined);
      this.#mayHaveLeftOneOpen = mayBeOpenAfter(statement.text, this.#mayHaveLeftOneOpen);
      const open = (): Promise<Chunk> =>
        this.#chunk((this.#stream = new RowStream(connection, statement, this.#driving.readRows)));
      return open().catch((error: unknown) => {
        if (!this.#isPreparedAgain(statement, error, connection) || !mayBeSentAgain) throw error;
        return open();
      });
    }, call);
  }

  moreRows(call?: Call): Promise<Chunk> {
    return this.#inTurn(async () => {
      if (!this.#lease.isValid) this.#stream = undefined;
      if (this.#stream === undefined || this.#end !== undefined) this.#checkUsable();
      if (this.#stream === undefined) throw new InvalidRequestError("no rows are left to read", this.#driving.pool);
      return this.#chunk(this.#stream);
    }, call);
  }

  /** Leaves the rest of the rows. */
  endRows(): Promise<void> {
    return this.#inTurn(() => this.#closeRows(), undefined);
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
    if (this.#stream !== undefined) void this.endRows();
    if (this.#pending === 0 && this.#isReset && this.#lease.isValid) this.#driving.resets.done(this.#lease.connection);
    const atRest = (): Promise<void> => this.#turn().then(() => this.#pass());
    if (this.#pending === 0 || (await settles(atRest(), patience))) return this.#lease.close();
    return this.#lease.invalidate(
      new InvalidRequestError("a statement still ran when its lease ended", this.#driving.pool),
    );
  }

  async #chunk(stream: RowStream): Promise<Chunk> {
    const { connection } = this.#lease;
    try {
      const chunk = await stream.next();
      if (chunk.isLast) this.#stream = undefined;
      return chunk;
    } catch (error) {
      await this.#closeRows();
      throw (await this.#failed(error, connection)) ?? error;
    }
  }

  async #closeRows(): Promise<void> {
    const stream = this.#stream;
    this.#stream = undefined;
    // Its error, if any, is that of a chunk, or of a connection that is lost.
    await stream?.close().catch(ignore);
  }

  /** Without a request of the dialect to cancel it the statement goes on. */
  #cancel(): void {
    const { dialect } = this.#driving;
    if (!this.#lease.isValid || dialect.doCancel === undefined) return;
    const { connection } = this.#lease;
    this.#cancelling = (async () => dialect.doCancel?.(connection))().then(ignore, ignore);
  }

  /** Settles when the statements that were requested before are over. What is behind begins with {@link #pass}. */
  #turn(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #pass(): void {
    this.#waiting.shift()?.();
  }

  async #inTurn<T>(work: () => T, call: Call | undefined): Promise<Awaited<T>> {
    if (this.#pending++ > 0) await this.#turn();
    this.#call = call;
    try {
      return await work();
    } finally {
      this.#call = undefined;
      // The next statement is not the one to cancel.
      if (this.#cancelling !== undefined) await this.#cancelling;
      this.#cancelling = undefined;
      this.#pending--;
      this.#pass();
    }
  }

  /** `isLast`: the reset may be sent along. */
  async #run(statement: CheckedStatement, isLast = false): Promise<QueryResult> {
    const { connection } = this.#lease;
    const { runQuery, resets } = this.#driving;
    // The end of a batch's transaction is sent in any case.
    if (statement !== rollback) this.#call?.check();
    const isData = readsOrChangesRows(statement.text);
    const mayBeOpen = isData ? this.#mayHaveLeftOneOpen : mayBeOpenAfter(statement.text, this.#mayHaveLeftOneOpen);
    // A reset inside a transaction would end with it.
    const thenReset = isLast && isData && !mayBeOpen ? resets.statements : undefined;
    const mayBeSentAgain = this.#mayBeSentAgain(statement, thenReset);
    // A text may fail after some of its statements have run.
    this.#mayHaveLeftOneOpen ||= mayBeOpen;
    const run = (): RunResult | PromiseLike<RunResult> =>
      runStatement(connection, statement, runQuery, thenReset, (flight) => this.#flown(flight));
    let result: RunResult;
    try {
      try {
        result = await run();
      } catch (error) {
        if (!this.#isPreparedAgain(statement, error, connection) || !mayBeSentAgain) throw error;
        await this.#rollBack();
        result = await run();
      }
    } catch (error) {
      throw (await this.#failed(error, connection)) ?? error;
    }
    this.#mayHaveLeftOneOpen = mayBeOpen;
    return plainResult(result);
  }

  /** Whether a statement that did not run may be sent again: its session and its transaction are as they were. */
  #mayBeSentAgain({ name }: CheckedStatement, thenReset: readonly string[] | undefined): boolean {
    const isFirst = !this.#hasSent;
    this.#hasSent = true;
    return name !== undefined && (thenReset === undefined || isFirst) && !this.#mayBeInTransaction();
  }

  /** Whether a named statement did not run, and will be prepared again if it is sent again. */
  #isPreparedAgain({ name, text }: CheckedStatement, error: unknown, connection: C): boolean {
    const { connection: names } = connection as { connection?: PreparedNames };
    return name !== undefined && names?.parsedStatements !== undefined && mayPrepareAgain(names, name, text, error);
  }

  /** Returns the error of the caller if it is another one. */
  async #failed(error: unknown, connection: C): Promise<DisconnectionError | undefined> {
    if (this.#isTakenBack()) return this.#takenBack(error);
    if (!this.#lease.isValid || !this.#isDisconnect(error, connection)) return undefined;
    this.#lost = error;
    await this.#lease.close({ error });
    return undefined;
  }

  /** Whether the pool ended the connection, and not this session. */
  #isTakenBack(): boolean {
    return this.#lost === undefined && this.#end === undefined && !this.#lease.isValid;
  }

  #takenBack(cause?: unknown): DisconnectionError {
    return new DisconnectionError(
      "the pool took the connection back: it was out for its holdLimit, or the pool was closed",
      cause === undefined ? {} : { cause },
      this.#driving.pool,
    );
  }

  #flown({ isReset }: Flight): void {
    this.#isReset = isReset;
  }

  async #transaction(statements: readonly CheckedStatement[], isLast: boolean): Promise<QueryResult[]> {
    this.#checkUsable();
    const { pool, runQuery, resets } = this.#driving;
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
    const { connection } = this.#lease;
    this.#call?.check();
    const flight = (): Promise<Flight> | undefined =>
      runQuery === undefined ? runTogether(connection, statements, isLast ? (resets.statements ?? []) : []) : undefined;
    const first = flight();
    if (first !== undefined) {
      let landed = await first;
      for (let left = statements.length; left > 0 && (await this.#mayFlyAgain(statements, landed, connection)); left--)
        landed = (await flight()) as Flight;
      return this.#landed(statements, connection, landed);
    }
    await this.#run(begin);
    try {
      const results = await this.#runAll(statements, true, false);
      await this.#run(commit);
      return results;
    } catch (error) {
      await this.#rollBack();
      throw error;
    }
  }

  /** Whether one of its named statements was refused. Then all was rolled back, and that one is prepared again. */
  async #mayFlyAgain(statements: readonly CheckedStatement[], { failure }: Flight, connection: C): Promise<boolean> {
    const refused = failure && statements[failure.index];
    if (refused === undefined || !this.#isPreparedAgain(refused, failure?.error, connection)) return false;
    this.#mayHaveLeftOneOpen = true;
    await this.#rollBack();
    return this.#lease.isValid;
  }

  /** What became of a transaction that was sent in one flight. */
  async #landed(statements: readonly CheckedStatement[], connection: C, flight: Flight): Promise<QueryResult[]> {
    const { results, failure, isSent, isCommitted } = flight;
    this.#mayHaveLeftOneOpen = !isCommitted;
    this.#flown(flight);
    if (failure === undefined)
      return results.map((result, index) => {
        try {
          return plainResult(result);
        } catch (error) {
          throw placed(error, statements, index, "all of it was committed");
        }
      });
    const error = (await this.#failed(failure.error, connection)) ?? failure.error;
    await this.#rollBack();
    // All of it was sent at once: without an answer of the server its COMMIT may have run.
    const isOfServer = (failure.error as { severity?: unknown }).severity !== undefined;
    const isKnown = !isSent || isCommitted || isOfServer || this.#lease.isValid;
    if (!isKnown) throw noted(error, "no answer came, and whether the batch was committed is not known");
    if (statements[failure.index] === undefined) throw error;
    const consequence = isCommitted ? "all of it was committed" : "all of it was rolled back";
    throw placed(error, statements, failure.index, consequence);
  }

  async #rollBack(): Promise<void> {
    if (!this.#lease.isValid || !this.#mayBeInTransaction()) return;
    try {
      await this.#run(rollback);
    } catch (error) {
      this.#lost ??= error;
      if (this.#lease.isValid) await this.#lease.invalidate(error);
    }
  }

  async #runAll(
    statements: readonly CheckedStatement[],
    inTransaction: boolean,
    isLast: boolean,
  ): Promise<QueryResult[]> {
    const results: QueryResult[] = [];
    for (const [statementIndex, statement] of statements.entries()) {
      try {
        this.#checkUsable();
        results.push(await this.#run(statement, isLast && statementIndex === statements.length - 1));
      } catch (error) {
        const consequence = inTransaction ? "all of it was rolled back" : "those before it stay";
        throw placed(error, statements, statementIndex, consequence);
      }
      if (inTransaction && !this.#mayBeInTransaction()) {
        const message =
          `${placeOf(statements, statementIndex)} ended the transaction that batch() runs all of them in: what ran ` +
          `until then is as it left it, and what comes after it did not run; statements that begin or end one need ` +
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
    if (this.#isTakenBack()) throw this.#takenBack();
    if (this.#lost !== undefined)
      throw new DisconnectionError(
        "the connection of this lease was lost: take a new one with lease()",
        { cause: this.#lost },
        pool,
      );
    if (this.#stream !== undefined && this.#end === undefined)
      throw new InvalidRequestError(
        "rows are being read on this lease with stream(): read them to their end, or leave the loop, first",
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

const begin: CheckedStatement = { text: "BEGIN" };
const commit: CheckedStatement = { text: "COMMIT" };
const rollback: CheckedStatement = { text: "ROLLBACK" };

const ignore = (): void => {};

/** Returns the error of a batch's statement, with the statement's place. */
function placed(error: unknown, statements: readonly CheckedStatement[], index: number, consequence: string): Error {
  return Object.assign(noted(error, `${placeOf(statements, index)}; ${consequence}`), { statementIndex: index });
}

function noted(error: unknown, note: string): Error {
  const failure = failureOf(error);
  return errorOf({ ...failure, message: `${failure.message} [${note}]` });
}

function placeOf(statements: readonly CheckedStatement[], index: number): string {
  return `statement ${index + 1} of ${statements.length} (${shortened(statements[index]?.text ?? "")})`;
}

/** Returns enough of a statement to find it. */
function shortened(text: string): string {
  const line = text.trim().replace(/\s+/g, " ");
  return line.length <= 60 ? line : `${line.slice(0, 59)}…`;
}
