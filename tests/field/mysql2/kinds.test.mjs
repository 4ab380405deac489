// The other kinds of pool on a real server: how many sessions each has, and which callers share one.

import assert from "node:assert/strict";
import {
  AssertionError,
  AssertionPool,
  heard,
  isDriversError,
  isLost,
  NullPool,
  onMariadb,
  SingletonThreadPool,
  StaticPool,
  until,
} from "../watched-mariadb.mjs";

await onMariadb((mariadb) => {
  const { test, pool: pooled, query, idOf, answers, isInTransaction } = mariadb;
  const sleeps = (connection) => query(connection, "SELECT SLEEP(60)");

  // ---- NullPool

  test("a NullPool opens a session for each use, and has closed it when the use ends", async () => {
    const { pool } = pooled("null", {}, NullPool);
    const ids = [];
    for (let use = 0; use < 4; use++) {
      ids.push(
        await pool.use(async (connection) => {
          assert.equal((await mariadb.sessions("null")).length, 1);
          return idOf(connection);
        }),
      );
      await mariadb.untilSessions("null", 0);
    }
    assert.equal(new Set(ids).size, 4);
    assert.deepEqual([pool.stats().opened, pool.stats().total], [4, 0]);
    await pool.close();
  });

  test("a NullPool's callers do not wait for one another", async () => {
    const { pool } = pooled("null-many", {}, NullPool);
    const leases = await Promise.all(Array.from({ length: 20 }, () => pool.connect()));
    assert.equal((await mariadb.sessions("null-many")).length, 20);
    await Promise.all(leases.map((lease) => lease.close()));
    await mariadb.untilSessions("null-many", 0);
    await pool.close();
  });

  // ---- StaticPool

  test("a StaticPool has one session, however many callers ask at once", async () => {
    const { pool } = pooled("static", {}, StaticPool);
    const ids = await Promise.all(Array.from({ length: 20 }, () => pool.use(idOf)));
    assert.equal(new Set([...ids, await pool.use(idOf)]).size, 1);
    assert.equal(pool.stats().opened, 1);
    await mariadb.assertNothingLeaks(pool, "static");
    await pool.close();
    await mariadb.untilSessions("static", 0);
  });

  test("a StaticPool's session that is killed while idle is replaced for the next caller", async () => {
    const { pool } = pooled("static-idle", {}, StaticPool);
    const id = await pool.use(idOf);
    const dropped = heard(pool, "invalidate");
    await mariadb.kill(id);
    await dropped;
    assert.notEqual(await pool.use(idOf), id);
    await mariadb.assertNothingLeaks(pool, "static-idle");
    await pool.close();
  });

  test("a StaticPool's session that is killed in use fails all that share it, and no caller after them", async () => {
    const { pool } = pooled("static-in-use", {}, StaticPool);
    const id = await pool.use(idOf);
    const sharing = [1, 2, 3].map(() => assert.rejects(pool.use(sleeps), isDriversError));
    await until(async () => (await mariadb.sleepers("static-in-use")) === 1, "it sleeps");
    assert.equal((await mariadb.sessions("static-in-use")).length, 1);
    await mariadb.kill(id);
    await Promise.all(sharing);
    assert.notEqual(await pool.use(idOf), id);
    await mariadb.assertNothingLeaks(pool, "static-in-use");
    await pool.close();
  });

  // ---- SingletonThreadPool

  test("a SingletonThreadPool nests: the inner use has the outer one's session and transaction", async () => {
    await mariadb.run("CREATE OR REPLACE TABLE nested (id INT) ENGINE=InnoDB");
    const { pool, statements } = pooled("nested", {}, SingletonThreadPool);
    await pool.use(async (outer) => {
      await query(outer, "BEGIN");
      await query(outer, "INSERT INTO nested VALUES (1)");
      await pool.use(async (inner) => {
        assert.equal(inner, outer);
        await pool.use((innermost) => query(innermost, "INSERT INTO nested VALUES (2)"));
      });
      assert.equal(statements.includes("ROLLBACK"), false);
      assert.equal((await query(outer, "SELECT * FROM nested")).length, 2);
    });
    assert.equal(statements.at(-1), "ROLLBACK");
    assert.deepEqual(await mariadb.run("SELECT * FROM nested"), []);
    assert.equal(await pool.use(isInTransaction), false);
    assert.equal(pool.stats().opened, 1);
    await mariadb.assertNothingLeaks(pool, "nested");
    await pool.close();
    await mariadb.untilSessions("nested", 0);
  });

  test("a SingletonThreadPool pings for the outermost use only", async () => {
    const { pool, statements } = pooled("nested-pings", { prePing: true }, SingletonThreadPool);
    await pool.use(answers);
    statements.length = 0;
    await pool.use(() => pool.use(() => pool.use(answers)));
    assert.deepEqual(statements, ["ping", "SELECT 7 AS seven"]);
    await pool.close();
  });

  // ---- AssertionPool

  test("an AssertionPool refuses a second lease and says where the first was taken", async () => {
    const { pool } = pooled("assertion", {}, AssertionPool);
    await pool.use(async (connection) => {
      await query(connection, "BEGIN");
      await assert.rejects(
        pool.connect(),
        (error) => error instanceof AssertionError && error.message.includes("kinds.test.mjs"),
      );
      await assert.rejects(pool.use(answers), AssertionError);
      await answers(connection);
      assert.equal(await isInTransaction(connection), true);
    });
    assert.equal((await mariadb.sessions("assertion")).length, 1);
    await pool.use(answers);
    assert.equal(pool.stats().opened, 1);
    await mariadb.assertNothingLeaks(pool, "assertion");
    await pool.close();
  });

  test("an AssertionPool's next caller waits for the ROLLBACK of the one before", async () => {
    const { pool } = pooled("assertion-waits", {}, AssertionPool);
    const lease = await pool.connect();
    await query(lease.connection, "BEGIN");
    const returned = lease.close();
    assert.equal(await pool.use(isInTransaction), false);
    await returned;
    await pool.close();
  });

  test("an AssertionPool's session that is killed in use is replaced for the next caller", async () => {
    const { pool } = pooled("assertion-killed", {}, AssertionPool);
    await assert.rejects(
      pool.use(async (connection) => {
        const id = await idOf(connection);
        const killed = assert.rejects(sleeps(connection), isLost);
        await mariadb.kill(id);
        await killed;
        await query(connection, "SELECT 1");
      }),
      isDriversError,
    );
    await pool.use(answers);
    await mariadb.assertNothingLeaks(pool, "assertion-killed");
    await pool.close();
  });
});
