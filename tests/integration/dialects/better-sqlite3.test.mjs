// The dialect of better-sqlite3, on real databases.

import assert from "node:assert/strict";
import { test } from "node:test";
import { QueuePool } from "edgepool";
import { betterSqlite3 } from "edgepool/dialects/better-sqlite3";
import { silent, testSqlite } from "./sqlite.mjs";

// Loaded into an older Node, its binary ends the process.
const skip =
  parseInt(process.versions.node, 10) < 22 && `better-sqlite3 needs Node 22 or newer, and this is ${process.version}`;
const { default: Database } = skip ? {} : await import("better-sqlite3");

testSqlite({ dialect: betterSqlite3, open: (path) => new Database(path), refused: { code: "SQLITE_ERROR" }, skip });

// Before the first pool: the dialect knows the iterators of later ones.
const early = skip ? undefined : new Database(":memory:");
const rows = early?.prepare("SELECT 1 UNION SELECT 2").iterate();
rows?.next();

test("a database that cannot be closed is replaced, and reported as still open", { skip }, async () => {
  const complaints = [];
  const databases = [early];
  const one = new QueuePool(() => databases.pop() ?? new Database(":memory:"), {
    dialect: betterSqlite3,
    poolSize: 1,
    maxOverflow: 0,
    loggingName: "early",
    logger: { ...silent, error: (message, error) => complaints.push([message, error.message]) },
  });
  one.useSync(() => {});
  assert.deepEqual(complaints, [
    [
      "pool early: terminate of a connection failed",
      "the database stays open, with its read lock, because an iterator of one of its statements is open",
    ],
  ]);
  assert.ok(early.open);
  one.useSync((database) => assert.notEqual(database, early));
  assert.equal(one.stats().opened, 2);
  rows.return();
  early.close();
  await one.close();
});

test("a closed database is not asked whether a transaction is open", () => {
  const closed = {
    open: false,
    get inTransaction() {
      throw new Error("asked");
    },
    exec() {
      throw new TypeError("The database connection is not open");
    },
    close() {},
  };
  assert.equal(betterSqlite3.inTransaction(closed), true);
  assert.throws(() => betterSqlite3.doRollback(closed), TypeError);
});
