/**
 * The dialect of libsql, for the `Database` of the package `libsql`: synchronous throughout, reset by ROLLBACK only if
 * a transaction is open. Imports nothing of libsql.
 *
 * Its API is that of better-sqlite3. But it lets a database be closed while a statement is under way, which keeps the
 * locks. It must not be asked whether a transaction is open once it is closed.
 */

import type { Dialect } from "../dialect.js";
import { expectDriver, refuse, warnIfOlder } from "./drivers.js";

/** What this dialect needs of a `Database` of libsql. */
export interface LibsqlDatabase {
  readonly open: boolean;
  readonly inTransaction: boolean;
  exec(sql: string): unknown;
  close(): unknown;
  prepare?(sql: string): object;
  interrupt?(): unknown;
}

/** What this dialect needs of the iterators of a `Statement`. */
interface Rows {
  next(): { done?: boolean };
}

/** What this dialect needs of a `Statement`. */
interface Statement {
  readonly reader: boolean;
  run(...parameters: unknown[]): unknown;
  iterate(...parameters: unknown[]): Rows;
}

/** For `new QueuePool(() => new Database("app.db"), { dialect: libsql })`. */
export const libsql: Dialect<LibsqlDatabase> = {
  name: "libsql",

  doCheck(database) {
    const isDrivers = expectDriver("libsql", database, ["exec", "close"]);
    if (database.open === false) refuse("libsql", database, "a Database that is closed");
    return isDrivers ? warnIfOlder("libsql", "0.5", database, "interrupt") : undefined;
  },

  doRollback: (database) => end(database, "ROLLBACK"),

  doCommit: (database) => end(database, "COMMIT"),

  doClose: close,

  /** There is no server to wait for. */
  doTerminate: close,

  doPing(database) {
    if (database.open) database.exec("SELECT 1");
    return database.open;
  },

  isDisconnect: (error) => error instanceof TypeError && error.message === "The database connection is not open",

  guarded: ["prepare", "exec", "transaction", "pragma", "sync", "syncUntil", "close"],

  doRefuse(error) {
    throw error;
  },

  /** A statement under way: until its end the database reads an old state, or cannot write. */
  isBusy: (database) => database.open && hasStatement(database) && "stuck",

  /** No report comes: from now on the dialect knows what its caller may leave under way. */
  onDisconnect(database) {
    watch(database);
    return () => {};
  },

  /** Also true when its caller closed the database: its reset fails, and the next caller has another. */
  inTransaction: (database) => !database.open || database.inTransaction,
};

/** SQLite refuses to end a transaction that is not open. */
function end(database: LibsqlDatabase, statement: "ROLLBACK" | "COMMIT"): void {
  if (!database.open || database.inTransaction) database.exec(statement);
}

/** What may be under way in each database: iterators that were not read to the end, statements with rows that ran. */
const startedIn = new WeakMap<object, Set<Rows | Statement>>();

/** The database of each statement. */
const databaseOf = new WeakMap<object, object>();

/** The prototypes of databases and of statements that are watched. */
const watched = new WeakSet<object>();

function watch(database: LibsqlDatabase): void {
  const prototype = Object.getPrototypeOf(database) as { prepare?(this: object, ...given: unknown[]): object };
  const { prepare } = prototype;
  if (prepare === undefined || watched.has(prototype)) return;
  watched.add(prototype);
  prototype.prepare = function (...given) {
    const statement = Reflect.apply(prepare, this, given) as object;
    databaseOf.set(statement, this);
    watchStatements(Object.getPrototypeOf(statement) as Statement);
    return statement;
  };
}

function watchStatements(prototype: Statement): void {
  if (watched.has(prototype)) return;
  watched.add(prototype);
  const { iterate, run } = prototype;
  prototype.iterate = function (this: Statement, ...parameters) {
    const rows = Reflect.apply(iterate, this, parameters) as Rows;
    const started = startedBy(this);
    started?.add(rows);
    const { next } = rows;
    rows.next = () => {
      const result = Reflect.apply(next, rows, []) as { done?: boolean };
      if (result.done === true) started?.delete(rows);
      return result;
    };
    return rows;
  };
  prototype.run = function (this: Statement, ...parameters) {
    if (this.reader) startedBy(this)?.add(this);
    return Reflect.apply(run, this, parameters) as unknown;
  };
}

function startedBy(statement: Statement): Set<Rows | Statement> | undefined {
  const database = databaseOf.get(statement);
  if (database === undefined) return undefined;
  const started = startedIn.get(database) ?? new Set();
  startedIn.set(database, started);
  return started;
}

/**
 * SQLite refuses this VACUUM in any case, and names a statement in progress before the file name that is none. It takes
 * about fifty microseconds, so it is asked only if something may be under way. In a transaction SQLite names that.
 */
function hasStatement(database: LibsqlDatabase): boolean {
  const started = startedIn.get(database);
  if (started === undefined || started.size === 0) return false;
  if (database.inTransaction) return true;
  try {
    database.exec("VACUUM INTO 0");
  } catch (error) {
    // An interrupted database refuses everything until its last statement has ended.
    if (error instanceof Error && /SQL statements in progress$|^interrupted$/.test(error.message)) return true;
  }
  started.clear();
  return false;
}

/** As many rows are fetched in advance. */
const fetched = 100;

/**
 * A database that is closed with a transaction or a statement under way keeps their locks. An iterator ends when it is
 * interrupted. A statement that ran ends only when it is collected.
 */
function close(database: LibsqlDatabase): void {
  if (!database.open) return;
  try {
    end(database, "ROLLBACK");
    const started = startedIn.get(database);
    if (started !== undefined && started.size > 0) {
      database.interrupt?.();
      for (const one of started) if ("next" in one) readToEnd(one);
    }
    if (hasStatement(database)) {
      throw new Error(
        "the database stays open, with its read lock, until run() of a statement that returns rows is collected",
      );
    }
  } finally {
    startedIn.delete(database);
    database.close();
  }
}

function readToEnd(rows: Rows): void {
  try {
    for (let row = 0; row <= fetched && rows.next().done !== true; row++);
  } catch {
    // It was interrupted.
  }
}

export default libsql;
