/**
 * How a statement is run on a driver's connection, and how its answer becomes plain data. Knows drivers that have
 * `query(text, values)` and answer with `rows`, as pg does; for others the user gives `runQuery`. Called by borrowed.ts.
 */

import { ArgumentError } from "../errors.js";
import { show } from "../values.js";
import type { QueryResult } from "./statements.js";

/** What `runQuery` may answer: a {@link QueryResult} of which only `rows` is needed. */
export type RunResult = { readonly rows: readonly unknown[] } & Partial<Omit<QueryResult, "rows">>;

/** Runs one statement on a connection. */
export type RunQuery<C> = (connection: C, text: string, values?: readonly unknown[]) => RunResult | PromiseLike<RunResult>;

const remedy = "give the option runQuery: (connection, text, values) => ({ rows })";

/** The default of `runQuery`. Of a text with several statements, the last one's result. */
export async function queryConnection(connection: unknown, text: string, values?: readonly unknown[]): Promise<RunResult> {
  const { query } = connection as { query?: unknown };
  if (typeof query !== "function") throw new ArgumentError(`the connection has no function query(text, values); it is ${show(connection)}: ${remedy}`);
  const answer: unknown = await Reflect.apply(query, connection, values === undefined ? [text] : [text, values]);
  return (Array.isArray(answer) ? answer.at(-1) : answer) as RunResult;
}

/** The result without what RPC refuses: the driver's parsers, and the classes of its values. */
export function plainResult(answer: RunResult): QueryResult {
  const { rows, rowCount, fields, command } = answer ?? {};
  if (!Array.isArray(rows)) throw new ArgumentError(`the driver's answer to a statement must have an array rows; it is ${show(answer)}: ${remedy}`);
  const plainRows = (rows as unknown[]).map(plainRow);
  return {
    rows: plainRows as QueryResult["rows"],
    rowCount: rowCount === undefined ? plainRows.length : rowCount,
    fields: (fields ?? []).map(({ name, dataTypeID }) => (dataTypeID === undefined ? { name } : { name, dataTypeID })),
    ...(typeof command === "string" ? { command } : {}),
  };
}

function plainRow(row: unknown): unknown {
  if (Array.isArray(row)) return row.map(plainValue);
  const plain: Record<string, unknown> = {};
  for (const [column, value] of Object.entries(row as object)) plain[column] = plainValue(value);
  return plain;
}

/** RPC refuses an instance of a class that it does not know, such as pg's interval: its own properties go. */
function plainValue(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(plainValue);
  if (value instanceof Date || ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return value;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null ? value : { ...value };
}
