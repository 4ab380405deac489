// What the next borrower of a connection finds of the one before: never an open transaction, whatever ended the lease;
// but what the session keeps (settings, temporary tables), as with SQLAlchemy, unless a reset listener clears it.

import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { NullPool, StaticPool } from "edgepool";
import { pg } from "edgepool/dialects/pg";
import { Client, Query } from "pg";
import { answers, pidOf, unsure, WatchedPostgres } from "./watched-postgres.mjs";

const server = new WatchedPostgres("CREATE TABLE notes (text text); CREATE ROLE tenant");

const one = { poolSize: 1, maxOverflow: 0 };

/** The next borrower has the same backend, outside of any transaction, and sees nothing of the one before. */
async function assertNextIsClean(pool, pid, note) {
  await pool.use(async (client) => {
    assert.equal(client.getTransactionStatus(), "I");
    const { rows } = await client.query(
      `SELECT pg_backend_pid() AS pid, now() = statement_timestamp() AS fresh,
     pg_current_xact_id_if_assigned() AS xact`,
    );
    assert.deepEqual(rows, [{ pid, fresh: true, xact: null }]);
  });
  assert.deepEqual(await server.run("SELECT * FROM notes WHERE text = $1", [note]), []);
}

async function beginWith(client, note) {
  await client.query("BEGIN");
  await client.query("INSERT INTO notes VALUES ($1)", [note]);
}

const endings = {
  "was returned in a transaction": async (pool, note) => {
    const lease = await pool.connect();
    await beginWith(lease.connection, note);
    await lease.close();
  },
  "was returned in a failed transaction": async (pool, note) => {
    const lease = await pool.connect();
    await beginWith(lease.connection, note);
    await assert.rejects(lease.connection.query("SELECT 1 / 0"), { code: "22012" });
    await assert.rejects(lease.connection.query("SELECT 1"), { code: "25P02" });
    await lease.close();
  },
  "was returned in a savepoint": async (pool, note) => {
    const lease = await pool.connect();
    await beginWith(lease.connection, note);
    await lease.connection.query("SAVEPOINT here");
    await lease.close();
  },
  "was returned with an un-awaited BEGIN under way": async (pool) => {
    const lease = await pool.connect();
    const begin = lease.connection.query("BEGIN");
    await lease.close();
    await begin;
  },
  "was returned with a whole transaction queued": async (pool, note) => {
    const lease = await pool.connect();
    const queued = [
      lease.connection.query("SELECT 1"),
      lease.connection.query("BEGIN"),
      lease.connection.query("INSERT INTO notes VALUES ($1)", [note]),
    ];
    await lease.close();
    await Promise.all(queued);
  },
  "ended by an error thrown in use()": async (pool, note) => {
    const error = new Error("the caller's own");
    await assert.rejects(
      pool.use(async (client) => {
        await beginWith(client, note);
        throw error;
      }),
      error,
    );
  },
  "ended by an error of the server in use()": async (pool, note) => {
    await assert.rejects(
      pool.use(async (client) => {
        await beginWith(client, note);
        await client.query("SELECT * FROM no_such_table");
      }),
      { code: "42P01" },
    );
  },
  "was aborted in mid-transaction, under a query": async (pool, note) => {
    const controller = new AbortController();
    const { signal } = controller;
    let sleep;
    await assert.rejects(
      pool.use(
        async (client) => {
          await beginWith(client, note);
          sleep = client.query("SELECT pg_sleep(0.1)");
          const aborted = new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
          controller.abort(new Error("enough"));
          await Promise.race([sleep, aborted]);
        },
        { signal },
      ),
      /enough/,
    );
    await sleep;
  },
  "was canceled by the server in mid-transaction": async (pool, note) => {
    await assert.rejects(
      pool.use(async (client) => {
        await beginWith(client, note);
        await client.query("SET LOCAL statement_timeout = '10ms'");
        await client.query("SELECT pg_sleep(60)");
      }),
      { code: "57014" },
    );
  },
};

const resets = Object.entries(endings).flatMap(([ending, end]) => [
  { ending, end, how: "", options: one },
  { ending, end, how: ", with a session reset", options: { ...one, resetOnReturn: "session" } },
]);

