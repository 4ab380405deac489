/**
 * Runs a statement on a driver's connection, and makes plain data of the result. Knows drivers with
 * `query(text, values)` that return `rows`, as pg does; for others the user gives `runQuery`. Called by session.ts.
 */

import { ArgumentError } from "../errors.js";
import { show } from "../validate.js";
import { holdsCollection, sendableRow } from "./rpc-values.js";
import type { QueryResult } from "./statements.js";

/** The result of `runQuery`: a {@link QueryResult} of which only `rows` is needed. */
export type RunResult = { readonly rows: readonly unknown[] } & Partial<Omit<QueryResult, "rows">>;

/** Runs one statement on a connection. */
export type RunQuery<C> = (
  connection: C,
  text: string,
  values?: readonly unknown[],
) => RunResult | PromiseLike<RunResult>;

const remedy = "give the option runQuery: (connection, text, values) => ({ rows })";

/** The default of `runQuery`. Of a text with several statements, the last one's result. */
export async function queryConnection(
  connection: unknown,
  text: string,
  values?: readonly unknown[],
): Promise<RunResult> {
  const { query } = connection as { query?: unknown };
  if (typeof query !== "function")
    throw new ArgumentError(`the connection has no function query(text, values); it is ${show(connection)}: ${remedy}`);
  const answer: unknown = await Reflect.apply(
    query,
    connection,
    values === undefined ? [text] : [text, forDriver(values)],
  );
  return (Array.isArray(answer) ? answer.at(-1) : answer) as RunResult;
}

/** Drivers write a Map, a Set and an ArrayBuffer as `{}`. */
function forDriver(values: readonly unknown[]): readonly unknown[] {
  return values.map((value, index) => {
    if (value instanceof ArrayBuffer) return new Uint8Array(value);
    if (!holdsCollection(value)) return value;
    throw new ArgumentError(
      `values[${index}] is or has a Map or a Set, which the driver would write as {}: give an array, or an object as ` +
        `of Object.fromEntries(map)`,
    );
  });
}

/** Returns an error that says what the driver's result must be. */
function wrong(what: string, must: string, value: unknown): ArgumentError {
  return new ArgumentError(`${what} must ${must}; it is ${show(value)}: ${remedy}`);
}

/** Returns the result without the parts that RPC refuses: the driver's parsers, and the classes of its values. */
export function plainResult(answer: RunResult): QueryResult {
  const { rows, rowCount, fields, command } = answer ?? {};
  if (!Array.isArray(rows)) throw wrong("the driver's answer to a statement", "have an array rows", answer);
  const plainRows = (rows as unknown[]).map(plainRow);
  if (rowCount !== undefined && rowCount !== null && typeof rowCount !== "number")
    throw wrong("rowCount of the driver's answer", "be a number or null", rowCount);
  return {
    rows: plainRows as QueryResult["rows"],
    rowCount: rowCount === undefined ? plainRows.length : rowCount,
    fields: plainFields(fields ?? []),
    ...(typeof command === "string" ? { command } : {}),
  };
}

function plainFields(fields: unknown): QueryResult["fields"] {
  if (!Array.isArray(fields)) throw wrong("fields of the driver's answer", "be an array", fields);
  return (fields as Partial<QueryResult["fields"][number]>[]).map((field, index) => {
    if (typeof field?.name !== "string")
      throw wrong(`fields[${index}] of the driver's answer`, "be an object with a name", field);
    const { name, dataTypeID } = field;
    return typeof dataTypeID === "number" ? { name, dataTypeID } : { name };
  });
}

function plainRow(row: unknown, index: number): unknown {
  if (typeof row !== "object" || row === null)
    throw wrong(`rows[${index}] of the driver's answer`, "be an object or an array", row);
  return sendableRow(row, index);
}
