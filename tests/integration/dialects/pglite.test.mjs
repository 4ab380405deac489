// The dialect of PGlite, on a real one in this process.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { PGlite } from "@electric-sql/pglite";
import { QueuePool } from "edgepool";
import { pglite } from "edgepool/dialects/pglite";

const folder = mkdtempSync(join(tmpdir(), "edgepool-pglite-"));
const silent = { debug() {}, info() {}, warn() {}, error() {} };
let pool;

before(async () => {
  pool = new QueuePool(() => PGlite.create(folder), { dialect: pglite, logger: silent, poolSize: 1, maxOverflow: 0 });
  await pool.use((database) => database.exec("CREATE TABLE accounts (id int)"));
});

after(async () => {
  await pool.close();
  rmSync(folder, { recursive: true });
});

const count = () =>
  pool.use(async (database) => (await database.query("SELECT count(*)::int AS count FROM accounts")).rows[0].count);

test("a transaction that was left open is rolled back before the next caller", async () => {
  await pool.use(async (database) => {
    await database.exec("BEGIN");
    await database.exec("INSERT INTO accounts VALUES (1)");
  });
  assert.equal(await count(), 0);
});

test("a transaction that failed is rolled back, too", async () => {
  await assert.rejects(
    pool.use(async (database) => {
      await database.exec("BEGIN");
      await database.exec("SELECT 1 / 0");
    }),
    { code: "22012" },
  );
  assert.equal(await count(), 0);
  assert.equal(pool.stats().opened, 1);
});

test('with resetOnReturn "session" nothing of the session reaches the next caller', async () => {
  const options = { dialect: pglite, logger: silent, poolSize: 1, maxOverflow: 0, resetOnReturn: "session" };
  const one = new QueuePool(() => PGlite.create(), options);
  await one.use((database) => database.exec("CREATE ROLE tenant"));
  for (const open of ["", "BEGIN"]) {
    await one.use(async (database) => {
      await database.exec("CREATE TEMP TABLE mine (id int); SET work_mem = '12345kB'; SET ROLE tenant");
      await database.exec(open);
    });
    const { rows } = await one.use((database) =>
      database.query("SELECT current_user, current_setting('work_mem'), to_regclass('pg_temp.mine')"),
    );
    assert.deepEqual(rows, [{ current_user: "postgres", current_setting: "4MB", to_regclass: null }]);
  }
  assert.equal(one.stats().opened, 1);
  await one.close();
});

test("a statement of a lease that has ended is refused, and does not run in the next transaction", async () => {
  const late = await pool.use((database) => database);
  await pool.use(async (database) => {
    await database.exec("BEGIN");
    const calls = [
      () => late.query("INSERT INTO accounts VALUES (2)"),
      () => late.exec("INSERT INTO accounts VALUES (2)"),
      () => late.sql`INSERT INTO accounts VALUES (2)`,
      () => late.transaction((transaction) => transaction.query("INSERT INTO accounts VALUES (2)")),
      () => late.close(),
    ];
    for (const call of calls) await assert.rejects(call(), { code: "ERR_POOL_INVALID_REQUEST" });
    await database.exec("COMMIT");
  });
  assert.equal(await count(), 0);
  assert.equal(await pool.use((database) => database.transaction(() => database.closed)), false);
});

test("a query still under way at the return is rolled back after", async () => {
  let begin;
  const database = await pool.use((used) => {
    begin = used.exec("BEGIN");
    return used;
  });
  await begin;
  assert.equal(database.isInTransaction(), false);
});

test("a database that its caller closed is not handed to the next one, and a ping says that it is gone", async () => {
  const closed = await pool.use(async (database) => {
    assert.equal(await pglite.doPing(database), true);
    await database.close();
    return database;
  });
  assert.equal(await pglite.doPing(closed), false);
  assert.equal(await count(), 0);
});

test("a database that has failed is gone: it reports a PANIC, and its ping misses the row", async () => {
  const database = await pool.use((used) => used);
  for (const [severity, isGone] of Object.entries({ PANIC: true, FATAL: true, ERROR: false }))
    assert.equal(pglite.isDisconnect(Object.assign(new Error("failed"), { severity }), database), isGone);
  for (const answer of [[], [{ rows: [] }]]) assert.equal(await pglite.doPing({ exec: async () => answer }), false);
});

test("a query on a closed database fails its caller alone", async () => {
  const { invalidated } = pool.stats();
  await assert.rejects(
    pool.use(async (database) => {
      await database.close();
      await database.query("SELECT 1");
    }),
    /PGlite is closed/,
  );
  assert.equal(pool.stats().invalidated, invalidated + 1);
  assert.equal(await count(), 0);
});

