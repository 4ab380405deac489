// A connection that comes back while it is at work: neither the caller nor the slot waits for the statement. It costs
// that connection alone.

import assert from "node:assert/strict";
import { onMariadb, until } from "../watched-mariadb.mjs";

const one = { poolSize: 1, maxOverflow: 0 };

await onMariadb(
  (mariadb) => {
    const { test, pool: pooled, query, call, core, idOf, answers } = mariadb;

    /** Ends what the server still runs of a pool: a destroyed socket does not end a statement. */
    async function endSleepers(name) {
      for (const id of await mariadb.sessions(name)) await mariadb.run(`KILL ${id}`).catch(() => {});
      await mariadb.untilSessions(name, 0);
    }

    for (const [what, method, statement] of [
      ["a statement", "query", { sql: "SELECT SLEEP(20)", timeout: 100 }],
      ["a statement with parameters", "query", { sql: "SELECT SLEEP(?)", values: [20], timeout: 100 }],
      ["a prepared statement", "execute", { sql: "SELECT SLEEP(?)", values: [20], timeout: 100 }],
      ["a statement in a transaction", "query", { sql: "SELECT SLEEP(20)", timeout: 100, begins: true }],
    ]) {
      test(`${what} that times out at the client costs its connection alone, at once`, async () => {
        const name = `timed-out ${what}`;
        const { pool, swallowed } = pooled(name, { poolSize: 2, maxOverflow: 0 });
        const other = await pool.connect();
        const kept = await idOf(other.connection);
        const start = Date.now();
        await assert.rejects(
          pool.use(async (connection) => {
            if (statement.begins) await query(connection, "BEGIN");
            if (statement.begins) await query(connection, "INSERT INTO notes VALUES ('timed out')");
            await call(connection, method, { ...statement });
          }),
          { code: "PROTOCOL_SEQUENCE_TIMEOUT" },
        );
        assert.ok(Date.now() - start < 500, `after ${Date.now() - start} ms`);
        await other.close();
        await pool.use(answers);
        assert.ok(Date.now() - start < 1_000, `after ${Date.now() - start} ms`);
        assert.equal(await pool.use(idOf), kept);
        assert.deepEqual([pool.stats().invalidated, pool.stats().used, swallowed], [1, 0, []]);
        await pool.close();
        await endSleepers(name);
        assert.deepEqual(await mariadb.run("SELECT * FROM notes"), []);
      });
    }

    test("twenty statements that time out hold up no other caller", async () => {
      const { pool } = pooled("many timed out", { poolSize: 2, maxOverflow: 0 });
      const start = Date.now();
      await Promise.all(
        Array.from({ length: 20 }, () =>
          assert.rejects(
            pool.use((connection) => query(connection, { sql: "SELECT SLEEP(20)", timeout: 50 })),
            { code: "PROTOCOL_SEQUENCE_TIMEOUT" },
          ),
        ),
      );
      await pool.use(answers);
      assert.ok(Date.now() - start < 4_000, `after ${Date.now() - start} ms`);
      assert.equal(pool.stats().invalidated, 20);
      await pool.close();
      await endSleepers("many timed out");
    });

    test("a statement that was not awaited holds its caller for no time, and the slot for returnTimeout", async () => {
      const { pool } = pooled("not awaited", { ...one, returnTimeout: "200ms" });
      const start = Date.now();
      let statement;
      await pool.use((connection) => {
        statement = assert.rejects(query(connection, "SELECT SLEEP(20)"), { code: "PROTOCOL_CONNECTION_LOST" });
      });
      assert.ok(Date.now() - start < 150, `after ${Date.now() - start} ms`);
      await pool.use(answers);
      assert.ok(Date.now() - start < 2_000, `after ${Date.now() - start} ms`);
      await statement;
      assert.deepEqual([pool.stats().opened, pool.stats().invalidated], [2, 1]);
      await pool.close();
      await endSleepers("not awaited");
    });

    test("a statement that was not awaited and ends in time costs no connection; its transaction ends", async () => {
      const { pool, swallowed } = pooled("in time", one);
      const left = [];
      await pool.use((connection) => {
        for (const text of ["BEGIN", "INSERT INTO notes VALUES ('in time')", "SELECT SLEEP(0.05)"])
          left.push(query(connection, text));
      });
      await pool.use(async (connection) => assert.equal(await mariadb.isInTransaction(connection), false));
      await Promise.all(left);
      assert.deepEqual([pool.stats().opened, swallowed], [1, []]);
      assert.deepEqual(await mariadb.run("SELECT * FROM notes"), []);
      await pool.close();
    });

    test("a statement that fails beside another one reaches its caller at once", async () => {
      const { pool } = pooled("beside", { ...one, returnTimeout: "200ms" });
      const start = Date.now();
      await assert.rejects(
        pool.use((connection) =>
          Promise.all([query(connection, "SELECT * FROM nowhere"), query(connection, "SELECT SLEEP(20)")]),
        ),
        { errno: 1146 },
      );
      assert.ok(Date.now() - start < 1_000, `after ${Date.now() - start} ms`);
      await pool.use(answers);
      await pool.close();
      await endSleepers("beside");
    });

    test("an error of the server in a prepared statement costs no connection", async () => {
      const { pool, swallowed } = pooled("failed", one);
      for (let time = 0; time < 10; time++)
        await assert.rejects(
          pool.use((connection) => call(connection, "execute", "INSERT INTO notes VALUES (REPEAT(?, 99))", ["x"])),
          { errno: 1406 },
        );
      await until(() => pool.stats().idle === 1, "it is back");
      assert.deepEqual([pool.stats().opened, swallowed], [1, []]);
      await pool.close();
    });

    test("the transaction of a caller that close() refuses is rolled back", async () => {
      const { pool } = pooled("closing", one);
      const refused = assert.rejects(
        pool.use(async (connection) => {
          await query(connection, "BEGIN");
          await query(connection, "INSERT INTO notes VALUES ('closed')");
          await query(connection, "SELECT SLEEP(0.5)");
          await query(connection, "COMMIT");
        }),
      );
      await until(async () => (await mariadb.sleepers("closing")) === 1, "the statement");
      await pool.close({ timeout: "50ms" });
      await refused;
      await mariadb.untilSessions("closing", 0);
      assert.deepEqual(await mariadb.run("SELECT * FROM notes"), []);
    });

    for (const resetOnReturn of ["rollback", "session", "none"]) {
      test(`a paused connection, with resetOnReturn "${resetOnReturn}", is replaced at once`, async () => {
        const { pool } = pooled(`paused ${resetOnReturn}`, { ...one, resetOnReturn, driverTimeout: "1h" });
        await pool.use((connection) => void core(connection).pause());
        await pool.use(answers);
        assert.deepEqual([pool.stats().opened, pool.stats().invalidated], [2, 1]);
        await pool.close();
      });

      test(`a half-read row stream, with resetOnReturn "${resetOnReturn}", costs its connection at once`, async () => {
        const name = `half read ${resetOnReturn}`;
        const { pool, swallowed } = pooled(name, { ...one, resetOnReturn });
        const start = Date.now();
        let rows;
        await pool.use(async (connection) => {
          rows = core(connection).query("SELECT seq, REPEAT('x', 1000) FROM seq_1_to_100000").stream();
          // Its reader is slow.
          await until(() => core(connection)._paused, "the stream waits for its reader");
        });
        rows.on("error", () => {}).resume();
        await pool.use(answers);
        assert.ok(Date.now() - start < 1_000, `after ${Date.now() - start} ms`);
        assert.deepEqual([pool.stats().opened, pool.stats().invalidated, swallowed], [2, 1, []]);
        await mariadb.assertNothingLeaks(pool, name);
        await pool.close();
      });
    }

    test("a row stream whose reader stops early is read to its end, and costs no connection", async () => {
      const { pool } = pooled("stopped", one);
      await pool.use(async (connection) => {
        for await (const _row of core(connection).query("SELECT seq FROM seq_1_to_10000").stream()) break;
      });
      await pool.use(answers);
      assert.equal(pool.stats().opened, 1);
      await pool.close();
    });

    test("a busy connection is seen at rest by a ping, if nothing is to be reset", async () => {
      const { pool, statements } = pooled("at rest", { ...one, resetOnReturn: "none" });
      const left = [];
      await pool.use((connection) => {
        for (let number = 0; number < 3; number++) left.push(query(connection, "SELECT SLEEP(0.05)"));
      });
      await pool.use(answers);
      await Promise.all(left);
      assert.equal(statements[3], "ping");
      assert.equal(pool.stats().opened, 1);
      await pool.close();
    });
  },
  ["CREATE TABLE notes (text VARCHAR(40)) ENGINE=InnoDB"],
);
