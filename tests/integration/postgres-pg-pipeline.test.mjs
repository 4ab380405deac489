// edgepool/pg with pipeline: true: which queries share a client, and what sharing never costs.

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { Pool } from "edgepool/pg";
import { until, WatchedPostgres } from "./watched-postgres.mjs";

const server = new WatchedPostgres("CREATE TABLE kept (id int)");
const pools = [];

/** A pool with a pipeline, and how many clients it has lent. */
function made(name, options = {}) {
  const pool = new Pool({ ...server.options, application_name: name, pipeline: true, max: 10, ...options });
  const lent = { count: 0, clients: new Set() };
  pool.on("acquire", (client) => {
    lent.count++;
    lent.clients.add(client);
  });
  pools.push(pool);
  return { pool, lent };
}

afterEach(async () => {
  await Promise.all(pools.splice(0).map((pool) => pool.ending || pool.end({ timeoutMillis: 1 })));
});

test("queries that commit by themselves share few clients, and each has its own answer", async () => {
  const { pool, lent } = made("shared");
  const answers = await Promise.all(
    Array.from({ length: 100 }, (_, id) =>
      id % 2 === 0 ? pool.query("SELECT $1::int AS id", [id]) : pool.query(`/* by hand */ SELECT ${id} AS id`),
    ),
  );
  assert.deepEqual(
    answers.map(({ rows }) => rows[0].id),
    Array.from({ length: 100 }, (_, id) => id),
  );
  assert.ok(lent.clients.size <= 4, `${lent.clients.size} clients`);
  await until(() => pool.idleCount === pool.totalCount, "all are back");
});

test("callbacks, configs, names and row modes are those of query()", async () => {
  const { pool } = made("forms");
  const [rows, named, byCallback] = await Promise.all([
    pool.query({ text: "SELECT $1::int", values: [1], rowMode: "array" }).then((result) => result.rows),
    pool.query({ name: "named", text: "SELECT $1::int AS n", values: [2] }).then((result) => result.rows),
    new Promise((resolve) => pool.query("SELECT 3 AS n", (error, result) => resolve([error, result.rows]))),
  ]);
  assert.deepEqual([rows, named, byCallback], [[[1]], [{ n: 2 }], [undefined, [{ n: 3 }]]]);
});

test("a failed query fails alone, and costs no client", async () => {
  const { pool, lent } = made("failed", { max: 1 });
  const answers = await Promise.allSettled(
    Array.from({ length: 30 }, (_, id) => pool.query(id % 3 === 0 ? "SELECT 1 / 0" : "SELECT 1 AS one")),
  );
  assert.deepEqual(
    answers.map(({ reason, value }) => reason?.code ?? value.rows[0].one),
    Array.from({ length: 30 }, (_, id) => (id % 3 === 0 ? "22012" : 1)),
  );
  assert.deepEqual([lent.clients.size, pool.totalCount], [1, 1]);
});

test("what is no single statement, or leaves something in the session, has a client of its own", async () => {
  const { pool, lent } = made("alone", { max: 20 });
  const alone = [
    "BEGIN",
    "-- first\nBEGIN",
    "SET statement_timeout = 0",
    "SELECT 1; SELECT 2",
    "SELECT set_config('app.tenant', '1', false)",
    "SELECT pg_advisory_lock(1), pg_advisory_unlock(1)",
    "LISTEN news",
    "CREATE TEMP TABLE mine (id int)",
    { text: "SELECT 1", signal: new AbortController().signal },
    { text: "SELECT 1", query_timeout: 10_000 },
    "SELECT pg_sleep(0.01)",
  ];
  await Promise.all(alone.map((query) => pool.query(query)));
  assert.equal(lent.count, alone.length);
  const { rows } = await pool.query("SELECT pg_current_xact_id_if_assigned() AS xid");
  assert.equal(rows[0].xid, null);
});

test("a transaction of connect() never runs between the queries of others", async () => {
  const { pool } = made("transactions", { max: 2 });
  const transaction = async () => {
    const client = await pool.connect();
    await client.query("BEGIN");
    await client.query("INSERT INTO kept VALUES (1)");
    await client.query("ROLLBACK");
    client.release();
  };
  const queries = Array.from({ length: 50 }, () => pool.query("INSERT INTO kept VALUES (2)"));
  await Promise.all([...queries, transaction(), transaction(), transaction()]);
  const { rows } = await pool.query("SELECT id, count(*)::int AS count FROM kept GROUP BY id");
  assert.deepEqual(rows, [{ id: 2, count: 50 }]);
});

test("a caller of connect() is served although queries never end", async () => {
  const { pool } = made("steady", { max: 1 });
  let goesOn = true;
  const steady = Promise.all(
    Array.from({ length: 10 }, async () => {
      while (goesOn) await pool.query("SELECT 1");
    }),
  );
  for (let served = 0; served < 3; served++) (await pool.connect()).release();
  goesOn = false;
  await steady;
});

test("if the server ends a client, its queries fail with the driver's errors, and later ones are served", async () => {
  const { pool } = made("killed", { max: 1 });
  await pool.query("SELECT 1");
  const lock = await server.connected();
  await lock.query("BEGIN; LOCK TABLE kept");
  const queries = Promise.allSettled(Array.from({ length: 5 }, () => pool.query("SELECT count(*) FROM kept")));
  await until(async () => (await server.backends("killed")).length === 1, "one client");
  await server.kill(...(await server.backends("killed")));
  const answers = await queries;
  assert.ok(answers.every(({ status }) => status === "rejected"));
  await lock.end();
  assert.equal((await pool.query("SELECT 1 AS one")).rows[0].one, 1);
});

test("connectionTimeoutMillis bounds the wait of queries that share", async () => {
  const { pool } = made("bounded", { max: 1, connectionTimeoutMillis: 500 });
  const client = await pool.connect();
  const refused = await Promise.allSettled([pool.query("SELECT 1"), pool.query("SELECT 2")]);
  for (const { reason } of refused) assert.equal(reason.message, "timeout exceeded when trying to connect");
  client.release();
  assert.equal((await pool.query("SELECT 1 AS one")).rows[0].one, 1);
});

test("end() serves the queries that came before, and refuses later ones", async () => {
  const { pool } = made("ended");
  const queries = Array.from({ length: 100 }, () => pool.query("SELECT 1 AS one"));
  const end = pool.end();
  await assert.rejects(pool.query("SELECT 1"), { message: "Cannot use a pool after calling end on the pool" });
  assert.ok((await Promise.all(queries)).every(({ rows }) => rows[0].one === 1));
  await end;
  await server.untilBackends("ended", 0);
});

test("a server that cannot be reached refuses each query once", async () => {
  const { pool } = made("away", { port: 1 });
  const answers = await Promise.allSettled(Array.from({ length: 100 }, () => pool.query("SELECT 1")));
  assert.ok(answers.every(({ reason }) => reason.code === "ECONNREFUSED"));
});

test("query_timeout is refused beside it, because a time-out of one query would end the others", () => {
  assert.throws(() => new Pool({ pipeline: true, query_timeout: 1 }), { code: "ERR_POOL_ARGUMENT" });
});
