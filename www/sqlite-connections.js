// SQLite in the page as a driver with connections: the WebAssembly is loaded once, and every connection is one handle
// on the same database in memory. The pool uses its dialect to roll back, ping and close. Used by real-tab.js.

import sqlite3InitModule from "../node_modules/@sqlite.org/sqlite-wasm/dist/index.mjs";

const tables = `
  CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT NOT NULL, price REAL NOT NULL);
  CREATE TABLE orders (id INTEGER PRIMARY KEY, product INTEGER NOT NULL REFERENCES products, amount INTEGER NOT NULL);
  INSERT INTO products (name, price) VALUES ('Tea', 4.5), ('Coffee', 6.0), ('Cocoa', 5.25), ('Maté', 7.75);
  PRAGMA user_version = 1;
`;
/** Resets the tables to the beginning. */
export const resetSql = `DROP TABLE IF EXISTS orders; DROP TABLE IF EXISTS products; ${tables}`;

/** SQLite runs on the page's own thread: a longer statement would make the page look dead. */
export const mostSeconds = 3;
const stepsBetweenLooks = 10_000;

let loading;
let opened = 0;

/** The creator. */
export async function openConnection() {
  const { oo1, capi } = await (loading ??= sqlite3InitModule());
  // The name begins with a slash: such a database in memory is common to all handles of this page.
  const database = new oo1.DB({ filename: "/shop", flags: "c", vfs: "memdb" });
  const connection = {
    id: ++opened,
    database,
    stopAt: Infinity,
    inTransaction: () => capi.sqlite3_get_autocommit(database.pointer) === 0,
  };
  try {
    // Only the first connection finds a database without a version, so a table that the visitor drops stays dropped.
    if (database.selectValue("PRAGMA user_version") === 0) database.exec(tables);
    capi.sqlite3_progress_handler(
      database.pointer,
      stepsBetweenLooks,
      () => Number(performance.now() > connection.stopAt),
      0,
    );
  } catch (error) {
    database.close();
    throw error;
  }
  return connection;
}

/** Returns columns and rows of the first statement that has any, and the number of changed rows. */
export function run(connection, sql) {
  const { database } = connection;
  const columns = [];
  const rows = [];
  const before = database.changes(true);
  connection.stopAt = performance.now() + mostSeconds * 1000;
  try {
    database.exec({ sql, rowMode: "array", columnNames: columns, resultRows: rows });
  } catch (error) {
    throw performance.now() > connection.stopAt
      ? new Error(`stopped after ${mostSeconds} seconds`, { cause: error })
      : error;
  } finally {
    connection.stopAt = Infinity;
  }
  return { columns, rows, changes: database.changes(true) - before };
}

export const dialect = {
  name: "sqlite-wasm",
  inTransaction: (connection) => connection.inTransaction(),
  doRollback: ({ database }) => void database.exec("ROLLBACK"),
  doCommit: ({ database }) => void database.exec("COMMIT"),
  doPing: ({ database }) => database.isOpen() && database.selectValue("SELECT 1") === 1,
  doClose: ({ database }) => database.close(),
};
