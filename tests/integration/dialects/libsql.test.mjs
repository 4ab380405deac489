// The dialect of libsql, on real databases.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { QueuePool } from "edgepool";
import { libsql } from "edgepool/dialects/libsql";
import Database from "libsql";
import { silent, testSqlite } from "./sqlite.mjs";

const folder = mkdtempSync(join(tmpdir(), "edgepool-libsql-"));
after(() => rmSync(folder, { recursive: true }));

testSqlite({ dialect: libsql, open: (path) => new Database(path), refused: { code: "SQLITE_ERROR" } });

/** A pool of one database with three accounts, and what it has to complain of. */
function accounts(name, options) {
  const complaints = [];
  const path = join(folder, `${name}.db`);
  const one = new QueuePool(() => new Database(path), {
    dialect: libsql,
    poolSize: 1,
    maxOverflow: 0,
    loggingName: name,
    logger: { ...silent, error: (message, error) => complaints.push([message, error.message]) },
    ...options,
  });
  one.useSync((database) => database.exec("CREATE TABLE accounts (id int); INSERT INTO accounts VALUES (1), (2), (3)"));
  return { one, complaints, path };
}

test("a database that is closed with a transaction open keeps no lock", async () => {
  const { one, path } = accounts("closed-in-transaction", { resetOnReturn: "none" });
  one.useSync((database) => {
    const statement = database.prepare("INSERT INTO accounts VALUES (?)");
    database.exec("BEGIN IMMEDIATE");
    statement.run(4);
    return statement;
  });
  await one.close();
  const other = new Database(path);
  other.exec("INSERT INTO accounts VALUES (5)");
  assert.equal(other.prepare("SELECT count(*) AS count FROM accounts").get().count, 4);
  other.close();
});

test("run() of a statement that returns rows costs the database, which is reported as still open", async () => {
  const { one, complaints } = accounts("ran");
  const left = one.useSync((database) => {
    const statement = database.prepare("SELECT id FROM accounts");
    statement.run();
    return statement;
  });
  assert.deepEqual(complaints, [
    [
      "pool ran: terminate of a connection failed",
      "the database stays open, with its read lock, until run() of a statement that returns rows is collected",
    ],
  ]);
  assert.equal(
    one.useSync((database) => database.prepare("SELECT count(*) AS count FROM accounts").get().count),
    3,
  );
  assert.equal(one.stats().opened, 2);
  assert.equal(typeof left, "object");
  await one.close();
});

test("all(), get() and run() cost no database", async () => {
  const { one } = accounts("at-rest");
  for (let time = 0; time < 3; time++) {
    one.useSync((database) => {
      assert.equal(database.prepare("SELECT id FROM accounts ORDER BY id").all().length, 3 + time);
      assert.equal(database.prepare("SELECT id FROM accounts ORDER BY id").get().id, 1);
      database.prepare("INSERT INTO accounts VALUES (4)").run();
    });
  }
  assert.equal(one.stats().opened, 1);
  await one.close();
});
