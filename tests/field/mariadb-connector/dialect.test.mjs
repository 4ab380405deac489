// The dialect of the MariaDB connector on a real MariaDB: what a return resets and what it costs, and what callers
// notice of sessions and servers that end.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, afterEach, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { until } from "../../integration/watched-postgres.mjs";
import { startMariadb } from "../mariadb.mjs";
import { layProject } from "../project.mjs";

const server = await startMariadb(["--max-connections=30"]);
const project = layProject("mariadb-connector", join(import.meta.dirname, "app"));
const { drivers, mariadb, NullPool, QueuePool } = await import(pathToFileURL(join(project.folder, "drivers.mjs")).href);

const pools = [];
const unhandled = [];
process.on("unhandledRejection", (error) => void unhandled.push(error));

/** A connection without the pool, to watch the server and to end sessions. */
async function openAdmin() {
  const connection = await drivers.promises.open(server.options);
  connection.on("error", () => {});
  return connection;
}

let admin = server && (await openAdmin());
if (server) {
  await admin.query("CREATE TABLE accounts (id INT PRIMARY KEY, money INT) ENGINE=InnoDB");
  await admin.query("CREATE PROCEDURE begins() BEGIN START TRANSACTION; INSERT INTO accounts VALUES (90, 1); END");
  await admin.query("CREATE PROCEDURE sets() SET TRANSACTION READ ONLY");
  await admin.query(
    "CREATE PROCEDURE fails() BEGIN START TRANSACTION; INSERT INTO accounts VALUES (9,1); SIGNAL SQLSTATE '45000'; END",
  );
}

afterEach(async () => {
  await Promise.all(pools.splice(0).map((pool) => pool.close({ timeout: 0 })));
  assert.deepEqual(unhandled.splice(0), []);
  // Statements of connections that were terminated.
  for (const id of server ? await sessions() : []) await admin.query(`KILL ${id}`).catch(() => {});
  await admin?.query("DELETE FROM accounts");
});
after(async () => {
  await admin?.end();
  await server?.stop();
});

/** A pool of one connection, and what it has to complain of. */
function made(driver, { connection = {}, Kind = QueuePool, ...options } = {}) {
  const complaints = [];
  const note = (message, error) => complaints.push([message, error?.message].join(": "));
  const logger = { debug() {}, info() {}, warn: note, error: note };
  const sizes = Kind === QueuePool ? { poolSize: 1, maxOverflow: 0 } : {};
  const open = () => driver.open({ ...server.options, ...connection });
  const pool = new Kind(open, { dialect: mariadb, logger, driverTimeout: "3s", ...sizes, ...options });
  pools.push(pool);
  return { pool, complaints, query: (...given) => pool.use((used) => driver.query(used, ...given)) };
}

const idOf = async (driver, connection) =>
  Number((await driver.query(connection, "SELECT CONNECTION_ID() AS id"))[0].id);

/** The sessions of the server, but the admin's own. */
async function sessions() {
  const rows = await admin.query(
    "SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND user = ?",
    [server.options.user],
  );
  return rows.map(({ id }) => Number(id));
}

/** How often the server ran this command since the last question. */
async function countOf(name) {
  const [row] = await admin.query("SHOW GLOBAL STATUS LIKE ?", [name]);
  return Number(row.Value);
}

/** Registers a test for each way to use the connector. Without a server there is one line about it, and no test. */
function testEach(name, body) {
  if (server === undefined) return;
  for (const [driver, how] of Object.entries(drivers)) test(`${driver}: ${name}`, () => body(how));
}

testEach("a clean return sends nothing, whatever is reset", async (driver) => {
  for (const resetOnReturn of ["rollback", "commit", "none"]) {
    const { pool, query } = made(driver, { resetOnReturn });
    await pool.warm(1);
    const before = await countOf("Questions");
    for (let time = 0; time < 20; time++) {
      await query("SELECT 1");
      await pool.use(() => {});
      await pool.use(async (connection) => {
        await driver.query(connection, "START TRANSACTION");
        await driver.query(connection, "INSERT INTO accounts VALUES (1, 1)");
        await driver.query(connection, "ROLLBACK");
      });
    }
    // And the question itself.
    assert.equal((await countOf("Questions")) - before, 4 * 20 + 1, resetOnReturn);
    assert.equal(pool.stats().opened, 1);
  }
});

