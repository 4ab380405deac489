/**
 * Reads the rows of one statement of a pg.Client a part at a time: as pg reads with its own `rows`, but it goes on only
 * when the next part is wanted. Called by row-stream.ts.
 */

import { pgConfigOf, queryClassOf, type PgConnection, type PgFlyer, type PgQuery } from "./pg-flight.js";
import type { CheckedStatement, QueryResult } from "./statements.js";

/** The first part has this many rows; how large they are is known then. */
const firstCount = 16;
const mostRows = 4096;

/** The first rows may be much smaller than the others, and an object has 128 MB. */
const mostGrowth = 4;

/** The bytes that a part should have. */
const partBytes = 1_000_000;

/** pg's Query that reads in parts. */
interface PartQuery extends Omit<PgQuery, "_getRows" | "callback"> {
  callback: (error: unknown) => void;
  readonly _result: { rows: unknown[]; fields: QueryResult["fields"]; _types?: unknown };
  /** Read by pg's Client: its own time-out would count the time of the reader. */
  query_timeout: number;
  _getRows(connection: PgConnection, count: number): void;
  handlePortalSuspended(connection: PgConnection): void;
}

/** Yields the rows in parts. `fields` is called before the first. */
export async function* pgRows(
  client: PgFlyer,
  statement: CheckedStatement,
  bytesOf: (row: unknown) => number,
  fields: (fields: QueryResult["fields"]) => void,
): AsyncGenerator<readonly unknown[], void, undefined> {
  const reading = new Reading(client, statement);
  try {
    let count = firstCount;
    let rows = await reading.part;
    fields(reading.query._result.fields);
    for (;;) {
      yield rows;
      // It may have ended while no part was asked for: the connection is lost, or the statement was cancelled.
      if (reading.failure !== undefined) throw reading.failure.error;
      if (reading.isOver) return;
      const bytes = rows.reduce<number>((sum, row) => sum + bytesOf(row), 0) / rows.length;
      count = Math.max(1, Math.min(mostRows, mostGrowth * count, Math.floor(partBytes / bytes)));
      rows = await reading.more(count);
    }
  } finally {
    if (!reading.isOver) await reading.close();
  }
}

class Reading {
  readonly query: PartQuery;
  /** The rows of the part that was asked for last. */
  part: Promise<readonly unknown[]>;
  /** Whether the server is at rest, or about to be. */
  isOver = false;
  /** Why it ended, if not at its last row. */
  failure: { readonly error: unknown } | undefined;
  readonly #connection: PgConnection;
  #arrived: (rows: readonly unknown[]) => void = ignore;
  #failed: (error: unknown) => void = ignore;
  #isSubmitted = false;

  constructor(client: PgFlyer, statement: CheckedStatement) {
    const Query = queryClassOf(client) as unknown as new (config: object) => PartQuery;
    this.#connection = client.connection;
    this.query = new Query({ ...pgConfigOf(client.connection, statement), rows: firstCount });
    this.query.query_timeout = longest;
    this.query._result._types ??= client._types;
    this.query.callback = (error) => {
      this.isOver = true;
      if (error) this.failure = { error };
      if (error) this.#failed(error);
      else this.#arrived(this.#taken());
    };
    this.query.handlePortalSuspended = () => this.#arrived(this.#taken());
    // pg leaves a statement that reads in parts without the Sync that the server waits for after an error.
    this.query.handleError = (error, connection) => {
      if (this.#isSubmitted && !this.isOver) connection.sync();
      this.query.callback(error);
    };
    this.part = this.#wait();
    client.query(this.query);
    this.#isSubmitted = true;
  }

  more(count: number): Promise<readonly unknown[]> {
    this.part = this.#wait();
    this.query._getRows(this.#connection, count);
    return this.part;
  }

  /** Leaves the rest of the rows. */
  async close(): Promise<void> {
    const rest = this.#wait();
    this.#connection.close({ type: "P", name: this.query.portal });
    this.#connection.sync();
    await rest;
  }

  #wait(): Promise<readonly unknown[]> {
    return new Promise((resolve, reject) => {
      this.#arrived = resolve;
      this.#failed = reject;
    });
  }

  #taken(): readonly unknown[] {
    return this.query._result.rows.splice(0);
  }
}

const longest = 2 ** 31 - 1;

const ignore = (): void => {};
