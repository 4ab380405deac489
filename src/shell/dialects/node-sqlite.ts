/**
 * The dialect of `node:sqlite`, for its DatabaseSync: synchronous throughout; from Node 22.16 and 24 on reset by
 * ROLLBACK only if a transaction is open. Imports nothing of `node:sqlite`.
 */

import type { Dialect } from "../dialect.js";
import { expectDriver, refuse, warnIfOlder } from "./drivers.js";

/** What this dialect needs of a `DatabaseSync`. The properties came after the class. */
export interface NodeSqliteDatabase {
  readonly isOpen?: boolean;
  readonly isTransaction?: boolean;
  exec(sql: string): void;
  close(): void;
  prepare?(sql: string): { run(): unknown };
  function?(name: string, run: () => number): void;
}

/** For `new QueuePool(() => new DatabaseSync("app.db"), { dialect: nodeSqlite })`. */
export const nodeSqlite: Dialect<NodeSqliteDatabase> = {
  name: "node-sqlite",

  doCheck(database) {
    const isDrivers = expectDriver("node-sqlite", database, ["exec", "close"]);
    if (database.isOpen === false) refuse("node-sqlite", database, "a DatabaseSync that is not open");
    return isDrivers ? warnIfOlder("node:sqlite", "that of Node 22.16", database, "isTransaction") : undefined;
  },

  doRollback: (database) => end(database, "ROLLBACK"),

  doCommit: (database) => end(database, "COMMIT"),

  /** An open iterator: until its end the database reads an old state, and cannot write. */
  isBusy: (database) => hasIterator(database) && "stuck",

  doClose: close,

  /** There is no server to wait for. */
  doTerminate: close,

  doPing(database) {
    try {
      database.exec("SELECT 1");
      return true;
    } catch (error) {
      if (isDisconnect(error)) return false;
      throw error;
    }
  },

  isDisconnect,

  guarded: ["prepare", "exec", "createTagStore", "applyChangeset", "close"],

  doRefuse(error) {
    throw error;
  },

  /** Also true when its caller closed the database: its reset fails, and the next caller has another. */
  inTransaction: (database) => database.isOpen !== true || database.isTransaction !== false,
};

/** SQLite refuses to end a transaction that is not open. */
function end(database: NodeSqliteDatabase, statement: "ROLLBACK" | "COMMIT"): void {
  if (database.isTransaction === false) return;
  try {
    database.exec(statement);
  } catch (error) {
    if (!(error as Error).message.endsWith("no transaction is active")) throw error;
  }
}

const probes = new WeakMap<NodeSqliteDatabase, { run(): unknown }>();

/**
 * SQLite refuses this VACUUM in any case, and names a statement in progress before the file name that is none. It takes
 * about three microseconds. In a transaction SQLite names that instead, and the dialect defines a function twice. The
 * second is refused while a statement is in progress. Always done, that would let SQLite prepare every statement again.
 */
function hasIterator(database: NodeSqliteDatabase): boolean {
  try {
    let probe = probes.get(database);
    if (probe === undefined && database.prepare !== undefined) {
      probe = database.prepare("VACUUM INTO 0");
      probes.set(database, probe);
    }
    probe?.run();
    return false;
  } catch (error) {
    const message = error instanceof Error ? error.message : "";
    return message.endsWith("SQL statements in progress") || (message.endsWith("transaction") && !mayDefine(database));
  }
}

function mayDefine(database: NodeSqliteDatabase): boolean {
  try {
    for (let time = 0; time < 2; time++) database.function?.("edgepool_probe", () => 0);
    return true;
  } catch {
    return false;
  }
}

function close(database: NodeSqliteDatabase): void {
  try {
    database.close();
  } catch (error) {
    if (!isDisconnect(error)) throw error;
  }
}

function isDisconnect(error: unknown): boolean {
  return (
    error instanceof Error &&
    (error as { code?: unknown }).code === "ERR_INVALID_STATE" &&
    error.message === "database is not open"
  );
}

export default nodeSqlite;
