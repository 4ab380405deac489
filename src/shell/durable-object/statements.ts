/**
 * The statements, options and results of a PoolObject. Checks them on both sides of the wire: the Worker before a call
 * is sent, pool-object.ts and lease.ts for callers that call the object directly. Runs nothing.
 */

import { ArgumentError } from "../errors.js";
import type { Duration } from "../options.js";
import { checkedMillis, checkKeys, hasFunctions, isSignal, refuse, show } from "../validate.js";
import { sendableValues } from "./rpc-values.js";

/** One statement, in the form of pg. */
export interface StatementConfig {
  readonly text: string;
  /** One for each placeholder. */
  readonly values?: readonly unknown[] | undefined;
  /**
   * Prepares the statement under this name, once for each connection. For drivers that know of it: pg, or what
   * `runQuery` makes of it.
   */
  readonly name?: string | undefined;
  /** Default `"object"`. `"array"`: each row is an array in the order of `fields`, so that columns may share a name. */
  readonly rowMode?: "array" | "object" | undefined;
  /**
   * Reads the values of the rows in place of the driver's parsers, as query builders want it. It runs in the Worker,
   * on the texts of the server. For pg.
   */
  readonly types?: ValueTypes | undefined;
}

/** Gives the function that reads a value of a type, by its `dataTypeID`, from the server's text. */
export interface ValueTypes {
  getTypeParser(dataTypeID: any, format?: any): (text: any) => unknown;
}

/** One statement of a batch: its text alone, or with the values of its placeholders and more. */
export type Statement = string | StatementConfig;

/** The result of a statement. Plain data: it crosses RPC and structuredClone. */
export interface QueryResult<Row = Record<string, any>> {
  /** The rows, in order; empty if the statement returns none. */
  readonly rows: Row[];
  /** Rows read or changed; null if the command counts none. */
  readonly rowCount: number | null;
  /** The columns, with the number of the type if the driver has it (PostgreSQL: its OID). */
  readonly fields: ReadonlyArray<{ readonly name: string; readonly dataTypeID?: number }>;
  /** The name of the command if the driver has it, such as `"INSERT"`. */
  readonly command?: string;
}

/** Options of one call of a lease. */
export interface AbortOptions {
  /**
   * Rejects the call with the signal's reason at once. In the object it leaves the queue, or its statement is cancelled
   * if the dialect can (PostgreSQL: by a CancelRequest); what comes behind it in a batch does not run. Only through
   * poolOf().
   */
  signal?: AbortSignal | undefined;
}

/** Options of one `query()`, `lease()` or `use()`. */
export interface WaitOptions extends AbortOptions {
  /**
   * How long to queue for a connection, instead of the pool's `timeout`: a string with its unit, a number of seconds,
   * or null = no limit. It does not bound the statement: `signal` does, or the database (PostgreSQL:
   * statement_timeout).
   */
  timeout?: Duration | null | undefined;
}

/** Options of one `batch()` inside a lease. */
export interface LeaseBatchOptions extends AbortOptions {
  /** Default true: all or nothing. False: each statement by itself, and the statements before a failure stay. */
  transaction?: boolean | undefined;
}

/** Options of one `batch()`. */
export interface BatchOptions extends LeaseBatchOptions, WaitOptions {}

/** The options of a call after their check. Only `settings` cross RPC. */
interface CheckedOptions {
  readonly settings: Settings;
  readonly signal: AbortSignal | undefined;
}

/** What the options of a call ask of the object. */
export interface Settings {
  readonly timeout?: Duration | null;
  readonly transaction?: boolean;
}

/** A statement after its check, as it crosses RPC. */
export interface CheckedStatement {
  readonly text: string;
  readonly values?: readonly unknown[];
  readonly name?: string;
  readonly rowMode?: "array";
  /** The rows have the texts of the server. The Worker reads them. */
  readonly types?: "raw";
}

/**
 * Checks the statement of a query(): its text and its values, or a {@link StatementConfig}. Throws an
 * {@link ArgumentError} that names what is wrong.
 */
export function checkStatement(given: unknown, values: unknown, where = ""): CheckedStatement {
  if (typeof given !== "object" || given === null || Array.isArray(given)) return checkText(given, values, where);
  checkKeys(given, ["text", "values", "name", "rowMode", "types"], where === "" ? "a statement" : where, "");
  const config = given as Record<keyof StatementConfig, unknown>;
  const inside = where === "" ? "" : `${where}: its `;
  const { name, rowMode, types } = config;
  if (name !== undefined && (typeof name !== "string" || name === ""))
    throw new ArgumentError(`${inside}name must be a string that is not empty; it is ${show(name)}`);
  if (rowMode !== undefined && rowMode !== "array" && rowMode !== "object")
    throw new ArgumentError(`${inside}rowMode must be "array" or "object"; it is ${show(rowMode)}`);
  // "raw" is what crosses RPC in its place.
  if (types !== undefined && types !== "raw" && !hasFunctions(types, ["getTypeParser"]))
    throw new ArgumentError(`${inside}types must be an object with a function getTypeParser; it is ${show(types)}`);
  return {
    ...checkText(config.text, values ?? config.values, inside),
    ...(name === undefined ? {} : { name }),
    ...(rowMode === "array" ? { rowMode } : {}),
    ...(types === undefined ? {} : { types: "raw" as const }),
  };
}