for (const { ending, end, how, options } of resets) {
  test(`no open transaction reaches the next borrower when a lease ${ending}${how}`, async () => {
    const { pool, swallowed } = server.pool(ending, options);
    const pid = await pool.use(pidOf);
    // A caller waits already, so that the connection goes straight on.
    const ended = end(pool, ending);
    const next = assertNextIsClean(pool, pid, ending);
    await ended;
    await next;
    await assertNextIsClean(pool, pid, ending);
    assert.equal(pool.stats().opened, 1);
    assert.deepEqual(swallowed, []);
    await server.assertNothingLeaks(pool, ending);
    await pool.close();
  });
}

test("a COMMIT still under way at the return is done, and not undone", async () => {
  const { pool, statements } = server.pool("committing", one);
  const lease = await pool.connect();
  await beginWith(lease.connection, "committing");
  const commit = lease.connection.query("COMMIT");
  await lease.close();
  await commit;
  assert.equal(statements.at(-1), "ROLLBACK");
  assert.equal((await server.run("SELECT * FROM notes WHERE text = 'committing'")).length, 1);
  await pool.use(answers);
  await pool.close();
});

test('with resetOnReturn "commit" an open transaction is committed, and a failed one ends anyway', async () => {
  const { pool } = server.pool("commit", { ...one, resetOnReturn: "commit" });
  await pool.use((client) => beginWith(client, "commit"));
  assert.equal((await server.run("SELECT * FROM notes WHERE text = 'commit'")).length, 1);
  await assert.rejects(
    pool.use(async (client) => {
      await beginWith(client, "commit-failed");
      await client.query("SELECT 1 / 0");
    }),
    { code: "22012" },
  );
  await assertNextIsClean(pool, await pool.use(pidOf), "commit-failed");
  await pool.close();
});

test("a detached lease, a NullPool's and a StaticPool's last one roll back, too", async () => {
  const { pool: many } = server.pool("detached", one);
  const lease = await many.connect();
  await beginWith(lease.connection, "detached");
  await lease.detach();
  await lease.close();
  await many.close();

  const { pool: none, statements } = server.pool("none", {}, NullPool);
  await none.use((client) => beginWith(client, "none"));
  assert.equal(statements.at(-1), "ROLLBACK");
  await none.close();

  const { pool: shared } = server.pool("shared", {}, StaticPool);
  const first = await shared.connect();
  const second = await shared.connect();
  await beginWith(first.connection, "shared");
  await first.close();
  assert.equal(second.connection.getTransactionStatus(), "T", "another still has the connection, and the transaction");
  await second.close();
  assert.equal(await shared.use((client) => client.getTransactionStatus()), "I");
  await shared.close();
  assert.deepEqual(await server.run("SELECT * FROM notes WHERE text IN ('detached', 'none', 'shared')"), []);
});

// ---- what a lease that has ended can still do

test("a statement that is late in Promise.all does not run in the next borrower's transaction", async () => {
  const { pool, statements } = server.pool("late", one);
  const refused = [];
  let begun;
  const hasNext = new Promise((resolve) => (begun = resolve));
  await assert.rejects(
    pool.use(async (client) => {
      await client.query("BEGIN");
      const late = hasNext.then(() => client.query("INSERT INTO notes VALUES ('late')"));
      refused.push(assert.rejects(late, { code: "ERR_POOL_INVALID_REQUEST" }));
      await Promise.all([client.query("SELECT 1 / 0"), late]);
    }),
    { code: "22012" },
  );
  await pool.use(async (client) => {
    await client.query("BEGIN");
    begun();
    await Promise.all(refused);
    await client.query("COMMIT");
  });
  assert.deepEqual(await server.run("SELECT * FROM notes WHERE text = 'late'"), []);
  assert.equal(statements.filter((text) => text.startsWith("INSERT")).length, 0);
  await pool.close();
});