const leaves = {
  "START TRANSACTION": ["START TRANSACTION", "INSERT INTO accounts VALUES (1, 1)"],
  "SET autocommit": ["SET autocommit = 0", "INSERT INTO accounts VALUES (1, 1)"],
  "a procedure that begins": ["CALL begins()"],
  "a procedure that begins and fails": ["CALL fails()"],
  "a statement that fails": ["BEGIN", "INSERT INTO accounts VALUES (1, 1)", "INSERT INTO accounts VALUES (1, 1)"],
  "EXECUTE IMMEDIATE": ["EXECUTE IMMEDIATE 'START TRANSACTION'", "INSERT INTO accounts VALUES (1, 1)"],
  "an XA transaction": ["XA START 'x'", "INSERT INTO accounts VALUES (1, 1)"],
  "a read-only transaction": ["START TRANSACTION READ ONLY", "SELECT * FROM accounts"],
};

testEach("a transaction that was left open never reaches the next caller", async (driver) => {
  for (const isAwaited of [true, false]) {
    for (const [name, statements] of Object.entries(leaves)) {
      const { pool, query } = made(driver);
      await pool.use(async (connection) => {
        for (const statement of statements) {
          const answer = driver.query(connection, statement).catch(() => {});
          if (isAwaited) await answer;
        }
      });
      const [{ open }] = await query("SELECT @@in_transaction AS open");
      assert.equal(Number(open), 0, `${name}, ${isAwaited}`);
      await pool.close();
      assert.equal((await admin.query("SELECT * FROM accounts")).length, 0, `${name}, ${isAwaited}`);
    }
  }
});

const settingNext = [
  ["SET TRANSACTION READ ONLY"],
  ["SET TRANSACTION READ ONLY", "SELECT 1", "SELECT * FROM accounts"],
  ["COMMIT", "SET TRANSACTION READ ONLY"],
  ["SET @@tx_read_only = 1"],
  ["CALL sets()"],
  ["EXECUTE IMMEDIATE 'SET TRANSACTION READ ONLY'"],
  ["PREPARE sets FROM 'CALL sets()'", "EXECUTE sets"],
  ["BEGIN NOT ATOMIC CALL sets(); END"],
  ["/*!50000 CALL sets()*/"],
  ["SET /* why */ TRANSACTION READ ONLY"],
];

testEach("what was set for the next transaction alone does not reach the next caller", async (driver) => {
  for (const resetOnReturn of ["rollback", "commit", "session"]) {
    const { pool, query, complaints } = made(driver, { resetOnReturn });
    for (const isAwaited of [true, false]) {
      for (const statements of settingNext) {
        await pool.use(async (connection) => {
          for (const statement of statements) {
            const answer = driver.query(connection, statement).catch(() => {});
            if (isAwaited) await answer;
          }
        });
        await query("INSERT INTO accounts VALUES (2, 2)");
        await query("DELETE FROM accounts");
      }
    }
    assert.equal(pool.stats().opened, 1, resetOnReturn);
    assert.deepEqual(complaints, []);
  }
});

testEach("only a lease that may have set the next transaction is rolled back for it", async (driver) => {
  const { pool } = made(driver);
  const rollbacksAfter = async (...statements) => {
    const before = await countOf("Com_rollback");
    await pool.use(async (connection) => {
      for (const statement of statements) await driver.query(connection, statement);
    });
    return (await countOf("Com_rollback")) - before;
  };
  assert.equal(await rollbacksAfter("SET TRANSACTION READ ONLY"), 1);
  assert.equal(await rollbacksAfter("CALL sets()", "SELECT 1"), 1);
  assert.equal(await rollbacksAfter("SET TRANSACTION READ ONLY", "BEGIN", "COMMIT"), 0);
  assert.equal(await rollbacksAfter("SET SESSION TRANSACTION READ WRITE"), 0);
  assert.equal(await rollbacksAfter("SELECT 1"), 0);
});

testEach("a connection that its caller has paused is replaced at its return", async (driver) => {
  const { pool, query } = made(driver, { driverTimeout: "1h" });
  await pool.use((connection) => void connection.pause());
  assert.equal((await query("SELECT 1 AS one")).length, 1);
  assert.equal(pool.stats().opened, 2);
});

