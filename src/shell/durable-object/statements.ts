/**
 * The statements, options and results of a PoolObject. Checks them on both sides of the wire: pool-of.ts before a call
 * is sent, pool-object.ts and lease.ts for callers that call the object directly. Runs nothing.
 */

import { ArgumentError } from "../errors.js";
import type { Duration } from "../options.js";
import { checkedMillis, checkKeys, isSignal, refuse, show } from "../validate.js";
import { sendableValues } from "./rpc-values.js";

/** One statement of a batch: its text alone, or with the values of its placeholders. */
export type Statement = string | { readonly text: string; readonly values?: readonly unknown[] };

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

/** A statement after its check. */
export interface CheckedStatement {
  readonly text: string;
  readonly values: readonly unknown[] | undefined;
}

/** Checks the statement of a query(). Throws an {@link ArgumentError} that names what is wrong. */
export function checkStatement(text: unknown, values: unknown, where = ""): CheckedStatement {
  if (typeof text !== "string" || text.trim() === "")
    throw new ArgumentError(`${where}text must be a string with a statement; it is ${show(text)}`);
  // JSON makes null of an absent argument.
  if (values !== undefined && values !== null && !Array.isArray(values)) {
    throw new ArgumentError(
      `${where}values must be an array with one value for each placeholder, or be left out; it is ${show(values)}`,
    );
  }
  return { text, values: values ? sendableValues(values, `${where}values`) : undefined };
}

/** Checks the statements of a batch(). Throws an {@link ArgumentError} that names what is wrong. */
export function checkStatements(statements: unknown): CheckedStatement[] {
  if (!Array.isArray(statements))
    throw new ArgumentError(`statements must be an array of strings and { text, values }; it is ${show(statements)}`);
  return statements.map((statement: unknown, index) => {
    const where = `statements[${index}]`;
    if (typeof statement === "string") return checkStatement(statement, undefined, `${where}: its `);
    if (typeof statement !== "object" || statement === null || Array.isArray(statement)) {
      throw new ArgumentError(`${where} must be a string or { text, values }; it is ${show(statement)}`);
    }
    checkKeys(statement, ["text", "values"], where, "");
    const { text, values } = statement as { text?: unknown; values?: unknown };
    return checkStatement(text, values, `${where}: its `);
  });
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
