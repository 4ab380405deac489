/**
 * The dialect of better-sqlite3: synchronous throughout, reset by ROLLBACK only if a transaction is open. Imports
 * nothing of better-sqlite3.
 */

import type { Dialect } from "../dialect.js";
import { expectDriver, refuse, warnIfOlder } from "./drivers.js";

/** What this dialect needs of a better-sqlite3 `Database`. */
export interface BetterSqlite3Database {
  readonly open: boolean;
  readonly inTransaction: boolean;
  exec(sql: string): unknown;
  close(): unknown;
  unsafeMode?(enabled?: boolean): unknown;
  prepare?(sql: string): object;
}

/** What this dialect needs of the iterators of a `Statement`. */
interface Iterators {
  iterate(...parameters: unknown[]): { return?(): unknown };
}

/** For `new QueuePool(() => new Database("app.db"), { dialect: betterSqlite3 })`. */
export const betterSqlite3: Dialect<BetterSqlite3Database> = {
  name: "better-sqlite3",

  doCheck(database) {
    const isDrivers = expectDriver("better-sqlite3", database, ["exec", "close"]);
    if (database.open === false) refuse("better-sqlite3", database, "a Database that is closed");
    return isDrivers ? warnIfOlder("better-sqlite3", "13", database, "explain") : undefined;
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

  guarded: ["prepare", "exec", "transaction", "pragma", "backup", "close"],

  doRefuse(error) {
    throw error;
  },

  /** An open iterator: until its end the database refuses every statement. */
  isBusy: (database) => database.open && hasIterator(database) && "stuck",

  /** No report comes: from now on the dialect knows the iterators of the database. */
  onDisconnect(database) {
    watchIterators(database);
    return () => {};
  },

  /** Also true when its caller closed the database: its reset fails, and the next caller has another. */
  inTransaction: (database) => !database.open || database.inTransaction,
};

/** The iterators of each database since it was last seen without an open one. */
const iteratorsOf = new WeakMap<object, Set<{ return?(): unknown }>>();

/** The prototypes of statements whose iterators are known. */
const watched = new WeakSet<object>();

/** Only an iterator itself can end its statement, and the caller that left it open may keep it. */
function watchIterators(database: BetterSqlite3Database): void {
  const prototype = database.prepare && (Object.getPrototypeOf(database.prepare("SELECT 1")) as Iterators);
  if (prototype === undefined || watched.has(prototype)) return;
  watched.add(prototype);
  const { iterate } = prototype;
  prototype.iterate = function (this: { database?: BetterSqlite3Database }, ...parameters) {
    const { database: owner } = this;
    if (owner !== undefined) hasIterator(owner);
    const iterator = Reflect.apply(iterate, this, parameters);
    if (owner !== undefined) iteratorsOf.set(owner, (iteratorsOf.get(owner) ?? new Set()).add(iterator));
    return iterator;
  };
}

/** Running no statement costs less than half a microsecond. */
function hasIterator(database: BetterSqlite3Database): boolean {
  try {
    database.exec("");
    iteratorsOf.delete(database);
    return false;
  } catch {
    return true;
  }
}

/**
 * While an iterator is open no database can be closed. If the dialect does not know the iterator, the transaction at
 * least ends in unsafe mode, and with that its write lock.
 */
function close(database: BetterSqlite3Database): void {
  for (const iterator of iteratorsOf.get(database) ?? []) iterator.return?.();
  iteratorsOf.delete(database);
  if (database.open && hasIterator(database)) {
    if (database.inTransaction && database.unsafeMode !== undefined) {
      database.unsafeMode(true);
      database.exec("ROLLBACK");
    }
    throw new Error(
      "the database stays open, with its read lock, because an iterator of one of its statements is open",
    );
  }
  database.close();
}

/** SQLite refuses to end a transaction that is not open. */
function end(database: BetterSqlite3Database, statement: "ROLLBACK" | "COMMIT"): void {
  if (!database.open || database.inTransaction) database.exec(statement);
}

export default betterSqlite3;