testEach("a transaction that begins with the end of the one before costs its connection", async (driver) => {
  for (const resetOnReturn of ["rollback", "commit"]) {
    const { pool, query, complaints } = made(driver, { resetOnReturn });
    await pool.use(async (connection) => {
      await driver.query(connection, "SET completion_type = CHAIN");
      await driver.query(connection, "BEGIN");
    });
    const [{ open }] = await query("SELECT @@in_transaction AS open");
    assert.equal(Number(open), 0, resetOnReturn);
    assert.equal(complaints.length, 1);
    assert.equal(pool.stats().opened, 2);
  }
});

testEach("a connection that its caller has paused costs the next one no time", async (driver) => {
  const { pool, query } = made(driver);
  await pool.use(async (connection) => {
    await driver.query(connection, "BEGIN");
    connection.pause();
  });
  const start = performance.now();
  await query("SELECT 1");
  assert.ok(performance.now() - start < 900);
  assert.equal(pool.stats().opened, 2);
});

testEach("a row stream that was left without a listener for its errors ends no process", async (driver) => {
  const failures = [];
  const onFailure = (error) => failures.push(error);
  process.on("uncaughtException", onFailure);
  const { pool, query } = made(driver);
  for (const leave of [() => {}, (stream) => stream.pause(), (stream) => stream.destroy()]) {
    await pool.use(async (connection) => {
      leave(connection.queryStream("SELECT * FROM seq_1_to_100000"));
      await setTimeout(20);
    });
    await query("SELECT 1");
  }
  await setTimeout(20);
  process.off("uncaughtException", onFailure);
  assert.deepEqual(failures, []);
});

testEach("the dialect never calls a session clean that is in a transaction", async (driver) => {
  const statements = [
    ...Object.values(leaves).flatMap((list) => [...list, "XA END 'x'", "XA ROLLBACK 'x'", "ROLLBACK"]),
    "SET autocommit = 1",
    "COMMIT",
    "COMMIT AND CHAIN",
    "ROLLBACK AND CHAIN",
    "ROLLBACK",
    "SELECT nonsense",
    "SELECT 1; START TRANSACTION",
    "SELECT * FROM accounts",
    "CREATE TEMPORARY TABLE t (id INT)",
    "DROP TEMPORARY TABLE t",
    "BEGIN",
    "CREATE TABLE made (id INT)",
    "DROP TABLE made",
    "BEGIN",
    "SAVEPOINT s",
    "ROLLBACK TO s",
    "LOCK TABLES accounts WRITE",
    "UNLOCK TABLES",
    "SELECT * FROM accounts FOR UPDATE",
    "DO SLEEP(0)",
    "SET STATEMENT max_statement_time = 0.01 FOR SELECT SLEEP(1)",
    "BEGIN",
    "SET STATEMENT max_statement_time = 0.01 FOR SELECT SLEEP(1)",
    "BEGIN NOT ATOMIC START TRANSACTION; END",
  ];
  const connection = await driver.open({ ...server.options, multipleStatements: true });
  const unwatch = mariadb.onDisconnect(connection, () => {});
  let careful = 0;
  for (const statement of statements) {
    await driver.query(connection, statement).catch(() => {});
    const said = mariadb.inTransaction(connection);
    const [{ open }] = await driver.query(connection, "SELECT @@in_transaction AS open");
    assert.ok(said || Number(open) === 0, `${statement}: wrongly clean`);
    if (said && Number(open) === 0) careful++;
  }
  // After an error, and inside of an XA transaction.
  assert.ok(careful < 16, `${careful} of ${statements.length} too careful`);
  void driver.query(connection, "DO 1").catch(() => {});
  assert.equal(mariadb.inTransaction(connection), true);
  unwatch();
  mariadb.doTerminate(connection);
});

testEach('with resetOnReturn "commit" a transaction that was left open is committed', async (driver) => {
  const { query, pool } = made(driver, { resetOnReturn: "commit" });
  await pool.use(async (connection) => {
    await driver.query(connection, "BEGIN");
    await driver.query(connection, "INSERT INTO accounts VALUES (1, 1)");
  });
  assert.equal((await query("SELECT * FROM accounts")).length, 1);
  assert.equal(pool.stats().opened, 1);
});

