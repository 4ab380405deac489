// What the next borrower of a connection finds of the one before: never an open transaction, whatever ended the lease;
// but what the session keeps (settings, temporary tables), unless the reset is one of the session.

import assert from "node:assert/strict";
import { NullPool, onMariadb, StaticPool, unsure } from "../watched-mariadb.mjs";

const one = { poolSize: 1, maxOverflow: 0 };

await onMariadb(
  (mariadb) => {
    const { test, pool: pooled, query, call, core, idOf, answers, isInTransaction } = mariadb;

    const notesOf = (note) => mariadb.run("SELECT text FROM notes WHERE text = ?", [note]);

    /** The next borrower has the same session, outside of any transaction, and sees nothing of the one before. */
    async function assertNextIsClean(pool, id, note) {
      await pool.use(async (connection) => {
        assert.equal(await isInTransaction(connection), false);
        assert.equal(await idOf(connection), id);
      });
      assert.deepEqual(await notesOf(note), []);
    }

    const insert = (connection, note) => query(connection, "INSERT INTO notes VALUES (?)", [note]);

    async function beginWith(connection, note) {
      await query(connection, "BEGIN");
      await insert(connection, note);
    }

    const endings = {
      "was returned in a transaction": async (pool, note) => {
        const lease = await pool.connect();
        await beginWith(lease.connection, note);
        await lease.close();
      },
      "was returned in a transaction of beginTransaction()": async (pool, note) => {
        const lease = await pool.connect();
        await call(lease.connection, "beginTransaction");
        await insert(lease.connection, note);
        await lease.close();
      },
      "was returned in a transaction in which a statement failed": async (pool, note) => {
        const lease = await pool.connect();
        await beginWith(lease.connection, note);
        await assert.rejects(query(lease.connection, "SELECT * FROM nowhere"), { errno: 1146 });
        await lease.close();
      },
      "was returned in a savepoint": async (pool, note) => {
        const lease = await pool.connect();
        await beginWith(lease.connection, note);
        await query(lease.connection, "SAVEPOINT here");
        await lease.close();
      },
      "was returned in a transaction that only reads": async (pool) => {
        const lease = await pool.connect();
        await query(lease.connection, "START TRANSACTION READ ONLY");
        await query(lease.connection, "SELECT * FROM notes");
        await lease.close();
      },
      "was returned in the next transaction of a chain": async (pool, note) => {
        const lease = await pool.connect();
        await beginWith(lease.connection, note);
        await query(lease.connection, "ROLLBACK AND CHAIN");
        await insert(lease.connection, note);
        await lease.close();
      },
      "was returned with an un-awaited BEGIN under way": async (pool) => {
        const lease = await pool.connect();
        const begin = query(lease.connection, "BEGIN");
        await lease.close();
        await begin;
      },
      "was returned with a whole transaction queued": async (pool, note) => {
        const lease = await pool.connect();
        const queued = ["SELECT 1", "BEGIN"].map((text) => query(lease.connection, text));
        queued.push(insert(lease.connection, note));
        await lease.close();
        await Promise.all(queued);
      },
      "called a procedure that begins one": (pool) => pool.use((connection) => query(connection, "CALL begins()")),
      "called a procedure that begins one and fails": (pool) =>
        assert.rejects(
          pool.use((connection) => query(connection, "CALL begins_and_fails()")),
          { errno: 1146 },
        ),
      "ended by an error thrown in use()": async (pool, note) => {
        const error = new Error("the caller's own");
        await assert.rejects(
          pool.use(async (connection) => {
            await beginWith(connection, note);
            throw error;
          }),
          error,
        );
      },
      "ended by an error of the server in use()": async (pool, note) => {
        await assert.rejects(
          pool.use(async (connection) => {
            await beginWith(connection, note);
            await query(connection, "SELECT * FROM nowhere");
          }),
          { errno: 1146 },
        );
      },
      "was aborted in mid-transaction, under a statement": async (pool, note) => {
        const controller = new AbortController();
        const { signal } = controller;
        let sleep;
        await assert.rejects(
          pool.use(
            async (connection) => {
              await beginWith(connection, note);
              sleep = query(connection, "SELECT SLEEP(0.1)");
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
      "was interrupted by the server in mid-transaction": async (pool, note) => {
        await assert.rejects(
          pool.use(async (connection) => {
            await beginWith(connection, note);
            await query(connection, "SET STATEMENT max_statement_time = 0.02 FOR SELECT SLEEP(60)");
          }),
          { errno: 1969 },
        );
      },
    };

    for (const [ending, end] of Object.entries(endings)) {
      for (const resetOnReturn of ["rollback", "session"]) {
        test(`no transaction reaches the next borrower when a lease ${ending}, with a ${resetOnReturn}`, async () => {
          const { pool, swallowed } = pooled("endings", { ...one, resetOnReturn });
          const id = await pool.use(idOf);
          // A caller waits already, so that the connection goes straight on.
          const ended = end(pool, ending);
          const next = assertNextIsClean(pool, id, ending);
          await ended;
          await next;
          await assertNextIsClean(pool, id, ending);
          assert.deepEqual([pool.stats().opened, swallowed], [1, []]);
          await mariadb.assertNothingLeaks(pool, "endings");
          await pool.close();
        });
      }
    }

    test("without autocommit no transaction reaches the next borrower", async () => {
      const { pool } = pooled("autocommit", one);
      await pool.use(async (connection) => {
        await query(connection, "SET autocommit = 0");
        await insert(connection, "autocommit");
      });
      await pool.use(async (connection) => assert.equal(await isInTransaction(connection), false));
      assert.deepEqual(await notesOf("autocommit"), []);
      await pool.close();
    });

    test("a transaction that begins with the end of the one before costs its connection", async () => {
      for (const resetOnReturn of ["rollback", "commit"]) {
        const { pool, swallowed } = pooled("chain", { ...one, resetOnReturn });
        const id = await pool.use(idOf);
        await pool.use(async (connection) => {
          await query(connection, "SET completion_type = CHAIN");
          await query(connection, "BEGIN");
        });
        await pool.use(async (connection) => {
          assert.equal(await isInTransaction(connection), false);
          assert.notEqual(await idOf(connection), id);
        });
        assert.deepEqual(
          swallowed.splice(0).map(({ operation }) => operation),
          ["reset"],
        );
        await pool.close();
      }
    });

    test("an XA transaction costs its connection, and is rolled back", async () => {
      const { pool, swallowed } = pooled("xa", one);
      for (const statements of [[], ["XA END 'a'"]]) {
        const id = await pool.use(idOf);
        await pool.use(async (connection) => {
          await query(connection, "XA START 'a'");
          await insert(connection, "xa");
          for (const text of statements) await query(connection, text);
        });
        assert.notEqual(await pool.use(idOf), id);
        const [{ operation, error }] = swallowed.splice(0);
        assert.deepEqual([operation, error.errno], ["reset", 1399]);
      }
      await mariadb.assertNothingLeaks(pool, "xa");
      assert.deepEqual([await notesOf("xa"), await mariadb.run("XA RECOVER")], [[], []]);
      await pool.close();
    });

    test("a COMMIT still under way at the return is done, and not undone", async () => {
      const { pool } = pooled("committing", one);
      const lease = await pool.connect();
      await beginWith(lease.connection, "committing");
      const commit = query(lease.connection, "COMMIT");
      await lease.close();
      await commit;
      assert.equal((await notesOf("committing")).length, 1);
      await mariadb.run("DELETE FROM notes");
      await pool.use(answers);
      await pool.close();
    });

    test('with resetOnReturn "commit" an open transaction is committed', async () => {
      const { pool } = pooled("commit", { ...one, resetOnReturn: "commit" });
      await pool.use((connection) => beginWith(connection, "commit"));
      await pool.use(async (connection) => assert.equal(await isInTransaction(connection), false));
      assert.equal((await notesOf("commit")).length, 1);
      await mariadb.run("DELETE FROM notes");
      await pool.close();
    });

    test("a detached lease, a NullPool's and a StaticPool's last one roll back, too", async () => {
      const { pool: many } = pooled("detached", one);
      const lease = await many.connect();
      await beginWith(lease.connection, "detached");
      await lease.detach();
      await lease.close();
      await many.close();

      const { pool: none, statements } = pooled("none", {}, NullPool);
      await none.use((connection) => beginWith(connection, "none"));
      assert.equal(statements.at(-1), "ROLLBACK");
      await none.close();

      const { pool: shared } = pooled("shared", {}, StaticPool);
      const first = await shared.connect();
      const second = await shared.connect();
      await beginWith(first.connection, "shared");
      await first.close();
      assert.equal(
        await isInTransaction(second.connection),
        true,
        "another still has the connection and its transaction",
      );
      await second.close();
      assert.equal(await shared.use(isInTransaction), false);
      await shared.close();
      assert.deepEqual(await mariadb.run("SELECT * FROM notes"), []);
    });

    // ---- what a lease that has ended can still do

    test("a statement that is late in Promise.all does not run in the next borrower's transaction", async () => {
      const { pool, statements } = pooled("late", one);
      const refused = [];
      let begun;
      const hasNext = new Promise((resolve) => (begun = resolve));
      await assert.rejects(
        pool.use(async (connection) => {
          await query(connection, "BEGIN");
          const late = hasNext.then(() => insert(connection, "late"));
          refused.push(assert.rejects(late, { code: "ERR_POOL_INVALID_REQUEST" }));
          await Promise.all([query(connection, "SELECT * FROM nowhere"), late]);
        }),
        { errno: 1146 },
      );
      await pool.use(async (connection) => {
        await query(connection, "BEGIN");
        begun();
        await Promise.all(refused);
        await query(connection, "COMMIT");
      });
      assert.deepEqual(await notesOf("late"), []);
      assert.equal(statements.filter((text) => text.startsWith("INSERT")).length, 0);
      await pool.close();
    });

    test("a late call is refused in the manner of its method, and sends nothing", async () => {
      const { pool, statements } = pooled("late calls", one);
      const connection = await pool.use((used) => used);
      statements.length = 0;
      for (const [method, ...given] of [
        ["query", "SELECT 1"],
        ["query", "SELECT ?", [1]],
        ["execute", "SELECT ?", [1]],
        ["beginTransaction"],
        ["commit"],
        ["rollback"],
        ["ping"],
        ["end"],
      ])
        await assert.rejects(call(connection, method, ...given), { code: "ERR_POOL_INVALID_REQUEST" }, method);
      assert.deepEqual(statements, []);
      await pool.use(answers);
      assert.equal(pool.stats().opened, 1);
      await pool.close();
    });

    test("the connection that a caller has is mysql2's in all but its identity", async () => {
      const { pool } = pooled("facade", one);
      const own = await mariadb.open();
      await pool.use(async (connection) => {
        assert.ok(connection instanceof own.constructor);
        assert.equal(connection.threadId, await idOf(connection));
        assert.equal(connection.escape("it's"), "'it\\'s'");
        const [prepared] = await call(connection, "execute", "SELECT ? AS one", [1]);
        assert.equal(Number(prepared.one), 1);
        const rows = [];
        for await (const row of core(connection).query("SELECT seq FROM seq_1_to_3").stream()) rows.push(row.seq);
        assert.deepEqual(rows, [1, 2, 3]);
      });
      await call(own, "end");
      await pool.close();
    });

    // ---- how many statements a return costs

    test("transactionWasReset skips the ROLLBACK that the return would send", async () => {
      const { pool, statements } = pooled("was-reset", { ...one, dialect: unsure });
      const states = [];
      for (const options of [undefined, {}, { transactionWasReset: false }, { transactionWasReset: true }]) {
        const lease = await pool.connect();
        await query(lease.connection, "BEGIN");
        await query(lease.connection, "ROLLBACK");
        statements.length = 0;
        await lease.close(options);
        states.push([...statements]);
      }
      assert.deepEqual(states, [["ROLLBACK"], ["ROLLBACK"], ["ROLLBACK"], []]);
      await pool.close();
    });

    test("a reset listener gets transactionWasReset", async () => {
      const { pool, statements } = pooled("notified", { ...one, dialect: unsure });
      const given = [];
      pool.on("reset", (_connection, _record, { transactionWasReset }) => void given.push(transactionWasReset));
      await (await pool.connect()).close({ transactionWasReset: true });
      await (await pool.connect()).close();
      assert.deepEqual([given, statements], [[true, false], ["ROLLBACK"]]);
      await pool.close();
    });

    // ---- what the session keeps

    /** What the next caller of a connection sees of the caller before. */
    async function remainsOf(connection) {
      const [row] = await query(
        connection,
        `SELECT @left AS variable, @@sql_mode AS mode, @@autocommit AS autocommit, DATABASE() AS name,
        @@tx_isolation AS isolation, @@character_set_client AS charset, @@collation_connection AS collation,
        IS_USED_LOCK('left') AS locked, CURRENT_ROLE() AS role, 'Zürich' AS text`,
      );
      const temporary = await query(connection, "SELECT * FROM mine").then(
        () => true,
        ({ errno }) => errno,
      );
      const prepared = await query(connection, "EXECUTE kept").then(
        () => true,
        ({ errno }) => errno,
      );
      const written = await query(connection, "INSERT INTO cities VALUES ('Zürich')").then(
        () => true,
        ({ errno }) => errno,
      );
      return { ...row, temporary, prepared, written };
    }

    const leaks = {
      "a variable": "SET @left = 1",
      "a setting": "SET sql_mode = ''",
      autocommit: "SET autocommit = 0",
      "an isolation level": "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE",
      "a transaction's access mode": "SET TRANSACTION READ ONLY",
      "a database": "USE attic",
      "a character set": "SET NAMES latin1",
      "a temporary table": "CREATE TEMPORARY TABLE shop.mine (id INT)",
      "a lock": "SELECT GET_LOCK('left', 1)",
      "locked tables": "LOCK TABLES notes READ",
      "a prepared statement": "PREPARE kept FROM 'SELECT 1'",
    };

    for (const [what, statement] of Object.entries(leaks)) {
      for (const [how, last] of [
        ["", "SELECT 1"],
        [" before an open transaction", "BEGIN"],
        [" before a statement that failed", "SELECT * FROM nowhere"],
      ]) {
        test(`with resetOnReturn "session" ${what}${how} does not reach the next borrower`, async () => {
          const { pool, swallowed } = pooled("session-reset", { ...one, resetOnReturn: "session" });
          const id = await pool.use(idOf);
          const fresh = await pool.use(remainsOf);
          await pool.use(async (connection) => {
            await query(connection, statement);
            await query(connection, last).catch(({ errno }) => assert.ok([1100, 1146].includes(errno)));
          });
          assert.deepEqual(await pool.use(remainsOf), fresh);
          assert.equal(await pool.use(idOf), id, "the connection is the same");
          assert.deepEqual(swallowed, []);
          await pool.close();
        });
      }
    }

    test("settings and temporary tables of the session do reach the next borrower without it", async () => {
      const { pool } = pooled("session", one);
      await pool.use(async (connection) => {
        await query(connection, "SET @left = 7");
        await query(connection, "CREATE TEMPORARY TABLE mine (id INT)");
      });
      const { variable, temporary } = await pool.use(remainsOf);
      assert.deepEqual([Number(variable), temporary], [7, true]);
      await pool.close();
    });

    test('with resetOnReturn "session" prepared statements and options of the connection stay', async () => {
      const connection = { charset: "utf8mb4_german2_ci", database: "attic" };
      const { pool, swallowed } = pooled("kept", { ...one, resetOnReturn: "session", connection });
      for (const value of [1, 2, 3]) {
        const [row] = await pool.use((used) =>
          call(used, "execute", "SELECT ? AS value, DATABASE() AS name, @@collation_connection AS collation", [value]),
        );
        assert.deepEqual([Number(row.value), row.name, row.collation], [value, "attic", "utf8mb4_german2_ci"]);
      }
      assert.deepEqual([pool.stats().opened, swallowed], [1, []]);
      await pool.close();
    });

    test('with resetOnReturn "session" a connection of another user is replaced', async () => {
      const { pool } = pooled("changed", { ...one, resetOnReturn: "session" });
      const id = await pool.use(idOf);
      await pool.use((connection) => call(connection, "changeUser", { user: "edgepool", password: "pool" }));
      assert.notEqual(await pool.use(idOf), id);
      await mariadb.assertNothingLeaks(pool, "changed");
      await pool.close();
    });

    test("a reset listener can reset the session, and the next borrower waits for it", async () => {
      const { pool, swallowed } = pooled("discarded", one);
      pool.on("reset", async (connection, _record, { terminateOnly }) => {
        if (!terminateOnly) await call(connection, "reset");
      });
      const id = await pool.use(idOf);
      const lease = await pool.connect();
      await query(lease.connection, "SET @left = 1");
      await beginWith(lease.connection, "discarded");
      const next = pool.use(async (connection) => [
        await isInTransaction(connection),
        (await query(connection, "SELECT @left AS variable"))[0].variable,
        await idOf(connection),
      ]);
      await lease.close();
      assert.deepEqual(await next, [false, null, id]);
      assert.deepEqual([swallowed, await notesOf("discarded")], [[], []]);
      await pool.close();
    });

    test("a reset listener that fails costs the connection, and the next borrower has a clean one", async () => {
      const { pool, swallowed } = pooled("discard-refused", one);
      pool.on("reset", (connection) => query(connection, "SELECT * FROM nowhere"));
      await pool.use((connection) => beginWith(connection, "discard-refused"));
      await pool.use(answers);
      assert.deepEqual(
        swallowed.slice(0, 1).map(({ operation, error }) => [operation, error.errno]),
        [["listener", 1146]],
      );
      assert.deepEqual(await notesOf("discard-refused"), []);
      await mariadb.assertNothingLeaks(pool, "discard-refused");
      await pool.close();
    });

    test("a connection that its caller ended reaches no other caller, whatever is reset", async () => {
      for (const resetOnReturn of ["rollback", "session", "commit", "none"]) {
        for (const method of ["end", "destroy"]) {
          const { pool, swallowed } = pooled("ended", { ...one, resetOnReturn });
          await pool.use((connection) => (method === "end" ? call(connection, method) : void connection.destroy()));
          await pool.use(answers);
          assert.deepEqual([pool.stats().opened, swallowed], [2, []], `${resetOnReturn}, ${method}`);
          await mariadb.assertNothingLeaks(pool, "ended");
          await pool.close();
        }
      }
    });

    test("a hundred tasks with ten transfers each lose no money, and no transaction reaches another task", async () => {
      await mariadb.run("CREATE OR REPLACE TABLE accounts (id INT PRIMARY KEY, balance INT) ENGINE=InnoDB");
      await mariadb.run("INSERT INTO accounts SELECT seq, 1000 FROM seq_0_to_9");
      const { pool } = pooled("transfers", { poolSize: 5, maxOverflow: 10 });
      let most = 0;
      let commits = 0;
      pool.on("checkout", () => void (most = Math.max(most, pool.stats().total)));
      await Promise.all(
        Array.from({ length: 100 }, async (_, task) => {
          for (let round = 0; round < 10; round++) {
            const ids = [(task + round) % 10, (task + 3 * round + 1) % 10].toSorted((a, b) => a - b);
            const failure = new Error("by its caller");
            const transfer = pool.use(async (connection) => {
              assert.equal(await isInTransaction(connection), false);
              await query(connection, "BEGIN");
              await query(connection, "UPDATE accounts SET balance = balance - 1 WHERE id = ?", [ids[0]]);
              // A fifth fails in the middle.
              if (round % 5 === 4) throw failure;
              await query(connection, "UPDATE accounts SET balance = balance + 1 WHERE id = ?", [ids[1]]);
              await query(connection, "COMMIT");
              commits++;
            });
            if (round % 5 === 4) await assert.rejects(transfer, failure);
            else await transfer;
          }
        }),
      );
      assert.equal(commits, 800);
      assert.ok(most <= 15, `${most} connections`);
      assert.deepEqual(await mariadb.run("SELECT CAST(SUM(balance) AS INT) AS sum FROM accounts"), [{ sum: 10_000 }]);
      await mariadb.assertNothingLeaks(pool, "transfers");
      const aborted = async () => Number((await mariadb.run("SHOW GLOBAL STATUS LIKE 'Aborted_clients'"))[0].Value);
      const before = await aborted();
      await pool.close();
      await mariadb.untilSessions("transfers", 0);
      assert.equal(await aborted(), before, "each session was ended politely");
    });
  },
  [
    "CREATE TABLE notes (text VARCHAR(80)) ENGINE=InnoDB",
    "CREATE TABLE cities (name VARCHAR(40)) ENGINE=InnoDB CHARACTER SET utf8mb4",
    "CREATE PROCEDURE begins() BEGIN START TRANSACTION; INSERT INTO notes VALUES ('begins'); END",
    "CREATE PROCEDURE begins_and_fails() BEGIN START TRANSACTION; SELECT * FROM nowhere; END",
  ],
);
