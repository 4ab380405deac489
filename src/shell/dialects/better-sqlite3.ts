/**
 * The dialect of better-sqlite3: synchronous throughout, reset by ROLLBACK only if a transaction is open. Imports
 * nothing of better-sqlite3.
 */

import type { Dialect } from "../dialect.js";

/** What this dialect needs of a better-sqlite3 `Database`. */
export interface BetterSqlite3Database {
  readonly open: boolean;
  readonly inTransaction: boolean;
  exec(sql: string): unknown;
  close(): unknown;
}

/** For `new QueuePool(() => new Database("app.db"), { dialect: betterSqlite3 })`. */
export const betterSqlite3: Dialect<BetterSqlite3Database> = {
  name: "better-sqlite3",

  doRollback: (database) => end(database, "ROLLBACK"),

  doCommit: (database) => end(database, "COMMIT"),

  doClose: (database) => void database.close(),

  /** There is no server to wait for. */
  doTerminate: (database) => void database.close(),

  doPing(database) {
    if (database.open) database.exec("SELECT 1");
    return database.open;
  },

  isDisconnect: (error) => error instanceof TypeError && error.message === "The database connection is not open",

  guarded: ["prepare", "exec", "transaction", "pragma", "backup", "close"],

  doRefuse(error) {
    throw error;
  },

  /** Also true when its caller closed the database: its reset fails, and the next caller has another. */
  inTransaction: (database) => database.inTransaction || !database.open,
};

/** SQLite refuses to end a transaction that is not open. */
function end(database: BetterSqlite3Database, statement: "ROLLBACK" | "COMMIT"): void {
  if (database.inTransaction || !database.open) database.exec(statement);
}

export default betterSqlite3;
