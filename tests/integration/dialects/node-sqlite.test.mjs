// The dialect of node:sqlite, on real databases.

import assert from "node:assert/strict";
import { test } from "node:test";
import { QueuePool } from "edgepool";
import { nodeSqlite } from "edgepool/dialects/node-sqlite";
import { silent, testSqlite } from "./sqlite.mjs";

const { DatabaseSync } = await import("node:sqlite").catch(() => ({}));
const skip = DatabaseSync === undefined && `node:sqlite needs Node 22.13 or newer, and this is ${process.version}`;

testSqlite({
  dialect: nodeSqlite,
  open: (path) => new DatabaseSync(path),
  refused: { code: "ERR_SQLITE_ERROR" },
  skip,
});

test("where Node does not say whether a transaction is open, every return asks SQLite", { skip }, async () => {
  // As in Node 22.13, before isOpen and isTransaction.
  class OlderDatabase {
    #database = new DatabaseSync(":memory:");
    exec(statement) {
      this.#database.exec(statement);
    }
    close() {
      this.#database.close();
    }
  }
  const one = new QueuePool(() => new OlderDatabase(), {
    dialect: nodeSqlite,
    logger: silent,
    poolSize: 1,
    maxOverflow: 0,
  });
  await one.use((database) => database.exec("SELECT 1"));
  await one.use((database) => database.exec("BEGIN"));
  await one.use((database) => database.exec("BEGIN"));
  assert.equal(one.stats().opened, 1);
  await one.use((database) => database.close());
  await one.use((database) => database.exec("BEGIN"));
  assert.equal(one.stats().opened, 2);
  await one.close();
});
