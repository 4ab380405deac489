// Sessions that the server kills: while they are idle, in use, being opened and on their way back.

import assert from "node:assert/strict";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { deaf, heard, isDriversError, isLost, onMariadb, QueuePool, until } from "../watched-mariadb.mjs";

const one = { poolSize: 1, maxOverflow: 0 };
const three = { poolSize: 3, maxOverflow: 0 };

await onMariadb(
  (mariadb) => {
    const { test, pool: pooled, query, call, core, idOf, answers } = mariadb;
    const sleeps = (connection) => query(connection, "SELECT SLEEP(60)");

    // ---- while idle

    test("sessions that are killed while idle are dropped quietly, and the next callers have live ones", async () => {
      const { pool, swallowed, logged } = pooled("idle", three);
      await pool.warm();
      const killed = await mariadb.sessions("idle");
      const dropped = heard(pool, "invalidate", 3);
      await mariadb.kill(...killed);
      await dropped;
      await until(() => pool.stats().total === 0, "every slot is free");
      assert.equal(pool.stats().invalidated, 3);
      const leases = await Promise.all([pool.connect(), pool.connect(), pool.connect()]);
      for (const { connection } of leases) assert.equal(killed.includes(await idOf(connection)), false);
      await Promise.all(leases.map((lease) => lease.close()));
      assert.deepEqual([swallowed, logged], [[], []]);
      await mariadb.assertNothingLeaks(pool, "idle");
      await pool.close();
    });

    test("one session that is killed while idle costs the others nothing", async () => {
      const { pool } = pooled("one-of-three", three);
      await pool.warm();
      const [killed, ...kept] = await mariadb.sessions("one-of-three");
      const dropped = heard(pool, "invalidate");
      await mariadb.kill(killed);
      await dropped;
      await Promise.all([1, 2, 3].map(() => pool.use(answers)));
      await until(() => pool.stats().opened === 4, "the third is open");
      const now = await mariadb.sessions("one-of-three");
      assert.deepEqual(
        kept.filter((id) => now.includes(id)),
        kept,
      );
      await mariadb.assertNothingLeaks(pool, "one-of-three");
      await pool.close();
    });

    test("a session that was idle for too long is dropped quietly", async () => {
      const prepare = (connection) => query(connection, "SET wait_timeout = 1");
      const { pool, swallowed, logged } = pooled("wait-timeout", { ...one, prepare });
      await pool.warm();
      await heard(pool, "invalidate");
      await pool.use(answers);
      assert.deepEqual([pool.stats().opened, swallowed, logged], [2, [], []]);
      await pool.close();
    });

    test("without the driver's event one ping finds the death, and every connection as old is replaced", async () => {
      const { pool, statements } = pooled("pinged", { ...three, dialect: deaf, prePing: true });
      await pool.warm();
      await mariadb.kill(...(await mariadb.sessions("pinged")));
      const leases = [await pool.connect(), await pool.connect(), await pool.connect()];
      assert.deepEqual(statements, ["ping"]);
      for (const { connection } of leases) await answers(connection);
      await Promise.all(leases.map((lease) => lease.close()));
      assert.deepEqual([pool.stats().invalidated, pool.stats().recycled], [1, 2]);
      await mariadb.assertNothingLeaks(pool, "pinged");
      await pool.close();
    });

    test("callers that ping dead sessions at once are all given live ones", async () => {
      const { pool } = pooled("pinged-at-once", { ...three, dialect: deaf, prePing: true });
      await pool.warm();
      await mariadb.kill(...(await mariadb.sessions("pinged-at-once")));
      await Promise.all([1, 2, 3, 4, 5, 6].map(() => pool.use(answers)));
      await until(() => pool.stats().opened === 6, "all are replaced");
      await mariadb.assertNothingLeaks(pool, "pinged-at-once");
      await pool.close();
    });

    test("without the driver's event, use() fails once, and a ping finds every other death", async () => {
      const { pool, swallowed } = pooled("fails-once", { ...three, dialect: deaf });
      await pool.warm();
      const killed = await mariadb.sessions("fails-once");
      await mariadb.kill(...killed);
      await assert.rejects(pool.use(answers), isDriversError);
      assert.equal(pool.stats().invalidated, 1);
      const leases = [await pool.connect(), await pool.connect(), await pool.connect()];
      for (const { connection } of leases) assert.equal(killed.includes(await idOf(connection)), false);
      await Promise.all(leases.map((lease) => lease.close()));
      const { opened, recycled, invalidated } = pool.stats();
      assert.deepEqual({ opened, recycled, invalidated }, { opened: 6, recycled: 0, invalidated: 3 });
      assert.deepEqual(swallowed, []);
      await mariadb.assertNothingLeaks(pool, "fails-once");
      await pool.close();
    });

    test("without a ping, use() fails once and replaces every connection as old", async () => {
      const { pool } = pooled("replaces-all", { ...three, dialect: { ...deaf, doPing: undefined } });
      await pool.warm();
      await mariadb.kill(...(await mariadb.sessions("replaces-all")));
      await assert.rejects(pool.use(answers), isDriversError);
      await Promise.all([1, 2, 3].map(() => pool.use(answers)));
      const { recycled, invalidated } = pool.stats();
      assert.equal(invalidated, 1);
      assert.ok(recycled > 0);
      await mariadb.assertNothingLeaks(pool, "replaces-all");
      await pool.close();
    });

    // ---- what concerns one connection, or none

    test("the end of one session, and a server that only reads, replace that connection alone", async () => {
      const losses = {
        "idle for too long in a transaction": async (connection) => {
          await query(connection, "SET idle_transaction_timeout = 1");
          await query(connection, "BEGIN");
          await once(core(connection).stream, "close").catch(() => {});
          await answers(connection);
        },
        "it killed itself": async (connection) => query(connection, `KILL ${await idOf(connection)}`),
        "a server that only reads": async (connection) => {
          await mariadb.run("SET GLOBAL read_only = ON");
          await query(connection, "INSERT INTO notes VALUES ('refused')").finally(() =>
            mariadb.run("SET GLOBAL read_only = OFF"),
          );
        },
        "ended by its caller": async (connection) => {
          await call(connection, "end");
          await answers(connection);
        },
      };
      for (const [loss, work] of Object.entries(losses)) {
        const { pool } = pooled("alone", { ...three, driverTimeout: "2s" });
        await pool.warm();
        await assert.rejects(pool.use(work), loss);
        await Promise.all([1, 2, 3].map(() => pool.use((connection) => query(connection, "SELECT SLEEP(0.01)"))));
        await until(() => pool.stats().opened === 4, `${loss}: one is replaced`);
        assert.deepEqual([pool.stats().opened, pool.stats().invalidated], [4, 1], loss);
        await pool.close();
      }
    });

    test("an error that leaves the session alive costs no connection, and its transaction is rolled back", async () => {
      const { pool } = pooled("alive", one);
      const id = await pool.use(idOf);
      const errors = {
        1062: (connection) => query(connection, "INSERT INTO ids VALUES (1), (1)"),
        1064: (connection) => query(connection, "SELEC 1"),
        1317: async (connection) => {
          const killed = sleeps(connection);
          killed.catch(() => {});
          await until(async () => (await mariadb.sleepers("alive")) === 1, "it sleeps");
          await mariadb.run(`KILL QUERY ${id}`);
          await killed;
        },
        1452: (connection) => query(connection, "INSERT INTO children VALUES (77)"),
        1969: async (connection) => {
          await query(connection, "SET max_statement_time = 0.05");
          await sleeps(connection).finally(() => query(connection, "SET max_statement_time = 0"));
        },
        // In MySQL the end of an idle session.
        4031: (connection) =>
          query(connection, "CREATE TRIGGER one BEFORE INSERT ON ids FOR EACH ROW FOLLOWS missing SET NEW.id = 1"),
      };
      for (const [errno, work] of Object.entries(errors)) {
        await assert.rejects(
          pool.use(async (connection) => {
            await query(connection, "BEGIN");
            await query(connection, "INSERT INTO notes VALUES ('alive')");
            await work(connection);
          }),
          { errno: Number(errno) },
        );
        await pool.use(async (connection) => {
          assert.equal(await idOf(connection), id, errno);
          assert.equal(await mariadb.isInTransaction(connection), false, errno);
        });
      }
      // A CREATE commits, even one that fails.
      await mariadb.run("DELETE FROM notes");
      assert.deepEqual([pool.stats().opened, pool.stats().invalidated], [1, 0]);
      await pool.close();
    });

    test("a deadlock costs its victim a transaction, and no connection", async () => {
      const { pool } = pooled("deadlock", { poolSize: 2, maxOverflow: 0 });
      await mariadb.run("CREATE OR REPLACE TABLE locked (id INT PRIMARY KEY, value INT) ENGINE=InnoDB");
      await mariadb.run("INSERT INTO locked VALUES (1, 0), (2, 0)");
      const update = (connection, id) => query(connection, `UPDATE locked SET value = value + 1 WHERE id = ${id}`);
      let both;
      let locks = 0;
      const hasBoth = new Promise((resolve) => (both = resolve));
      const transact = (first, second) =>
        pool.use(async (connection) => {
          await query(connection, "BEGIN");
          await update(connection, first);
          if (++locks === 2) both();
          await hasBoth;
          await update(connection, second);
          await query(connection, "COMMIT");
        });
      const outcomes = await Promise.allSettled([transact(1, 2), transact(2, 1)]);
      const errors = outcomes.flatMap(({ reason }) => (reason === undefined ? [] : [reason.errno]));
      assert.deepEqual(errors, [1213]);
      assert.deepEqual(await mariadb.run("SELECT value FROM locked"), [{ value: 1 }, { value: 1 }]);
      assert.equal(pool.stats().opened, 2);
      await mariadb.assertNothingLeaks(pool, "deadlock");
      await pool.close();
    });

    test("a fatal error of another connection costs nothing", async () => {
      const { pool } = pooled("foreign", { poolSize: 2, maxOverflow: 0 });
      await pool.warm();
      await assert.rejects(
        pool.use(async (connection) => {
          await answers(connection);
          await mariadb.open({ port: 1 });
        }),
        { code: "ECONNREFUSED", fatal: true },
      );
      await Promise.all([1, 2].map(() => pool.use(answers)));
      assert.deepEqual([pool.stats().opened, pool.stats().invalidated], [2, 0]);
      await pool.close();
    });

    // ---- in use

    test("a session that is killed under a statement fails its own caller with the driver's error", async () => {
      const { pool } = pooled("under-a-statement", { poolSize: 2, maxOverflow: 0 });
      const other = await pool.connect();
      const id = await idOf(other.connection);
      const failed = assert.rejects(pool.use(sleeps), isLost);
      await until(async () => (await mariadb.sleepers("under-a-statement")) === 1, "it sleeps");
      const [killed] = (await mariadb.sessions("under-a-statement")).filter((session) => session !== id);
      await mariadb.kill(killed);
      await failed;
      assert.equal(await idOf(other.connection), id);
      await other.close();
      assert.equal(pool.stats().invalidated, 1);
      await pool.use(answers);
      await mariadb.assertNothingLeaks(pool, "under-a-statement");
      await pool.close();
    });

    test("a session that is killed between two statements of a transaction fails the next one", async () => {
      await mariadb.run("CREATE OR REPLACE TABLE between_two (id INT)");
      const { pool, swallowed } = pooled("between-two", one);
      await assert.rejects(
        pool.use(async (connection) => {
          await query(connection, "BEGIN");
          await query(connection, "INSERT INTO between_two VALUES (1)");
          const reported = heard(pool, "error");
          await mariadb.kill(await idOf(connection));
          await reported;
          await query(connection, "COMMIT");
        }),
        isDriversError,
      );
      assert.deepEqual(
        swallowed.map(({ operation }) => operation),
        ["disconnect"],
      );
      assert.deepEqual(await mariadb.run("SELECT * FROM between_two"), []);
      await pool.use(answers);
      assert.equal(pool.stats().opened, 2);
      await mariadb.assertNothingLeaks(pool, "between-two");
      await pool.close();
    });

    test("a lease whose session was killed unnoticed is returned, and the next caller has a live one", async () => {
      const { pool } = pooled("unnoticed", one);
      const lease = await pool.connect();
      const next = pool.connect();
      await query(lease.connection, "BEGIN");
      const reported = heard(pool, "error");
      await mariadb.kill(await idOf(lease.connection));
      await reported;
      await lease.close();
      await answers((await next).connection);
      await (await next).close();
      await mariadb.assertNothingLeaks(pool, "unnoticed");
      await pool.close();
    });

    test("in a transaction and without the driver's event the next caller has a new connection", async () => {
      const { pool } = pooled("unheard", { ...one, dialect: deaf });
      const lease = await pool.connect();
      const next = pool.connect();
      await query(lease.connection, "BEGIN");
      await mariadb.kill(await idOf(lease.connection));
      await lease.close();
      await answers((await next).connection);
      await (await next).close();
      assert.equal(pool.stats().opened, 2);
      await mariadb.assertNothingLeaks(pool, "unheard");
      await pool.close();
    });

    test("a detached connection whose session is killed fails its caller's next statement alone", async () => {
      const { pool, swallowed } = pooled("detached", one);
      const lease = await pool.connect();
      const id = await idOf(lease.connection);
      await lease.detach();
      await mariadb.kill(id);
      await assert.rejects(answers(lease.connection), isDriversError);
      await pool.use(answers);
      await lease.close();
      assert.deepEqual([swallowed, pool.stats().invalidated], [[], 0]);
      await mariadb.assertNothingLeaks(pool, "detached");
      await pool.close();
    });

    /** Kills the sessions of this name as soon as so many of them sleep. */
    async function killSleepers(name, count) {
      await until(async () => (await mariadb.sleepers(name)) === count, `${count} sleep`);
      await mariadb.kill(...(await mariadb.sessions(name)));
    }

    test("waiters are served in their order when the session before them is killed", async () => {
      const { pool } = pooled("queue", one);
      const holder = assert.rejects(pool.use(sleeps), isLost);
      const served = [];
      const waiters = Array.from({ length: 8 }, (_, number) =>
        pool.use(async (connection) => {
          served.push(number);
          await answers(connection);
        }),
      );
      assert.equal(pool.stats().waiting, 8);
      await killSleepers("queue", 1);
      await Promise.all([holder, ...waiters]);
      assert.deepEqual(served, [0, 1, 2, 3, 4, 5, 6, 7]);
      assert.equal(pool.stats().invalidated, 1);
      await mariadb.assertNothingLeaks(pool, "queue");
      await pool.close();
    });

    test("when every session is killed at once, no waiter fails, however many there are", async () => {
      const { pool } = pooled("queue-of-many", { poolSize: 2, maxOverflow: 1 });
      const holders = [1, 2, 3].map(() => assert.rejects(pool.use(sleeps), isLost));
      const waiters = Array.from({ length: 50 }, () => pool.use(answers));
      assert.equal(pool.stats().waiting, 50);
      await killSleepers("queue-of-many", 3);
      await Promise.all([...holders, ...waiters]);
      assert.equal(pool.stats().invalidated, 3);
      await mariadb.assertNothingLeaks(pool, "queue-of-many");
      await pool.close();
    });

    // ---- being opened, and on the way back

    test("a session that has ended before the pool has its connection is replaced for its caller", async () => {
      let opened = 0;
      class Kind extends QueuePool {
        constructor(creator, options) {
          super(async () => {
            const connection = await creator();
            if (++opened > 1) return connection;
            core(connection).on("error", () => {});
            core(connection).stream.destroy();
            await once(core(connection).stream, "close");
            return connection;
          }, options);
        }
      }
      const { pool, logged } = pooled("stillborn", one, Kind);
      await pool.use(answers);
      assert.equal(opened, 2);
      assert.deepEqual(logged, []);
      await mariadb.assertNothingLeaks(pool, "stillborn");
      await pool.close();
    });

    test("a session that is killed under a connect listener fails its caller, and the slot is back", async () => {
      const { pool } = pooled("opening", one);
      pool.on(
        "connect",
        async (connection) => {
          const id = await idOf(connection);
          await Promise.all([sleeps(connection), mariadb.kill(id)]);
        },
        { once: true },
      );
      const failing = pool.use(answers);
      const waiting = pool.use(answers);
      await assert.rejects(failing, isLost);
      await waiting;
      await mariadb.assertNothingLeaks(pool, "opening");
      await pool.close();
    });

    test("a session that is killed under its ROLLBACK costs no caller an error: the pool opens another", async () => {
      const { pool, swallowed } = pooled("on-the-way-back", { ...one, dialect: deaf });
      pool.on("reset", async (connection) => mariadb.kill(core(connection).threadId), { once: true });
      await pool.use((connection) => query(connection, "BEGIN"));
      await pool.use(answers);
      assert.deepEqual(
        swallowed.map(({ operation, error }) => [operation, isDriversError(error)]),
        [["reset", true]],
      );
      await mariadb.assertNothingLeaks(pool, "on-the-way-back");
      await pool.close();
    });

    test("a pool whose sessions were all killed closes in peace", async () => {
      const { pool, swallowed } = pooled("closing", { ...three, dialect: deaf });
      await pool.warm();
      const lease = await pool.connect();
      await mariadb.kill(...(await mariadb.sessions("closing")));
      const closed = pool.close();
      await lease.close();
      await closed;
      assert.deepEqual(
        swallowed.filter(({ error }) => !isDriversError(error)),
        [],
      );
      await mariadb.untilSessions("closing", 0);
    });

    // ---- all at once

    test("twenty tasks under fifty kills lose no money, no slot and no session", async () => {
      await mariadb.run("CREATE OR REPLACE TABLE accounts (id INT PRIMARY KEY, balance INT) ENGINE=InnoDB");
      await mariadb.run("INSERT INTO accounts SELECT seq, 1000 FROM seq_0_to_9");
      const { pool, swallowed } = pooled("storm", { poolSize: 3, maxOverflow: 2, timeout: "20s" });
      let isOver = false;
      let transfers = 0;
      const errors = [];

      async function transfer(from, to) {
        await pool.use(async (connection) => {
          await query(connection, "BEGIN");
          for (const [id, change] of [
            [Math.min(from, to), -1],
            [Math.max(from, to), 1],
          ])
            await query(connection, `UPDATE accounts SET balance = balance + ${change} WHERE id = ${id}`);
          await query(connection, "COMMIT");
        });
        transfers++;
      }

      async function task(number) {
        for (let round = 1; !isOver || round < 20; round++) {
          try {
            await transfer((number + round) % 10, (number + 3 * round + 1) % 10);
          } catch (error) {
            errors.push(error);
            // As callers do; and were every caller refused at once, nothing else would have a turn.
            await delay(1);
          }
        }
      }

      async function assassin() {
        for (let kills = 0; kills < 50; kills++) {
          let ids = [];
          await until(async () => (ids = await mariadb.sessions("storm")).length > 0, "a session");
          // It may have ended since.
          await mariadb.run(`KILL ${ids[kills % ids.length]}`).catch((error) => assert.equal(error.errno, 1094));
        }
      }

      await Promise.all([
        assassin().finally(() => (isOver = true)),
        ...Array.from({ length: 20 }, (_, number) => task(number)),
      ]);
      assert.deepEqual(
        [...errors, ...swallowed.map(({ error }) => error)].filter((error) => !isDriversError(error)),
        [],
      );
      assert.ok(errors.length <= 50, `${errors.length} errors of 50 kills`);
      assert.ok(transfers >= 20 * 19 - 50);
      assert.deepEqual(await mariadb.run("SELECT CAST(SUM(balance) AS INT) AS sum FROM accounts"), [{ sum: 10_000 }]);
      await Promise.all([1, 2, 3, 4, 5].map(() => pool.use(answers)));
      await mariadb.assertNothingLeaks(pool, "storm");
      await pool.close();
      await mariadb.untilSessions("storm", 0);
    });
  },
  [
    "CREATE TABLE notes (text VARCHAR(40)) ENGINE=InnoDB",
    "CREATE TABLE ids (id INT PRIMARY KEY) ENGINE=InnoDB",
    "CREATE TABLE children (parent INT, FOREIGN KEY (parent) REFERENCES ids (id)) ENGINE=InnoDB",
  ],
);