test("a late statement is refused in the manner of its call: a promise, a callback, a query object", async () => {
  const { pool, statements } = server.pool("late-forms", one);
  const client = await pool.use((used) => used);
  const { code } = await client.query("SELECT 1").catch((error) => error);
  assert.equal(code, "ERR_POOL_INVALID_REQUEST");
  for (const call of [
    (done) => client.query("SELECT 1", done),
    (done) => client.query("SELECT $1", [1], done),
    (done) => client.query({ text: "SELECT 1", callback: done }),
    (done) => client.query({ submit() {}, handleError: done }),
  ]) {
    const error = await new Promise((resolve) => void call(resolve));
    assert.equal(error.code, "ERR_POOL_INVALID_REQUEST");
  }
  const query = { submit() {}, handleError() {} };
  assert.equal(client.query(query), query);
  await assert.rejects(client.end(), { code: "ERR_POOL_INVALID_REQUEST" });
  assert.equal(statements.length, 0);
  await pool.use(answers);
  assert.equal(pool.stats().opened, 1);
  await pool.close();
});

test("the client that a caller has is a pg.Client in all but its identity", async () => {
  const { pool } = server.pool("facade", one);
  const heard = [];
  await pool.use(async (client) => {
    assert.ok(client instanceof Client);
    client.on("notice", ({ message }) => heard.push(message));
    await client.query("DO $$ BEGIN RAISE NOTICE 'one'; END $$");
    const rows = await new Promise((resolve, reject) =>
      client.query("SELECT 1 AS one", (error, result) => (error ? reject(error) : resolve(result.rows))),
    );
    assert.deepEqual(rows, [{ one: 1 }]);
    const submitted = new Query("SELECT 2 AS two");
    assert.equal(client.query(submitted), submitted);
    await once(submitted, "end");
    assert.equal(client.escapeLiteral("it's"), "'it''s'");
    client.removeAllListeners("notice");
  });
  assert.deepEqual(heard, ["one"]);
  await pool.close();
});

// ---- how many statements a return costs

test("before pg 8.21 a clean return sends no ROLLBACK either, and an open transaction is rolled back", async () => {
  const { pool, statements } = server.pool("pg-8.20", {
    ...one,
    prepare: (client) => (client.getTransactionStatus = undefined),
  });
  await pool.use(answers);
  statements.length = 0;
  for (let round = 0; round < 3; round++) await pool.use(answers);
  assert.equal(statements.filter((text) => text === "ROLLBACK").length, 0);
  for (const begin of [
    (client) => client.query("BEGIN"),
    (client) => client.query("BEGIN; SELECT 1 / 0").catch(() => {}),
    (client) => void client.query("BEGIN"),
  ]) {
    statements.length = 0;
    await pool.use(begin);
    assert.equal(statements.at(-1), "ROLLBACK");
  }
  // In the callback of its query pg has not reported the transaction to later listeners.
  const lease = await pool.connect();
  await new Promise((resolve) => lease.connection.query("BEGIN", () => resolve(lease.close())));
  assert.equal(statements.at(-1), "ROLLBACK");
  await pool.close();
});

test("a statement that fails sends a ROLLBACK if it was in a transaction, and none if not", async () => {
  const { pool, statements } = server.pool("failing", one);
  // The server's error and its word about the transaction come one after the other, often not at once.
  for (let time = 0; time < 300; time++) await pool.use((client) => client.query("SELECT 1 / 0")).catch(() => {});
  assert.deepEqual([pool.stats().opened, statements.includes("ROLLBACK")], [1, false]);
  for (let time = 0; time < 300; time++) {
    const failing = pool.use(async (client) => {
      await client.query("BEGIN");
      await client.query("SELECT 1 / 0");
    });
    await assert.rejects(failing, { code: "22012" });
    assert.equal(statements.at(-1), "ROLLBACK");
    await pool.use(answers);
  }
  assert.equal(pool.stats().opened, 1);
  await pool.close();
});

