// QueuePool with pg clients on a real PostgreSQL: what only a real server can show.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import { QueuePool } from "edgepool";
import { pg } from "edgepool/dialects/pg";
import { Client } from "pg";
import { runTransfers } from "../../examples/quickstart/transfers.mjs";
import { freePort, startPostgres } from "../../scripts/postgres.mjs";

let postgres;
let admin;

before(async () => {
  postgres = await startPostgres();
  admin = await connected();
});

after(async () => {
  await admin.end();
  await postgres.stop();
});

async function connected(options = {}) {
  const client = new Client({ ...postgres.options, ...options });
  await client.connect();
  return client;
}

/** A pool whose backends can be distinguished by their name, and every query that its clients sent. */
function pool(name, options = {}) {
  const queries = [];
  const creator = async () => {
    const client = await connected({ application_name: name });
    const query = client.query.bind(client);
    client.query = (text, ...rest) => (queries.push(text), query(text, ...rest));
    return client;
  };
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  return { queries, pool: new QueuePool(creator, { dialect: pg, logger: log, ...options }) };
}

async function backends(name) {
  const { rows } = await admin.query("SELECT pid FROM pg_stat_activity WHERE application_name = $1", [name]);
  return rows.map(({ pid }) => pid);
}

/** The server ends backends asynchronously: asks until it has. */
async function untilBackends(name, expected) {
  for (let attempt = 0; attempt < 500; attempt++) {
    if ((await backends(name)).length === expected) return;
  }
  assert.equal((await backends(name)).length, expected);
}

test("a thousand transfers lose no money, and no open transaction reaches another task", async () => {
  const lines = [];
  assert.equal(await runTransfers(postgres.options, (line) => lines.push(line)), true, lines.join("\n"));
});

test("a transaction that was left open is rolled back before the next caller", async () => {
  const { pool: one, queries } = pool("left-open", { poolSize: 1, maxOverflow: 0 });
  await admin.query("CREATE TABLE left_open (id int)");
  await one.use(async (client) => {
    await client.query("BEGIN");
    await client.query("INSERT INTO left_open VALUES (1)");
  });
  const { rows } = await one.use((client) => client.query("SELECT count(*)::int AS count FROM left_open"));
  assert.equal(rows[0].count, 0);
  assert.ok(queries.includes("ROLLBACK"));
  await one.close();
});

test("a transaction that failed is rolled back, too", async () => {
  const { pool: one } = pool("failed", { poolSize: 1, maxOverflow: 0 });
  await assert.rejects(
    one.use(async (client) => {
      await client.query("BEGIN");
      await client.query("SELECT 1 / 0");
    }),
    /division by zero/,
  );
  const { rows } = await one.use((client) => client.query("SELECT 1 AS one"));
  assert.equal(rows[0].one, 1);
  await one.close();
});

test("a clean connection is returned without a round trip", async () => {
  const { pool: one, queries } = pool("clean", { poolSize: 1, maxOverflow: 0 });
  await one.use((client) => client.query("SELECT 1"));
  await one.use(async (client) => {
    await client.query("BEGIN");
    await client.query("COMMIT");
  });
  assert.deepEqual(queries, ["SELECT 1", "BEGIN", "COMMIT"]);
  await one.close();
});

test("a query still under way at the return is rolled back after", async () => {
  const { pool: one, queries } = pool("under-way", { poolSize: 1, maxOverflow: 0 });
  let begin;
  await one.use((client) => {
    begin = client.query("BEGIN");
  });
  await begin;
  assert.deepEqual(queries, ["BEGIN", "ROLLBACK"]);
  await one.close();
});

test("a backend that is killed while idle is dropped quietly, and the next caller has a new one", async () => {
  const { pool: one } = pool("killed-idle", { poolSize: 1, maxOverflow: 0 });
  await one.use((client) => client.query("SELECT 1"));
  const [pid] = await backends("killed-idle");
  await admin.query("SELECT pg_terminate_backend($1)", [pid]);
  while (one.stats().idle > 0) await admin.query("SELECT 1");
  const { rows } = await one.use((client) => client.query("SELECT pg_backend_pid() AS pid"));
  assert.notEqual(rows[0].pid, pid);
  await one.close();
});

test("a backend that is killed in use fails its caller alone", async () => {
  const { pool: one } = pool("killed-in-use", { poolSize: 1, maxOverflow: 0 });
  await assert.rejects(
    one.use(async (client) => {
      await client.query("BEGIN");
      const { rows } = await client.query("SELECT pg_backend_pid() AS pid");
      await admin.query("SELECT pg_terminate_backend($1)", [rows[0].pid]);
      await client.query("SELECT 1");
    }),
  );
  assert.equal((await one.use((client) => client.query("SELECT 1 AS one"))).rows[0].one, 1);
  assert.equal(one.stats().invalidated, 1);
  await one.close();
});