test("a close that takes longer than driverTimeout keeps the data directory until it has ended", async () => {
  const path = mkdtempSync(join(tmpdir(), "edgepool-pglite-slow-"));
  const opened = [];
  let most = 0;
  const creator = () => {
    opened.push(new PGlite(path));
    most = Math.max(most, opened.filter(({ closed }) => !closed).length);
    return opened.at(-1);
  };
  const times = { timeout: "1s", driverTimeout: "500ms", returnTimeout: "200ms" };
  const slow = new QueuePool(creator, { dialect: pglite, logger: silent, poolSize: 1, maxOverflow: 0, ...times });
  await slow.use((database) => database.exec("CREATE TABLE notes (text text)"));
  let endTransaction;
  const isOver = new Promise((resolve) => (endTransaction = resolve));
  let transaction;
  const start = Date.now();
  await slow.use((database) => {
    transaction = database.transaction(async (work) => {
      await work.query("INSERT INTO notes VALUES ('kept')");
      await isOver;
    });
  });
  assert.ok(Date.now() - start < 450, "the caller does not wait for the transaction");
  await assert.rejects(slow.connect(), { code: "ERR_POOL_TIMEOUT" });
  await assert.rejects(slow.connect(), { code: "ERR_POOL_TIMEOUT" });
  assert.equal(opened.length, 1);
  endTransaction();
  await transaction;
  const { rows } = await slow.use((database) => database.query("SELECT text FROM notes"));
  assert.deepEqual([rows, opened.length, most], [[{ text: "kept" }], 2, 1]);
  await slow.close();
  rmSync(path, { recursive: true });
});

test("a termination waits for the close that its caller has begun", async () => {
  const lease = await pool.connect();
  const { connection } = lease;
  const closing = connection.close();
  await lease.invalidate();
  assert.equal(connection.closed, true);
  await closing;
  await count();
});

test("the next database opens its data directory after the last is closed", async () => {
  const lease = await pool.connect();
  const { connection } = lease;
  await connection.exec("INSERT INTO accounts VALUES (2)");
  await lease.invalidate();
  assert.equal(connection.closed, true);
  assert.equal(await count(), 1);
});

// ---- one data directory

/**
 * Returns a pool on the data directory of this file, whose pool ends, and how many databases it has opened, and at most
 * at once. An opening ends after `ready`.
 */
async function countedPool(options = {}, ready = undefined) {
  await pool.close();
  const opened = [];
  const counts = { opened: 0, most: 0 };
  const creator = async () => {
    opened.push(new PGlite(folder));
    counts.opened = opened.length;
    counts.most = Math.max(counts.most, opened.filter(({ closed }) => !closed).length);
    await ready;
    await opened.at(-1).waitReady;
    return opened.at(-1);
  };
  const counted = new QueuePool(creator, { dialect: pglite, logger: silent, poolSize: 1, maxOverflow: 0, ...options });
  return { counted, counts };
}

const ask = (database) => database.query("SELECT 1");

const replacements = {
  "its age": {
    options: { recycle: 0 },
    replace: (pool) => Promise.all([pool.use(ask), pool.use(ask)]),
  },
  dispose: {
    replace: async (pool) => {
      const lease = await pool.connect();
      const disposed = pool.dispose();
      const next = pool.use(ask);
      await ask(lease.connection);
      await lease.close();
      await Promise.all([disposed, next]);
    },
  },
  "an invalidation beside a waiter": {
    replace: async (pool) => {
      const lease = await pool.connect();
      const next = pool.use(ask);
      await Promise.all([lease.invalidate(), next]);
    },
  },
  "a PANIC beside a waiter": {
    replace: async (pool) => {
      const panic = Object.assign(new Error("could not write"), { severity: "PANIC" });
      const failed = assert.rejects(pool.use(() => Promise.reject(panic)));
      await Promise.all([failed, pool.use(ask)]);
    },
  },
  holdLimit: {
    options: { holdLimit: "20ms", onHoldLimit: "terminate" },
    replace: async (pool) => {
      const lease = await pool.connect();
      await pool.use(ask);
      await lease.close();
    },
  },
};

for (const [what, { options, replace }] of Object.entries(replacements)) {
  test(`no second database is open on a data directory while ${what} replaces the first`, async () => {
    const { counted, counts } = await countedPool(options);
    await replace(counted);
    assert.deepEqual(counts, { opened: 2, most: 1 });
    await counted.close();
  });
}

test("nor after an opening that took longer than openTimeout: its database serves the next caller", async () => {
  let open;
  const { counted, counts } = await countedPool({ openTimeout: "50ms" }, new Promise((resolve) => (open = resolve)));
  await assert.rejects(counted.use(ask), { code: "ERR_POOL_TIMEOUT" });
  const next = counted.use((database) => database.query("SELECT 1 AS one"));
  open();
  assert.deepEqual([(await next).rows, counts], [[{ one: 1 }], { opened: 1, most: 1 }]);
  await counted.close();
});
