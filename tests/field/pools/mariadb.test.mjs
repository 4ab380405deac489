// edgepool/mysql2 on a real MariaDB: what its users do, and what goes wrong on real servers.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, afterEach, test } from "node:test";
import { pathToFileURL } from "node:url";
import { until } from "../../integration/watched-postgres.mjs";
import { startMariadb } from "../mariadb.mjs";
import { layProject } from "../project.mjs";

const server = await startMariadb();
const project = layProject("pools", join(import.meta.dirname, "app"));
const { createPool, createPromisePool, drizzleSql, kyselySql, mysql, openDrizzle, openKnex, openKysely } = await import(
  pathToFileURL(join(project.folder, "mysql.mjs")).href
);
const pools = [];
const silent = { debug() {}, info() {}, warn() {}, error() {} };

function made(options = {}) {
  const pool = createPool({ ...server.options, connectionLimit: 5, edgepool: { logger: silent }, ...options });
  pools.push(pool);
  return pool;
}

/** A pool without edgepool, to watch the server and to end sessions. */
const admin = server && mysql.createPool({ ...server.options, connectionLimit: 1 }).promise();
const idOf = async (connection) => (await connection.query("SELECT CONNECTION_ID() AS id"))[0][0].id;

/** The sessions of the server, but the admin's own. */
async function sessions() {
  const [rows] = await admin.query(
    "SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND user = ?",
    [server.options.user],
  );
  return rows.map(({ id }) => id);
}

afterEach(() => Promise.all(pools.splice(0).map((pool) => pool.queuePool.close({ timeout: 0 }))));
after(async () => {
  await admin?.end();
  await server?.stop();
});

/** Without a server there is one line about it, and no test. */
const testOn = server === undefined ? () => {} : test;

testOn("callbacks and promises query, execute and stream, and every connection comes back", async () => {
  const pool = made();
  const promised = pool.promise();
  await promised.query("CREATE OR REPLACE TABLE things (id INT PRIMARY KEY, name VARCHAR(20)) ENGINE=InnoDB");
  await promised.execute("INSERT INTO things VALUES (?, ?), (?, ?)", [1, "Ada", 2, "Grace"]);
  const [rows] = await promised.execute("SELECT name FROM things WHERE id = ?", [2]);
  assert.deepEqual(rows, [{ name: "Grace" }]);
  const streamed = [];
  for await (const row of pool.query("SELECT id FROM things ORDER BY id").stream()) streamed.push(row.id);
  assert.deepEqual(streamed, [1, 2]);
  const [error, found] = await new Promise((resolve) =>
    pool.query({ sql: "SELECT id FROM things", rowsAsArray: true }, (...given) => resolve(given)),
  );
  assert.deepEqual([error, found.length], [null, 2]);
  await until(() => pool.queuePool.stats().used === 0, "all are back");
});

testOn("50 transactions over 5 connections: those that throw are rolled back", async () => {
  const pool = made();
  const promised = pool.promise();
  await promised.query("CREATE OR REPLACE TABLE booked (id INT) ENGINE=InnoDB");
  await Promise.all(
    Array.from({ length: 50 }, async (_, id) => {
      const connection = await promised.getConnection();
      await connection.beginTransaction();
      await connection.query("INSERT INTO booked VALUES (?)", [id]);
      // Half of them are left open, as a holder that threw leaves them.
      if (id % 2 === 0) await connection.commit();
      connection.release();
    }),
  );
  await until(() => pool.queuePool.stats().used === 0, "all are back");
  assert.equal((await promised.query("SELECT COUNT(*) AS n FROM booked"))[0][0].n, 25);
  assert.equal(pool.queuePool.stats().total, 5);
});

testOn("resetOnRelease leaves nothing of a session: variables, temporary tables, locks, settings", async () => {
  const pool = made({ connectionLimit: 1, resetOnRelease: true });
  const connection = await pool.promise().getConnection();
  const id = await idOf(connection);
  await connection.query("SET @left = 1, SESSION sql_mode = ''");
  await connection.query("CREATE TEMPORARY TABLE left_over (id INT)");
  await connection.query("SELECT GET_LOCK('left', 1)");
  connection.release();
  const next = await pool.promise().getConnection();
  assert.equal(await idOf(next), id);
  const [[row]] = await next.query("SELECT @left AS variable, @@sql_mode AS mode, IS_FREE_LOCK('left') AS isFree");
  assert.deepEqual([row.variable, row.mode === "", Number(row.isFree)], [null, false, 1]);
  await assert.rejects(next.query("SELECT * FROM left_over"), { errno: 1146 });
  next.release();
});

