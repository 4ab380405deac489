/**
 * The dialect of `@sqlite.org/sqlite-wasm`, for its `oo1.DB`: synchronous throughout, reset by ROLLBACK only if a
 * transaction is open. Only the module knows the state of a database, so it is given. Imports nothing of it.
 *
 * Files in the memory of the module do not lock each other, unless the VFS is `memdb`: `poolSize: 1, maxOverflow: 0`.
 */

import type { Dialect } from "../dialect.js";
import { expectDriver, olderThan, refuse } from "./drivers.js";

/** What this dialect needs of an `oo1.DB`. */
export interface SqliteWasmDatabase {
  isOpen(): boolean;
  exec(sql: string): unknown;
  close(): unknown;
}

/** What this dialect needs of the module that `sqlite3InitModule()` resolves to. */
export interface SqliteWasmModule {
  readonly capi: {
    sqlite3_get_autocommit(database: any): number;
    sqlite3_txn_state(database: any, schema: any): number;
    sqlite3_next_stmt(database: any, statement: any): any;
    sqlite3_stmt_busy(statement: any): number;
    sqlite3_libversion_number?(): number;
  };
}

/** The oldest version of the tests, as SQLite numbers it. */
const oldest = 3_054_000;

/** For `new QueuePool(() => new sqlite3.oo1.DB("/app.db"), { dialect: sqliteWasm(sqlite3) })`. */
export function sqliteWasm({ capi }: SqliteWasmModule): Dialect<SqliteWasmDatabase> {
  const inTransaction = (database: SqliteWasmDatabase): boolean => capi.sqlite3_get_autocommit(database) === 0;

  /** SQLite refuses to end a transaction that is not open. */
  const end = (database: SqliteWasmDatabase, statement: "ROLLBACK" | "COMMIT"): void => {
    if (!database.isOpen() || inTransaction(database)) database.exec(statement);
  };

  /** Outside of a transaction a read lock is that of a statement. Inside, each statement is asked. */
  const hasStatement = (database: SqliteWasmDatabase): boolean => {
    if (!inTransaction(database)) return capi.sqlite3_txn_state(database, null) > 0;
    for (let statement: unknown = 0; (statement = capi.sqlite3_next_stmt(database, statement));)
      if (capi.sqlite3_stmt_busy(statement) !== 0) return true;
    return false;
  };

  /** It finalizes every statement. */
  const close = (database: SqliteWasmDatabase): void => void database.close();

  return {
    name: "sqlite-wasm",

    doCheck(database) {
      expectDriver("sqlite-wasm", database, ["exec", "isOpen", "close"]);
      if (!database.isOpen()) refuse("sqlite-wasm", database, "a DB that is closed");
      const version = capi.sqlite3_libversion_number?.() ?? oldest;
      return version < oldest ? olderThan("sqlite-wasm", "3.54") : undefined;
    },

    doRollback: (database) => end(database, "ROLLBACK"),

    doCommit: (database) => end(database, "COMMIT"),

    doClose: close,

    /** There is no server to wait for. */
    doTerminate: close,

    doPing(database) {
      if (database.isOpen()) database.exec("SELECT 1");
      return database.isOpen();
    },

    isDisconnect: (error) =>
      error instanceof Error && error.name === "SQLite3Error" && error.message.endsWith("DB has been closed."),

    guarded: [
      "prepare",
      "exec",
      "selectValue",
      "selectValues",
      "selectArray",
      "selectArrays",
      "selectObject",
      "selectObjects",
      "transaction",
      "savepoint",
      "close",
    ],

    doRefuse(error) {
      throw error;
    },

    /** A statement that was not read to its end: until then the database reads an old state, or cannot write. */
    isBusy: (database) => database.isOpen() && hasStatement(database) && "stuck",

    /** Also true when its caller closed the database: its reset fails, and the next caller has another. */
    inTransaction: (database) => !database.isOpen() || inTransaction(database),
  };
}

export default sqliteWasm;