test("transactionWasReset skips the ROLLBACK that the return would send", async () => {
  const { pool, statements } = server.pool("was-reset", { ...one, dialect: unsure });
  const states = [];
  for (const options of [undefined, {}, { transactionWasReset: false }, { transactionWasReset: true }]) {
    const lease = await pool.connect();
    await lease.connection.query("BEGIN");
    await lease.connection.query("ROLLBACK");
    statements.length = 0;
    await lease.close(options);
    states.push([...statements]);
  }
  assert.deepEqual(states, [["ROLLBACK"], ["ROLLBACK"], ["ROLLBACK"], []]);
  await pool.close();
});

test("a reset listener gets transactionWasReset", async () => {
  const { pool, statements } = server.pool("told", { ...one, dialect: unsure });
  const told = [];
  pool.on("reset", (_client, _record, { transactionWasReset }) => void told.push(transactionWasReset));
  await (await pool.connect()).close({ transactionWasReset: true });
  await (await pool.connect()).close();
  assert.deepEqual(told, [true, false]);
  assert.deepEqual(statements, ["ROLLBACK"]);
  await pool.close();
});

// ---- what the session keeps

/** What a borrower can see of the session's state. */
async function sessionOf(client) {
  const { rows } = await client.query(
    "SELECT current_setting('work_mem') AS work_mem, to_regclass('pg_temp.mine') IS NOT NULL AS has_table",
  );
  return rows[0];
}

async function leaveState(client) {
  await client.query("SET work_mem = '12345kB'");
  await client.query("CREATE TEMPORARY TABLE mine (id int)");
}

const left = { work_mem: "12345kB", has_table: true };
const clear = { work_mem: "4MB", has_table: false };

test("settings and temporary tables of the session do reach the next borrower, as SQLAlchemy's do", async () => {
  const { pool } = server.pool("session", one);
  await pool.use(leaveState);
  assert.deepEqual(await pool.use(sessionOf), left);
  await pool.close();
});

test("settings made in a transaction that is rolled back do not", async () => {
  const { pool } = server.pool("session-rolled-back", one);
  await pool.use(async (client) => {
    await client.query("BEGIN");
    await leaveState(client);
    assert.deepEqual(await sessionOf(client), left);
  });
  assert.deepEqual(await pool.use(sessionOf), clear);
  await pool.close();
});

/**
 * DISCARD ALL is refused in a transaction: that has to end first, and then the pool has nothing to roll back any more.
 */
async function discardAll(client, _record, { terminateOnly }) {
  if (terminateOnly) return;
  if (client.getTransactionStatus() !== "I") await client.query("ROLLBACK");
  await client.query("DISCARD ALL");
}

test("a reset listener with DISCARD ALL clears them before the next borrower, which waits for it", async () => {
  const { pool, statements, swallowed } = server.pool("discarded", one);
  pool.on("reset", discardAll);
  const pid = await pool.use(pidOf);
  const lease = await pool.connect();
  await leaveState(lease.connection);
  const next = pool.use(sessionOf);
  await lease.close();
  assert.deepEqual(await next, clear);

  statements.length = 0;
  await pool.use(async (client) => {
    await client.query("BEGIN");
    await client.query("SET work_mem = '12345kB'");
  });
  assert.deepEqual(statements.slice(2), ["ROLLBACK", "DISCARD ALL"], "one ROLLBACK, the listener's");
  assert.deepEqual(await pool.use(sessionOf), clear);
  assert.equal(await pool.use(pidOf), pid);
  assert.deepEqual(swallowed, []);
  await pool.close();
});

// ---- the reset of the whole session

/** What the next caller of a connection sees of the caller before. */
async function remainsOf(client) {
  const { rows } = await client.query(`SELECT current_user AS role, session_user AS session,
    current_setting('work_mem') AS work_mem, current_setting('search_path') AS search_path,
    to_regclass('pg_temp.mine') IS NOT NULL AS has_table,
    (SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) AS locks,
    (SELECT count(*)::int FROM pg_listening_channels()) AS channels,
    (SELECT count(*)::int FROM pg_cursors WHERE is_holdable) AS cursors`);
  return rows[0];
}