testEach('"session" resets variables, tables, locks, the character set and the database', async (driver) => {
  const { pool, query, complaints } = made(driver, { resetOnReturn: "session" });
  await pool.use(async (connection) => {
    for (const statement of [
      "SET @mine = 1",
      "SET SESSION sql_mode = ''",
      "SET NAMES latin1",
      "CREATE TEMPORARY TABLE t (id INT)",
      "DO GET_LOCK('mine', 0)",
      "USE information_schema",
      "BEGIN",
    ])
      await driver.query(connection, statement);
  });
  const [state] = await query(
    "SELECT @mine AS mine, @@sql_mode <> '' AS mode, DATABASE() AS db, IS_FREE_LOCK('mine') AS isFree, 'Zürich' AS t",
  );
  assert.deepEqual(
    [state.mine, Number(state.mode), state.db, Number(state.isFree), state.t],
    [null, 1, server.options.database, 1, "Zürich"],
  );
  await assert.rejects(query("SELECT * FROM t"), { errno: 1146 });
  assert.equal(pool.stats().opened, 1);
  assert.deepEqual(complaints, []);
});

testEach('"session" restores the collation of the opening after SET NAMES', async (driver) => {
  const names = "SELECT @@character_set_client AS a, @@character_set_results AS b, @@collation_connection AS c";
  for (const connection of [{}, { collation: "utf8mb4_swedish_ci" }, { charset: "latin1" }]) {
    const { pool, query } = made(driver, { connection, resetOnReturn: "session" });
    const [before] = await query(names);
    for (const statement of ["SET NAMES latin2", "SET NAMES utf8mb4 COLLATE utf8mb4_bin", "SET NAMES utf8mb3"]) {
      await query(statement);
      assert.deepEqual((await query(names))[0], before, `${statement}, ${JSON.stringify(connection)}`);
    }
    assert.equal(pool.stats().opened, 1);
  }
});

testEach('"session" replaces a connection that may be another user\'s', async (driver) => {
  const { pool, query } = made(driver, { resetOnReturn: "session" });
  const { user, password, database } = server.options;
  await pool.use((connection) => driver.changeUser(connection, { user, password, database }));
  await query("SELECT 1");
  assert.equal(pool.stats().opened, 2);
});

testEach("an error that the connector calls fatal costs no connection if the session goes on", async (driver) => {
  const { pool, query, complaints } = made(driver);
  await assert.rejects(query("SET STATEMENT max_statement_time = 0.05 FOR SELECT SLEEP(5)"), { errno: 1969 });
  const killed = pool.use(async (connection) => {
    const id = await idOf(driver, connection);
    const sleeping = driver.query(connection, "SELECT SLEEP(5) FROM DUAL WHERE SLEEP(5) = 0");
    sleeping.catch(() => {});
    await until(
      async () =>
        (await admin.query("SELECT 1 FROM information_schema.processlist WHERE id = ? AND info LIKE '%SLEEP%'", [id]))
          .length === 1,
      "it sleeps",
    );
    await admin.query(`KILL QUERY ${id}`);
    return sleeping;
  });
  await assert.rejects(killed, { errno: 1317 });
  await assert.rejects(query("SELECT nonsense"), { errno: 1054 });
  await query("SELECT 1");
  assert.equal(pool.stats().opened, 1);
  assert.deepEqual(complaints, []);
});

testEach("a session that is killed while it is idle is replaced, and no caller notices", async (driver) => {
  const { pool, query } = made(driver, { poolSize: 2 });
  await pool.warm(2);
  for (const id of await sessions()) await admin.query(`KILL ${id}`);
  await until(() => pool.stats().idle === 0, "the deaths are noticed");
  for (let time = 0; time < 4; time++) await query("SELECT 1");
  assert.ok(pool.stats().opened <= 4);
});

testEach("a session that is killed under a statement fails its caller, and the next has another", async (driver) => {
  const { pool, query } = made(driver);
  await assert.rejects(
    pool.use(async (connection) => {
      const id = await idOf(driver, connection);
      const sleeping = driver.query(connection, "SELECT SLEEP(5)");
      sleeping.catch(() => {});
      await admin.query(`KILL ${id}`);
      await sleeping;
    }),
  );
  await query("SELECT 1");
  assert.equal(pool.stats().opened, 2);
});

testEach("a statement under way at the return costs that connection, within returnTimeout", async (driver) => {
  const { pool, query } = made(driver, { returnTimeout: "200ms" });
  const start = performance.now();
  let sleeping;
  await pool.use((connection) => {
    sleeping = driver.query(connection, "SELECT SLEEP(4)").catch((error) => error);
  });
  await query("SELECT 1");
  assert.ok((await sleeping) instanceof Error);
  assert.ok(performance.now() - start < 2_000);
  assert.equal(pool.stats().opened, 2);
});

