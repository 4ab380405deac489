// The dialect of @sqlite.org/sqlite-wasm, on databases in the memory of the module.

import assert from "node:assert/strict";
import { basename } from "node:path";
import { test } from "node:test";
import sqlite3InitModule from "@sqlite.org/sqlite-wasm";
import { QueuePool } from "edgepool";
import { sqliteWasm } from "edgepool/dialects/sqlite-wasm";
import { silent, testSqlite } from "./sqlite.mjs";

// It prints every error to the console, too.
const { error } = console;
console.error = () => {};
const sqlite3 = await sqlite3InitModule();
console.error = error;
sqlite3.config.error = sqlite3.config.warn = () => {};
const dialect = sqliteWasm(sqlite3);

const statements = {
  count: (database) => database.selectValue("SELECT count(*) FROM accounts"),
  begin(database) {
    const statement = database.prepare("SELECT id FROM accounts");
    statement.step();
    return statement;
  },
  finish(database) {
    const statement = database.prepare("SELECT id FROM accounts LIMIT 2");
    while (statement.step());
    statement.finalize();
    assert.equal(database.selectValues("SELECT id FROM accounts LIMIT 2").length, 2);
    const stopped = database.prepare("SELECT id FROM accounts");
    stopped.step();
    stopped.reset();
  },
};

testSqlite({
  dialect,
  open: (path) => new sqlite3.oo1.DB(path === ":memory:" ? path : `/${basename(path)}`),
  refused: { name: "SQLite3Error", resultCode: 1 },
  closed: /DB has been closed/,
  statements,
});

test("a statement of a database that was replaced cannot go on", async () => {
  const one = new QueuePool(() => new sqlite3.oo1.DB("/replaced.db"), {
    dialect,
    logger: silent,
    poolSize: 1,
    maxOverflow: 0,
  });
  one.useSync((database) => database.exec("CREATE TABLE accounts (id int); INSERT INTO accounts VALUES (1), (2)"));
  const left = one.useSync(statements.begin);
  assert.throws(() => left.step(), /Stmt has been closed/);
  assert.equal(one.stats().invalidated, 1);
  await one.close();
});

test("a lease holder has a database that the functions of the module take", async () => {
  const one = new QueuePool(() => new sqlite3.oo1.DB(), { dialect, logger: silent, poolSize: 1, maxOverflow: 0 });
  one.useSync((database) => {
    assert.ok(database instanceof sqlite3.oo1.DB);
    assert.equal(sqlite3.capi.sqlite3_get_autocommit(database), 1);
  });
  await one.close();
});