function checkText(text: unknown, values: unknown, where: string): CheckedStatement {
  if (typeof text !== "string" || text.trim() === "")
    throw new ArgumentError(`${where}text must be a string with a statement; it is ${show(text)}`);
  // JSON makes null of an absent argument.
  if (values !== undefined && values !== null && !Array.isArray(values)) {
    throw new ArgumentError(
      `${where}values must be an array with one value for each placeholder, or be left out; it is ${show(values)}`,
    );
  }
  return values ? { text, values: sendableValues(values, `${where}values`) } : { text };
}

/** Checks the statements of a batch(). Throws an {@link ArgumentError} that names what is wrong. */
export function checkStatements(statements: unknown): CheckedStatement[] {
  if (!Array.isArray(statements))
    throw new ArgumentError(`statements must be an array of strings and { text, values }; it is ${show(statements)}`);
  return statements.map((statement: unknown, index) => {
    const where = `statements[${index}]`;
    if (typeof statement === "string") return checkText(statement, undefined, `${where}: its `);
    if (typeof statement !== "object" || statement === null || Array.isArray(statement)) {
      throw new ArgumentError(`${where} must be a string or { text, values }; it is ${show(statement)}`);
    }
    return checkStatement(statement, undefined, where);
  });
}

/** Reads the rows of a result whose statement had `types` of the caller's own. */
export function readWith(types: ValueTypes | undefined, result: QueryResult): QueryResult {
  if (types === undefined) return result;
  const parsers = result.fields.map(({ dataTypeID }) => types.getTypeParser(dataTypeID, "text"));
  const byName = new Map(result.fields.map(({ name }, index) => [name, parsers[index]]));
  const read = (text: unknown, parse: ((text: any) => unknown) | undefined): unknown =>
    text === null || parse === undefined ? text : parse(text);
  const rows = (result.rows as unknown[]).map((row) =>
    Array.isArray(row)
      ? row.map((text: unknown, index) => read(text, parsers[index]))
      : Object.fromEntries(Object.entries(row as object).map(([name, text]) => [name, read(text, byName.get(name))])),
  );
  return { ...result, rows: rows as QueryResult["rows"] };
}

/** Returns the error for an unknown call: the versions of caller and object differ. */
export function unknownCall(target: string, call: unknown): ArgumentError {
  return new ArgumentError(
    `${target} has no call ${show(call)}: the Worker that called and the one with the object may have different ` +
      `versions of the package`,
  );
}

/** The options of each call. */
const optionsOf = {
  "query()": ["timeout", "signal"],
  "lease()": ["timeout", "signal"],
  "batch()": ["transaction", "timeout", "signal"],
  "query() of a lease": ["signal"],
  "batch() of a lease": ["transaction", "signal"],
};

/** A call with options. */
export type CallWithOptions = keyof typeof optionsOf;

/** Checks the options of a call. Throws an {@link ArgumentError} that names the first wrong one. */
export function checkOptions(options: unknown, call: CallWithOptions): CheckedOptions {
  if (options === undefined) return none;
  checkKeys(options, optionsOf[call], call, "");
  const { timeout, transaction, signal } = options as BatchOptions;
  if (timeout !== undefined) checkedMillis("timeout", timeout, "");
  if (transaction !== undefined && typeof transaction !== "boolean")
    throw new ArgumentError(`transaction must be true or false; it is ${show(transaction)}`);
  if (signal !== undefined && !isSignal(signal)) throw refuse("signal", signal);
  return {
    settings: { ...(timeout === undefined ? {} : { timeout }), ...(transaction === undefined ? {} : { transaction }) },
    signal,
  };
}

const none: CheckedOptions = { settings: {}, signal: undefined };

/** Checks the same in the object. There a signal is refused, because RPC does not carry it at every date. */
export function checkSettings(options: unknown = {}, call: CallWithOptions): Settings {
  // JSON makes null of an absent argument.
  if (options === null) return {};
  checkKeys(
    options,
    optionsOf[call].filter((option) => option !== "signal"),
    call,
    "",
  );
  return checkOptions(options, call).settings;
}