testOn("a session that is killed in use costs its statement, and one that is killed idle costs nothing", async () => {
  const pool = made();
  const promised = pool.promise();
  const connection = await promised.getConnection();
  const id = await idOf(connection);
  const lost = assert.rejects(connection.query("SELECT SLEEP(30)"));
  await admin.query(`KILL ${id}`);
  await lost;
  await until(() => pool.queuePool.stats().used === 0, "its slot is free");
  connection.release();
  const many = await Promise.all(Array.from({ length: 5 }, () => promised.getConnection()));
  const ids = await Promise.all(many.map(idOf));
  for (const lent of many) lent.release();
  await until(() => pool.queuePool.stats().idle === 5, "five are idle");
  for (const each of ids) await admin.query(`KILL ${each}`);
  await until(() => pool.queuePool.stats().total === 0, "the pool knows");
  const answers = await Promise.all(Array.from({ length: 10 }, () => promised.query("SELECT 1 AS one")));
  assert.equal(answers.length, 10);
});

testOn("a restart of the server costs the statements under way, and the pool goes on", async () => {
  const pool = made();
  const promised = pool.promise();
  await Promise.all(Array.from({ length: 5 }, () => promised.query("SELECT 1")));
  await server.restart();
  await until(
    async () =>
      promised.query("SELECT 1").then(
        () => true,
        () => false,
      ),
    "it answers again",
  );
  assert.equal((await sessions()).length, pool.queuePool.stats().total);
});

testOn("a wrong password and a wrong port are the driver's own errors, at once", async () => {
  const refused = made({ password: "wrong" });
  await assert.rejects(refused.promise().query("SELECT 1"), { errno: 1045 });
  const unreachable = made({ port: 1 });
  await assert.rejects(unreachable.promise().getConnection(), { code: "ECONNREFUSED" });
  assert.equal(refused.queuePool.stats().total + unreachable.queuePool.stats().total, 0);
});

testOn("end() lets the holders finish, and leaves no session", async () => {
  const before = await sessions();
  const pool = createPromisePool({ ...server.options, connectionLimit: 3 });
  const connection = await pool.getConnection();
  const ended = pool.end();
  assert.equal((await connection.query("SELECT 1 AS one"))[0][0].one, 1);
  connection.release();
  await ended;
  await until(async () => (await sessions()).length <= before.length, "no session is left");
});

testOn("Kysely, Drizzle and Knex run transactions on the pool, and give every connection back", async () => {
  const pool = made();
  await pool.promise().query("CREATE OR REPLACE TABLE builders (id INT, name VARCHAR(20)) ENGINE=InnoDB");
  const kysely = openKysely(pool);
  await kysely
    .transaction()
    .execute((transaction) => kyselySql`INSERT INTO builders VALUES (1, 'kysely')`.execute(transaction));
  const drizzle = openDrizzle(pool);
  await drizzle.transaction((transaction) =>
    transaction.execute(drizzleSql`INSERT INTO builders VALUES (2, 'drizzle')`),
  );
  const knex = openKnex(pool);
  await knex.transaction((transaction) => transaction("builders").insert({ id: 3, name: "knex" }));
  const back = new Error("back");
  const attempts = [
    kysely.transaction().execute(async (transaction) => {
      await kyselySql`INSERT INTO builders VALUES (9, 'no')`.execute(transaction);
      throw back;
    }),
    drizzle.transaction(async (transaction) => {
      await transaction.execute(drizzleSql`INSERT INTO builders VALUES (9, 'no')`);
      throw back;
    }),
    knex.transaction(async (transaction) => {
      await transaction("builders").insert({ id: 9, name: "no" });
      throw back;
    }),
  ];
  const outcomes = await Promise.allSettled(attempts);
  assert.deepEqual(
    outcomes.map(({ reason }) => reason),
    [back, back, back],
  );
  await until(() => pool.queuePool.stats().used === 0, "all are back");
  assert.deepEqual(await knex("builders").select("name").orderBy("id"), [
    { name: "kysely" },
    { name: "drizzle" },
    { name: "knex" },
  ]);
  await knex.destroy();
});
