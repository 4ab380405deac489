/**
 * Runs a statement on a driver's connection, and makes plain data of the result. Knows drivers with
 * `query(text, values)` that return `rows`, as pg does; for others the user gives `runQuery`. Called by session.ts.
 */

import { ArgumentError } from "../errors.js";
import { show } from "../validate.js";
import { fly, isPgFlyer, isPrepared, pgConfigOf, type Flight } from "./pg-flight.js";
import { holdsCollection, sendableRow } from "./rpc-values.js";
import type { CheckedStatement, QueryResult } from "./statements.js";
import { several } from "./transaction-words.js";

/** The result of `runQuery`: a {@link QueryResult} of which only `rows` is needed. */
export type RunResult = { readonly rows: readonly unknown[] } & Partial<Omit<QueryResult, "rows">>;

/** What a statement may have beside its text and values. */
export interface RunOptions {
  /** Prepare it under this name. */
  readonly name?: string | undefined;
  /** `"array"`: each row is an array. */
  readonly rowMode?: "array" | undefined;
}

/** Runs one statement on a connection. */
export type RunQuery<C> = (
  connection: C,
  text: string,
  values?: readonly unknown[],
  options?: RunOptions,
) => RunResult | PromiseLike<RunResult>;

const remedy = "give the option runQuery: (connection, text, values) => ({ rows })";

/**
 * Runs a statement with the option `runQuery`, or as pg does. Of a text with several, the last one's result. If
 * `thenReset` can be sent along, the flight is passed to `flown`.
 */
export function runStatement<C>(
  connection: C,
  statement: CheckedStatement,
  runQuery: RunQuery<C> | undefined,
  thenReset: readonly string[] | undefined,
  flown: (flight: Flight) => void,
): RunResult | PromiseLike<RunResult> {
  const { text, values, name, rowMode, types } = statement;
  if (runQuery !== undefined) {
    if (types !== undefined) throw new ArgumentError("types of a statement is for connections of pg, without runQuery");
    return runQuery(connection, text, values, { name, rowMode });
  }
  if (isPgFlyer(connection) && !copy.test(statement.text)) {
    return fly(connection, [forDriver(statement)], thenReset).then((flight) => {
      flown(flight);
      if (flight.failure !== undefined) throw flight.failure.error;
      return lastOf(flight.results[0]);
    });
  }
  const { query, connection: own } = connection as { query?: unknown; connection?: unknown };
  if (typeof query !== "function")
    throw new ArgumentError(`the connection has no function query(text, values); it is ${show(connection)}: ${remedy}`);
  const given =
    (name ?? rowMode ?? types) !== undefined
      ? [pgConfigOf(own, forDriver(statement))]
      : values === undefined
        ? [text]
        : [text, forDriver(statement).values];
  return Promise.resolve(Reflect.apply(query, connection, given)).then(lastOf);
}

function lastOf(answer: unknown): RunResult {
  return (Array.isArray(answer) ? answer.at(-1) : answer) as RunResult;
}

/**
 * Runs all of the statements in one flight, in a transaction; undefined if the driver or one of the statements does not
 * allow that.
 */
export function runTogether(
  connection: unknown,
  statements: readonly CheckedStatement[],
  thenReset: readonly string[],
): Promise<Flight> | undefined {
  if (!isPgFlyer(connection) || !statements.every(mayFly)) return undefined;
  return fly(connection, statements.map(forDriver), thenReset);
}

/** Whether the extended protocol takes the text: it must be one statement, and no COPY, which reads on. */
function mayFly(statement: CheckedStatement): boolean {
  return !copy.test(statement.text) && (isPrepared(statement) || !several.test(statement.text));
}

/** Anywhere: a text may have several statements. */
const copy = /\bcopy\b/i;

/** Drivers write a Map, a Set and an ArrayBuffer as `{}`. */
export function forDriver(statement: CheckedStatement): CheckedStatement {
  const { values } = statement;
  if (values === undefined || values.every((value) => typeof value !== "object" || value === null)) return statement;
  const taken = values.map((value, index) => {
    if (value instanceof ArrayBuffer) return new Uint8Array(value);
    if (!holdsCollection(value)) return value;
    throw new ArgumentError(
      `values[${index}] is or has a Map or a Set, which the driver would write as {}: give an array, or an object as ` +
        `of Object.fromEntries(map)`,
    );
  });
  return { ...statement, values: taken };
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

export function plainFields(fields: unknown): QueryResult["fields"] {
  if (!Array.isArray(fields)) throw wrong("fields of the driver's answer", "be an array", fields);
  return (fields as Partial<QueryResult["fields"][number]>[]).map((field, index) => {
    if (typeof field?.name !== "string")
      throw wrong(`fields[${index}] of the driver's answer`, "be an object with a name", field);
    const { name, dataTypeID } = field;
    return typeof dataTypeID === "number" ? { name, dataTypeID } : { name };
  });
}

export function plainRow(row: unknown, index: number): unknown {
  if (typeof row !== "object" || row === null)
    throw wrong(`rows[${index}] of the driver's answer`, "be an object or an array", row);
  return sendableRow(row, index);
}