const leaks = {
  "a role": "SET ROLE tenant",
  "a session authorization": "SET SESSION AUTHORIZATION tenant",
  settings: "SET work_mem = '12345kB'; SET search_path = nowhere",
  "a temporary table": "CREATE TEMPORARY TABLE mine (id int)",
  "an advisory lock": "SELECT pg_advisory_lock(7)",
  "a LISTEN": "LISTEN news",
  "a cursor WITH HOLD": "DECLARE held CURSOR WITH HOLD FOR SELECT 1",
};

for (const [what, statement] of Object.entries(leaks)) {
  for (const [how, before, after, last] of [
    ["", "SELECT 1", "SELECT 1", "SELECT 1"],
    [" before an open transaction", "SELECT 1", "SELECT 1", "BEGIN"],
    [" before a failed transaction", "SELECT 1", "SELECT 1", "BEGIN; SELECT 1 / 0"],
    [" of a committed transaction", "BEGIN", "COMMIT", "SELECT 1"],
  ]) {
    test(`with resetOnReturn "session" ${what}${how} does not reach the next borrower`, async () => {
      const { pool, statements, swallowed } = server.pool("session-reset", { ...one, resetOnReturn: "session" });
      const pid = await pool.use(pidOf);
      const fresh = await pool.use(remainsOf);
      await pool.use(async (client) => {
        for (const text of [before, statement, after]) await client.query(text);
        assert.notDeepEqual(await remainsOf(client), fresh, "the state is there");
        await client.query(last).catch((error) => assert.equal(error.code, "22012"));
      });
      assert.match(statements.at(-1), last.startsWith("BEGIN") ? /^ROLLBACK; SET SESSION/ : /^SET SESSION/);
      assert.deepEqual(await pool.use(remainsOf), fresh);
      assert.equal(await pool.use(pidOf), pid, "the connection is the same");
      assert.deepEqual(swallowed, []);
      await pool.close();
    });
  }
}

test('with resetOnReturn "session" a named statement and the settings of the creator keep working', async () => {
  const client = { statement_timeout: 12_000, options: "-c work_mem=5MB" };
  const { pool } = server.pool("kept", { ...one, resetOnReturn: "session", client });
  for (const value of [1, 2, 3]) {
    const named = await pool.use((client) =>
      client.query({ name: "one", text: "SELECT $1::int AS value", values: [value] }),
    );
    assert.deepEqual(named.rows, [{ value }]);
    const { rows } = await pool.use((client) =>
      client.query(
        "SELECT current_setting('statement_timeout') AS timeout, current_setting('work_mem') AS work_mem, " +
          "current_setting('application_name') AS name",
      ),
    );
    assert.deepEqual(rows, [{ timeout: "12s", work_mem: "5MB", name: "kept" }]);
  }
  assert.equal(pool.stats().opened, 1);
  await pool.close();
});

test('with resetOnReturn "session" a session that cannot be reset is replaced', async () => {
  const failing = { ...pg, doResetSession: (client) => client.query("RESET ALL; SELECT 1 / 0") };
  const { pool, swallowed } = server.pool("unresettable", { ...one, resetOnReturn: "session", dialect: failing });
  await pool.use((client) => client.query("SET work_mem = '12345kB'"));
  assert.deepEqual(
    swallowed.map(({ operation, error }) => [operation, error.code]),
    [["reset", "22012"]],
  );
  assert.deepEqual(await pool.use(sessionOf), clear);
  await server.assertNothingLeaks(pool, "unresettable");
  await pool.close();
});

test("a reset listener that fails costs the connection, and the next borrower has a clean one", async () => {
  const { pool, swallowed } = server.pool("discard-refused", one);
  pool.on("reset", (client) => client.query("DISCARD ALL"));
  await pool.use(async (client) => {
    await leaveState(client);
    await beginWith(client, "discard-refused");
  });
  assert.deepEqual(
    swallowed.map(({ operation, error }) => [operation, error.code]),
    [["listener", "25001"]],
  );
  assert.deepEqual(await pool.use(sessionOf), clear);
  assert.deepEqual(await server.run("SELECT * FROM notes WHERE text = 'discard-refused'"), []);
  assert.equal(pool.stats().opened, 2);
  await server.assertNothingLeaks(pool, "discard-refused");
  await pool.close();
});
