// @ts-check
// What the dialects of SQLite promise, whatever the driver: registered once for each by its test file.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { QueuePool } from "edgepool";

/** More rows than any driver fetches in advance. */
const many = 300;
const manyRows =
  `WITH RECURSIVE numbers(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM numbers WHERE id < ${many}) ` +
  "INSERT INTO accounts SELECT id FROM numbers";

export const silent = { debug() {}, info() {}, warn() {}, error() {} };

/** The statements of a driver with the API of better-sqlite3. */
const prepared = {
  count: (database) => database.prepare("SELECT count(*) AS count FROM accounts").get().count,
  /** Reads the first of many rows, and returns what reads the others. */
  begin(database) {
    const rows = database.prepare("SELECT id FROM accounts").iterate();
    rows.next();
    return rows;
  },
  /** Ends each of its statements. */
  finish(database) {
    const rows = database.prepare("SELECT id FROM accounts LIMIT 2");
    assert.equal([...rows.iterate()].length, 2);
    for (const _ of rows.iterate()) break;
  },
};

/**
 * `refused` is what the driver throws for a statement that SQLite refuses, `closed` what it says of a closed database,
 * and `skip` the reason for which there is no driver, or false. `statements`: how it reads.
 */
export function testSqlite({
  dialect,
  open,
  refused,
  closed = /database .*is not open/,
  skip = false,
  statements: { count: countIn, begin: beginIn, finish } = prepared,
}) {
  const folder = mkdtempSync(join(tmpdir(), "edgepool-sqlite-"));
  after(() => rmSync(folder, { recursive: true }));

  /** A pool of one database with a table, every statement that it was sent, and what the pool has to complain of. */
  async function pool(name, options) {
    const statements = [];
    const complaints = [];
    const logger = { ...silent, error: (message) => complaints.push(message) };
    const creator = () => {
      const database = open(join(folder, `${name}.db`));
      const exec = database.exec.bind(database);
      // The dialect runs no statement at all to see whether the database is busy.
      database.exec = (statement) => (statement !== "" && statements.push(statement), exec(statement));
      return database;
    };
    const one = new QueuePool(creator, { dialect, logger, loggingName: name, poolSize: 1, maxOverflow: 0, ...options });
    await one.use((database) => database.exec("CREATE TABLE accounts (id int)"));
    statements.length = 0;
    return {
      one,
      statements,
      complaints,
      count: () => one.use(countIn),
    };
  }

  test("a transaction that was left open is rolled back before the next caller", { skip }, async () => {
    const { one, count, statements } = await pool("left-open");
    await one.use((database) => {
      database.exec("BEGIN");
      database.exec("INSERT INTO accounts VALUES (1)");
    });
    assert.equal(await count(), 0);
    assert.deepEqual(statements, ["BEGIN", "INSERT INTO accounts VALUES (1)", "ROLLBACK"]);
    assert.equal(one.stats().opened, 1);
    await one.close();
  });

  test("a call of a lease that has ended throws, and does not run in the next transaction", { skip }, async () => {
    const { one, count, statements } = await pool("late");
    const late = await one.use((database) => database);
    await one.use((database) => {
      database.exec("BEGIN");
      for (const call of [
        () => late.exec("INSERT INTO accounts VALUES (1)"),
        () => late.prepare("SELECT 1"),
        () => late.close(),
      ])
        assert.throws(call, { code: "ERR_POOL_INVALID_REQUEST" });
      database.exec("COMMIT");
    });
    assert.equal(await count(), 0);
    assert.deepEqual(statements, ["BEGIN", "COMMIT"]);
    await one.close();
  });

  test("a clean database is returned without a statement", { skip }, async () => {
    const { one, count, statements } = await pool("clean");
    await count();
    await one.use((database) => {
      database.exec("BEGIN");
      database.exec("COMMIT");
    });
    assert.deepEqual(statements, ["BEGIN", "COMMIT"]);
    await one.close();
  });

  test(
    'with resetOnReturn "commit" a transaction that was left open is committed, and a clean return is none',
    { skip },
    async () => {
      const { one, count } = await pool("commit", { resetOnReturn: "commit" });
      await one.use((database) => {
        database.exec("BEGIN");
        database.exec("INSERT INTO accounts VALUES (1)");
      });
      assert.equal(await count(), 1);
      assert.equal(one.stats().opened, 1);
      await one.close();
    },
  );

  for (const [where, begin] of Object.entries({
    "outside of a transaction": () => {},
    "in a transaction": (database) => database.exec("BEGIN; INSERT INTO accounts VALUES (9)"),
  })) {
    for (const resetOnReturn of ["rollback", "commit", "none"]) {
      const name = `an iterator left open ${where}, with resetOnReturn "${resetOnReturn}", reaches no later caller`;
      test(name, { skip }, async () => {
        const { one, count, complaints } = await pool(`iterator-${where}-${resetOnReturn}`, { resetOnReturn });
        await one.use((database) => database.exec(manyRows));
        const left = await one.use((database) => {
          begin(database);
          return beginIn(database);
        });
        await one.use((database) => database.exec("INSERT INTO accounts VALUES (3)"));
        assert.equal(await count(), many + 1);
        assert.equal(typeof left, "object");
        assert.equal(one.stats().opened, 2);
        assert.deepEqual(complaints, []);
        await one.close();
        assert.equal(one.stats().total, 0);
      });
    }
  }

  test("an iterator that its caller has read to the end, or returned, costs no connection", { skip }, async () => {
    const { one } = await pool("iterated");
    await one.use((database) => database.exec(manyRows));
    await one.use(finish);
    assert.equal(one.stats().opened, 1);
    await one.close();
  });

  test("useSync() and tryConnect() reset at once, and end what was left open", { skip }, async () => {
    const { one, complaints } = await pool("at-once");
    one.useSync((database) => database.exec(manyRows));
    one.useSync((database) => database.exec("BEGIN; INSERT INTO accounts VALUES (9)"));
    assert.equal(one.useSync(countIn), many);
    assert.equal(one.stats().opened, 1);
    const left = one.useSync(beginIn);
    const lease = one.tryConnect();
    lease?.connection.exec("INSERT INTO accounts VALUES (3)");
    assert.equal(one.tryConnect(), undefined);
    void lease?.close();
    assert.equal(one.useSync(countIn), many + 1);
    assert.equal(typeof left, "object");
    assert.equal(one.stats().opened, 2);
    assert.deepEqual(complaints, []);
    await one.close();
  });

  test("an ordinary error costs no caller a connection", { skip }, async () => {
    const { one, count } = await pool("error");
    await assert.rejects(
      one.use((database) => database.exec("SELECT nonsense")),
      refused,
    );
    assert.equal(await count(), 0);
    assert.equal(one.stats().opened, 1);
    await one.close();
  });

  test("a database that its caller closed is not handed to the next one", { skip }, async () => {
    const { one, count, complaints } = await pool("closed");
    await one.use((database) => void database.close());
    assert.equal(await count(), 0);
    assert.equal(one.stats().opened, 2);
    assert.deepEqual(complaints, ["pool closed: rollback of a connection failed"]);
    await one.close();
  });

  test("a statement on a closed database fails its caller alone", { skip }, async () => {
    const { one, count } = await pool("closed-in-use");
    await assert.rejects(
      one.use((database) => {
        database.close();
        database.prepare("SELECT 1");
      }),
      closed,
    );
    assert.equal(one.stats().invalidated, 1);
    assert.equal(await count(), 0);
    await one.close();
  });

  test("the calls answer at once, and a closed database can be closed again", { skip }, () => {
    const database = open(":memory:");
    assert.equal(dialect.doPing(database), true);
    database.exec("BEGIN");
    assert.equal(dialect.inTransaction(database), true);
    assert.equal(dialect.doRollback(database), undefined);
    assert.equal(dialect.doRollback(database), undefined);
    assert.equal(dialect.doCommit(database), undefined);
    assert.equal(dialect.inTransaction(database), false);
    assert.equal(dialect.doClose(database), undefined);
    assert.equal(dialect.doTerminate(database), undefined);
    assert.equal(dialect.doPing(database), false);
  });
}