testEach("a stream that is not read to its end costs that connection at once", async (driver) => {
  const { pool, query, complaints } = made(driver);
  const start = performance.now();
  const stream = await pool.use(async (connection) => {
    const rows = connection.queryStream("SELECT REPEAT('x', 1000) AS text FROM seq_1_to_100000");
    rows.on("error", () => {});
    for await (const _ of rows.iterator({ destroyOnReturn: false })) break;
    return rows;
  });
  await query("SELECT 1");
  assert.ok(performance.now() - start < 900);
  assert.equal(pool.stats().opened, 2);
  assert.deepEqual(complaints, []);
  stream.destroy();
});

testEach("a connection that its caller has ended costs no later caller anything", async (driver) => {
  for (const resetOnReturn of ["rollback", "none"]) {
    const { pool, query, complaints } = made(driver, { resetOnReturn });
    for (const end of [
      (connection) => driver.end(connection),
      (connection) => void driver.end(connection),
      (connection) => connection.destroy(),
      (connection) => connection.close(),
    ]) {
      await pool.use(async (connection) => void (await end(connection)));
      await query("SELECT 1");
    }
    assert.equal(pool.stats().opened, 5);
    assert.deepEqual(complaints, []);
  }
});

testEach("a call of a lease that has ended is refused", async (driver) => {
  const { pool, query } = made(driver);
  const late = await pool.use((connection) => connection);
  const code = "ERR_POOL_INVALID_REQUEST";
  await assert.rejects(driver.query(late, "INSERT INTO accounts VALUES (1, 1)"), { code });
  assert.throws(() => late.queryStream("SELECT 1"), { code });
  assert.throws(() => late.destroy(), { code });
  assert.equal((await query("SELECT * FROM accounts")).length, 0);
});

testEach("close() says goodbye: no session is left, and no client is aborted", async (driver) => {
  const { pool } = made(driver, { poolSize: 3 });
  const { query } = made(driver, { Kind: NullPool });
  await pool.warm(3);
  assert.equal((await sessions()).length, 3);
  const before = await countOf("Aborted_clients");
  await query("SELECT 1");
  await pool.close();
  await until(async () => (await sessions()).length === 0, "no session is left");
  assert.equal(await countOf("Aborted_clients"), before);
});

testEach("a termination opens no other connection, and settles what is under way", async (driver) => {
  const { pool } = made(driver);
  const before = await countOf("Connections");
  const sleeping = pool.use((connection) => driver.query(connection, "SELECT SLEEP(4)")).catch((error) => error);
  await until(
    async () =>
      (await admin.query("SELECT 1 FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP%'")).length === 1,
    "it sleeps",
  );
  await pool.close({ timeout: 0 });
  assert.ok((await sleeping) instanceof Error);
  assert.equal((await countOf("Connections")) - before, 1);
});

testEach("callers go on after a restart of the server", async (driver) => {
  for (const signal of ["SIGTERM", "SIGKILL"]) {
    const { pool, query } = made(driver, { poolSize: 4, openRetry: true, deadline: "20s" });
    await Promise.all(Array.from({ length: 8 }, () => query("SELECT 1")));
    let isOver = false;
    const load = Array.from({ length: 8 }, async () => {
      while (!isOver) {
        await query("SELECT 1").catch(() => {});
        await new Promise(setImmediate);
      }
    });
    await server.restart(signal);
    admin = await openAdmin();
    isOver = true;
    await Promise.all(load);
    for (let time = 0; time < 8; time++) await query("SELECT 1");
    await pool.close();
    await until(async () => (await sessions()).length === 0, "no session is left");
  }
});

testEach("a connection that is closed, and what is none, are refused by name", async (driver) => {
  const connection = await driver.open(server.options);
  assert.equal(mariadb.doCheck(connection), undefined);
  await driver.end(connection);
  const pool = new QueuePool(() => connection, { dialect: mariadb });
  pools.push(pool);
  await assert.rejects(pool.connect(), {
    name: "TypeError",
    message: 'dialect "mariadb" was given a Connection that is not connected; the creator must wait for connect()',
  });
  assert.throws(() => mariadb.doCheck({}), /an object without rollback\(\)/);
});

testEach("prePing finds a session that was killed a moment ago", async (driver) => {
  const { pool, query } = made(driver, { prePing: true });
  const id = await pool.use((connection) => idOf(driver, connection));
  await admin.query(`KILL ${id}`);
  await query("SELECT 1");
  await query("SELECT 1");
  assert.equal(pool.stats().opened, 2);
});