test("a session that the server ends for a reason of its own is dropped", async () => {
  const { pool: one } = pool("ended", { poolSize: 1, maxOverflow: 0 });
  await assert.rejects(
    one.use(async (client) => {
      await client.query("SET transaction_timeout = '10ms'");
      await client.query("BEGIN");
      await client.query("SELECT pg_sleep(30)");
    }),
    { code: "25P04", severity: "FATAL" },
  );
  assert.equal(one.stats().invalidated, 1);
  assert.equal((await one.use((client) => client.query("SELECT 1 AS one"))).rows[0].one, 1);
  await one.close();
});

test("a statement with a parameter too many costs no caller a connection", async () => {
  const { pool: one } = pool("parameters", { poolSize: 1, maxOverflow: 0 });
  await assert.rejects(
    one.use((client) => client.query("SELECT 1", [2])),
    { code: "08P01", severity: "ERROR" },
  );
  await one.use((client) => client.query("SELECT 1"));
  assert.equal(one.stats().opened, 1);
  await one.close();
});

test("another service that refuses or resets a caller costs no caller a connection", async () => {
  const { pool: one } = pool("other-service", { poolSize: 1, maxOverflow: 0 });
  const port = await freePort();
  await assert.rejects(
    one.use(() => once(connect(port, "127.0.0.1"), "connect")),
    { code: "ECONNREFUSED" },
  );
  await assert.rejects(
    one.use(() => Promise.reject(Object.assign(new Error("socket hang up"), { code: "ECONNRESET" }))),
    { code: "ECONNRESET" },
  );
  await one.use((client) => client.query("SELECT 1"));
  assert.equal(one.stats().opened, 1);
  await one.close();
});

test("a socket that is reset under a query fails its caller alone", async () => {
  const { pool: one } = pool("reset", { poolSize: 1, maxOverflow: 0 });
  const reset = Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" });
  await assert.rejects(
    one.use((client) => {
      const query = client.query("SELECT pg_sleep(30)");
      client.connection.stream.destroy(reset);
      return query;
    }),
    reset,
  );
  assert.equal(one.stats().invalidated, 1);
  assert.equal((await one.use((client) => client.query("SELECT 1 AS one"))).rows[0].one, 1);
  await one.close();
});

test("a client that its caller ended is not handed to the next one", async () => {
  const { pool: one } = pool("ended-by-its-caller", { poolSize: 1, maxOverflow: 0 });
  const lease = await one.connect();
  const next = one.connect();
  void lease.connection.end();
  await lease.close();
  const { connection } = await next;
  assert.equal((await connection.query("SELECT 1 AS one")).rows[0].one, 1);
  await (await next).close();
  await one.close();
});

test("more callers than the server takes connections are all served", async () => {
  const { pool: few } = pool("few", { poolSize: 3, maxOverflow: 2 });
  const results = await Promise.all(
    Array.from({ length: 200 }, (_, number) => few.use((client) => client.query("SELECT $1::int AS number", [number]))),
  );
  assert.deepEqual(
    results.map(({ rows }) => rows[0].number),
    Array.from({ length: 200 }, (_, number) => number),
  );
  assert.ok(few.stats().opened <= 5);
  await few.close();
});

test("an abort while queueing leaves the queue; while connecting, the connection is kept", async () => {
  const { pool: one } = pool("aborted", { poolSize: 1, maxOverflow: 0 });
  const controller = new AbortController();
  const opening = one.connect({ signal: controller.signal });
  const queued = one.connect({ signal: controller.signal });
  controller.abort(new Error("enough"));
  await assert.rejects(opening, /enough/);
  await assert.rejects(queued, /enough/);
  await one.use((client) => client.query("SELECT 1"));
  assert.equal(one.stats().opened, 1);
  await one.close();
});

test("dispose closes what is idle, and the pool goes on", async () => {
  const { pool: two } = pool("disposed", { poolSize: 2 });
  const lease = await two.connect();
  await two.use((client) => client.query("SELECT 1"));
  await two.dispose();
  await untilBackends("disposed", 1);
  await lease.connection.query("SELECT 1");
  await lease.close();
  await untilBackends("disposed", 0);
  await two.use((client) => client.query("SELECT 1"));
  await two.close();
});

test("close ends every backend, also of a lease that is never returned", async () => {
  const { pool: two } = pool("closed", { poolSize: 2 });
  const lost = await two.connect();
  await two.use((client) => client.query("SELECT 1"));
  await two.close({ timeout: "1ms" });
  await untilBackends("closed", 0);
  await lost.close();
});

test("a detached connection is the caller's own, beyond the pool's limit", async () => {
  const { pool: one } = pool("detached", { poolSize: 1, maxOverflow: 0 });
  const lease = await one.connect();
  await lease.detach();
  await one.use((client) => client.query("SELECT 1"));
  await lease.connection.query("SELECT 1");
  assert.equal((await backends("detached")).length, 2);
  await lease.close();
  await untilBackends("detached", 1);
  await one.close();
});
