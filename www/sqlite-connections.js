// SQLite in the page as a driver with connections: the WebAssembly is loaded once, every connection is one handle on the
// same database in memory. Its dialect tells the pool how to roll back, ping and close. Used by real-tab.js.

import sqlite3InitModule from "../node_modules/@sqlite.org/sqlite-wasm/dist/index.mjs";

const schema = `
  CREATE TABLE IF NOT EXISTS products (id INTEGER PRIMARY KEY, name TEXT NOT NULL, price REAL NOT NULL);
  CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, product INTEGER NOT NULL REFERENCES products, amount INTEGER NOT NULL);
  INSERT INTO products (name, price) SELECT column1, column2 FROM (VALUES ('Tea', 4.5), ('Coffee', 6.0), ('Cocoa', 5.25), ('Maté', 7.75))
    WHERE NOT EXISTS (SELECT 1 FROM products);
`;

let loading;
let opened = 0;

/** The creator. */
export async function openConnection() {
  const sqlite3 = await (loading ??= sqlite3InitModule());
  // The name begins with a slash: such a database in memory is common to all handles of this page.
  const database = new sqlite3.oo1.DB({ filename: "/shop", flags: "c", vfs: "memdb" });
  try {
    database.exec(schema);
  } catch (error) {
    database.close();
    throw error;
  }
  return { id: ++opened, database, inTransaction: () => sqlite3.capi.sqlite3_get_autocommit(database.pointer) === 0 };
}

/** Columns and rows of the last statement that had any, and how many rows were changed. */
export function run(connection, sql) {
  const { database } = connection;
  const columns = [];
  const rows = [];
  const before = database.changes(true);
  database.exec({ sql, rowMode: "array", columnNames: columns, resultRows: rows });
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
