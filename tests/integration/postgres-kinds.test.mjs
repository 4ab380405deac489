// The other kinds of pool on a real server: how many backends each has, and which callers share one.

import assert from "node:assert/strict";
import { test } from "node:test";
import { AssertionError, AssertionPool, NullPool, SingletonThreadPool, StaticPool } from "edgepool";
import { answers, heard, isDriversError, pidOf, until, WatchedPostgres } from "./watched-postgres.mjs";

const server = new WatchedPostgres();

// ---- NullPool

test("a NullPool opens a backend for each use, and has closed it when the use ends", async () => {
  const { pool } = server.pool("null", {}, NullPool);
  const pids = [];
  for (let use = 0; use < 4; use++) {
    pids.push(
      await pool.use(async (client) => {
        assert.equal((await server.backends("null")).length, 1);
        return pidOf(client);
      }),
    );
    assert.deepEqual(await server.backends("null"), []);
  }
  assert.equal(new Set(pids).size, 4);
  assert.equal(pool.stats().opened, 4);
  assert.equal(pool.stats().total, 0);
  await pool.close();
});

test("a NullPool's callers do not wait for one another", async () => {
  const { pool } = server.pool("null-many", {}, NullPool);
  const leases = await Promise.all(Array.from({ length: 20 }, () => pool.connect()));
  assert.equal((await server.backends("null-many")).length, 20);
  await Promise.all(leases.map((lease) => lease.close()));
  assert.deepEqual(await server.backends("null-many"), []);
  await pool.close();
});

// ---- StaticPool

test("a StaticPool has one backend, however many callers ask at once", async () => {
  const { pool } = server.pool("static", {}, StaticPool);
  const pids = await Promise.all(Array.from({ length: 20 }, () => pool.use(pidOf)));
  assert.equal(new Set([...pids, await pool.use(pidOf)]).size, 1);
  assert.equal(pool.stats().opened, 1);
  await server.assertNothingLeaks(pool, "static");
  await pool.close();
  await server.untilBackends("static", 0);
});

test("a StaticPool's backend that is killed while idle is replaced for the next caller", async () => {
  const { pool } = server.pool("static-idle", {}, StaticPool);
  const pid = await pool.use(pidOf);
  const dropped = heard(pool, "invalidate");
  await server.kill(pid);
  await dropped;
  assert.notEqual(await pool.use(pidOf), pid);
  await server.assertNothingLeaks(pool, "static-idle");
  await pool.close();
});

test("a StaticPool's backend that is killed in use fails all that share it, and no caller after them", async () => {
  const { pool } = server.pool("static-in-use", {}, StaticPool);
  const pid = await pool.use(pidOf);
  const sharing = [1, 2, 3].map(() =>
    assert.rejects(
      pool.use((client) => client.query("SELECT pg_sleep(60)")),
      isDriversError,
    ),
  );
  await until(
    async () =>
      (await server.run("SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep'", [pid])).length ===
      1,
    "it sleeps",
  );
  assert.equal((await server.backends("static-in-use")).length, 1);
  await server.kill(pid);
  await Promise.all(sharing);
  assert.notEqual(await pool.use(pidOf), pid);
  await server.assertNothingLeaks(pool, "static-in-use");
  await pool.close();
});

// ---- SingletonThreadPool

test("a SingletonThreadPool nests: the inner use has the outer one's backend and transaction", async () => {
  await server.run("CREATE TABLE nested (id int)");
  const { pool, statements } = server.pool("nested", {}, SingletonThreadPool);
  await pool.use(async (outer) => {
    await outer.query("BEGIN");
    await outer.query("INSERT INTO nested VALUES (1)");
    await pool.use(async (inner) => {
      assert.equal(inner, outer);
      await pool.use((innermost) => innermost.query("INSERT INTO nested VALUES (2)"));
    });
    assert.equal(statements.includes("ROLLBACK"), false);
    assert.equal((await outer.query("SELECT * FROM nested")).rows.length, 2);
  });
  assert.equal(statements.at(-1), "ROLLBACK");
  assert.deepEqual(await server.run("SELECT * FROM nested"), []);
  assert.equal(await pool.use((client) => client.getTransactionStatus()), "I");
  assert.equal(pool.stats().opened, 1);
  await server.assertNothingLeaks(pool, "nested");
  await pool.close();
  await server.untilBackends("nested", 0);
});

test("a SingletonThreadPool pings for the outermost use only", async () => {
  const { pool, statements } = server.pool("nested-pings", { prePing: true }, SingletonThreadPool);
  await pool.use(answers);
  statements.length = 0;
  await pool.use(() => pool.use(() => pool.use(answers)));
  assert.deepEqual(statements, ["SELECT 1", "SELECT 7 AS seven"]);
  await pool.close();
});

// ---- AssertionPool

test("an AssertionPool refuses a second lease and says where the first was taken", async () => {
  const { pool } = server.pool("assertion", {}, AssertionPool);
  await pool.use(async (client) => {
    await client.query("BEGIN");
    await assert.rejects(
      pool.connect(),
      (error) =>
        error instanceof AssertionError &&
        error.code === "ERR_POOL_ASSERTION" &&
        error.message.includes("postgres-kinds.test.mjs"),
    );
    await assert.rejects(pool.use(answers), AssertionError);
    await answers(client);
    assert.equal(client.getTransactionStatus(), "T");
  });
  assert.equal((await server.backends("assertion")).length, 1);
  await pool.use(answers);
  assert.equal(pool.stats().opened, 1);
  await server.assertNothingLeaks(pool, "assertion");
  await pool.close();
});

test("an AssertionPool's next caller waits for the ROLLBACK of the one before", async () => {
  const { pool } = server.pool("assertion-waits", {}, AssertionPool);
  const lease = await pool.connect();
  await lease.connection.query("BEGIN");
  const returned = lease.close();
  assert.equal(await pool.use((client) => client.getTransactionStatus()), "I");
  await returned;
  await pool.close();
});

test("an AssertionPool's backend that is killed in use is replaced for the next caller", async () => {
  const { pool } = server.pool("assertion-killed", {}, AssertionPool);
  await assert.rejects(
    pool.use(async (client) => {
      const killed = assert.rejects(client.query("SELECT pg_sleep(60)"), { code: "57P01" });
      await server.kill(client.processID);
      await killed;
      await client.query("SELECT 1");
    }),
    isDriversError,
  );
  await pool.use(answers);
  await server.assertNothingLeaks(pool, "assertion-killed");
  await pool.close();
});
