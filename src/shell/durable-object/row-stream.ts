/**
 * The rows of one statement, in chunks that RPC takes, each when its caller wants it. Decides how much is a chunk.
 * Called by session.ts.
 */

import { ArgumentError } from "../errors.js";
import { isPgFlyer } from "./pg-flight.js";
import { pgRows } from "./pg-rows.js";
import { forDriver, plainFields, plainRow, type RunOptions } from "./run-query.js";
import type { CheckedStatement, QueryResult } from "./statements.js";

/** Reads the rows of one statement, one after the other. */
export type ReadRows<C> = (
  connection: C,
  text: string,
  values?: readonly unknown[],
  options?: RunOptions,
) => AsyncIterable<unknown>;

/** Some rows of a statement. */
export interface Chunk {
  readonly rows: unknown[];
  readonly isLast: boolean;
  readonly fields: QueryResult["fields"];
}

/** A chunk has about this many bytes, and at least one row. */
const chunkBytes = 1_000_000;

export class RowStream {
  readonly #parts: AsyncGenerator<readonly unknown[], void, undefined>;
  #part: readonly unknown[] = [];
  /** The place of the next row, in its part and in all. */
  #at = 0;
  #count = 0;
  #fields: QueryResult["fields"] = [];

  constructor(connection: unknown, statement: CheckedStatement, readRows: ReadRows<any> | undefined) {
    const { text, values, name, rowMode, types } = statement;
    if (readRows !== undefined) {
      if (types !== undefined)
        throw new ArgumentError("types of a statement is for connections of pg, without readRows");
      this.#parts = oneByOne(readRows(connection, text, values, { name, rowMode }));
    } else if (isPgFlyer(connection)) {
      this.#parts = pgRows(connection, forDriver(statement), bytesOf, (fields) => (this.#fields = plainFields(fields)));
    } else {
      throw new ArgumentError(
        "stream() does not know how to read the rows of this driver one after the other: give the option readRows: " +
          "(connection, text, values) => an async iterable of rows",
      );
    }
  }

  async next(): Promise<Chunk> {
    const rows: unknown[] = [];
    for (let bytes = 0; bytes < chunkBytes;) {
      if (this.#at === this.#part.length) {
        const { done, value } = await this.#parts.next();
        if (done === true) return { rows, isLast: true, fields: this.#fields };
        this.#part = value;
        this.#at = 0;
        continue;
      }
      const row = plainRow(this.#part[this.#at], this.#count);
      const size = bytesOf(row);
      // A row of nearly 32 MiB crosses only by itself.
      if (rows.length > 0 && size > chunkBytes) break;
      rows.push(row);
      bytes += size;
      this.#at++;
      this.#count++;
    }
    return { rows, isLast: false, fields: this.#fields };
  }

  async close(): Promise<void> {
    await this.#parts.return();
  }
}

async function* oneByOne(rows: AsyncIterable<unknown>): AsyncGenerator<readonly unknown[], void, undefined> {
  for await (const row of rows) yield [row];
}

/** About as many bytes as RPC sends. */
function bytesOf(value: unknown): number {
  if (typeof value === "string") return value.length + 8;
  if (typeof value !== "object" || value === null || value instanceof Date) return 8;
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return value.byteLength + 8;
  if (value instanceof Map || value instanceof Set) return bytesOf([...value]);
  let bytes = 8;
  for (const key in value) bytes += key.length + bytesOf((value as Record<string, unknown>)[key]);
  return bytes;
}
