// The dialect of pg and edgepool/pg with every kind of client: pg from 8.11 on, and pg.native of the oldest and the
// newest. What one finds out by names that pg has changed, such as its active query, is done with each of them.

import assert from "node:assert/strict";
import { cpSync, mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { after, afterEach, test } from "node:test";
import { pathToFileURL } from "node:url";
import { freePort } from "../../../scripts/postgres.mjs";
import { setUpLibpq } from "../../../scripts/setup.mjs";
import { startProxy } from "../../integration/postgres-proxy.mjs";
import { until, WatchedPostgres } from "../../integration/watched-postgres.mjs";
import { layProject } from "../project.mjs";

let log = "";
const server = new WatchedPostgres("CREATE TABLE notes (text text)", { log: (lines) => (log += lines) });
const { folder } = layProject("postgres", join(import.meta.dirname, "app"));
const hasNative = setUpLibpq(folder);

const warnings = [];
const onWarning = (warning) => void warnings.push(warning);
process.on("warning", onWarning);
after(() => process.off("warning", onWarning));

/** Lays the app and the package beside this version of pg, as if there were no other. */
async function withDriver(name) {
  const project = join(folder, "versions", name);
  const modules = join(project, "node_modules");
  mkdirSync(modules, { recursive: true });
  cpSync(join(folder, "driver.mjs"), join(project, "driver.mjs"));
  cpSync(join(folder, "node_modules", "edgepool"), join(modules, "edgepool"), { recursive: true });
  symlinkSync(join(folder, "node_modules", name), join(modules, "pg"));
  return import(pathToFileURL(join(project, "driver.mjs")).href);
}

const kinds = [];
for (const name of ["pg-8.11", "pg-8.14", "pg-8.16", "pg-8.17", "pg-8.20", "pg"]) {
  const driver = await withDriver(name);
  kinds.push({ name, driver, Client: driver.Client, isNative: false });
  const isEnd = name === "pg-8.11" || name === "pg";
  if (!hasNative || !isEnd) continue;
  kinds.push({ name: `${name} native`, driver, Client: driver.nativeClient(), isNative: true });
}

const pools = [];
let made = 0;
afterEach(() => Promise.all(pools.splice(0).map((pool) => pool.close({ timeout: 1 }))));

/** The server logs each statement of these clients. */
const logged = { options: "-c log_statement=all" };
const silent = { debug() {}, info() {}, warn() {}, error() {} };

/** Returns a pool of clients of this kind, and their name at the server. `client`: more options of each. */
function poolOf({ driver, Client }, { client = {}, ...options } = {}) {
  const name = `pool ${++made}`;
  const creator = async () => {
    const opened = new Client({ ...server.options, ...logged, application_name: name, ...client });
    opened.on("error", () => {});
    await opened.connect();
    return opened;
  };
  const pool = new driver.QueuePool(creator, {
    dialect: driver.dialect,
    poolSize: 1,
    maxOverflow: 0,
    logger: silent,
    ...options,
  });
  const swallowed = [];
  pool.on("error", (error) => void swallowed.push(error));
  pools.push(pool);
  return { pool, name, swallowed };
}

/** Returns what the server has logged since the last call. */
async function logLines() {
  const mark = `mark ${Math.random()}`;
  await server.run("SET log_statement = 'all'");
  await server.run(`SELECT '${mark}'`);
  await until(() => log.includes(mark), "the server has logged all");
  const [lines] = log.split(mark);
  log = "";
  return lines;
}

/** Returns how often the server was asked for a ROLLBACK since the last call of logLines(). */
const rollbacks = async () => (await logLines()).split("statement: ROLLBACK").length - 1;

const pidOf = async (client) => (await client.query("SELECT pg_backend_pid() AS pid")).rows[0].pid;
const answers = (client) => client.query("SELECT 1");
const notes = () => server.run("SELECT * FROM notes");

/** How many statements the server runs for the clients of this name. */
const active = async (name) =>
  (await server.run("SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND application_name = $1", [name])).length;

/** A query of the kind of pg-cursor's: it stays open until its reader comes. */
class Cursor extends Readable {
  constructor() {
    super({ read() {} });
  }
  submit(connection) {
    connection.parse({ text: "SELECT generate_series(1, 1000)" });
    connection.bind({ portal: "cursor" });
    connection.describe({ type: "P", name: "cursor" });
    connection.execute({ portal: "cursor", rows: 1 });
    connection.flush();
  }
  handleRowDescription() {}
  handleDataRow() {}
  handlePortalSuspended() {}
  handleCommandComplete() {}
  handleReadyForQuery() {}
  handleError(error) {
    this.emit("error", error);
  }
}

for (const kind of kinds) {
  test(`${kind.name}: a clean return sends nothing to the server`, async () => {
    const { pool } = poolOf(kind);
    await pool.use(answers);
    await logLines();
    for (let time = 0; time < 20; time++) {
      await pool.use(answers);
      await pool.use((client) => client.query("SELECT $1::int", [time]));
      await pool.use((client) => client.query({ name: "named", text: "SELECT $1::int", values: [time] }));
      await assert.rejects(
        pool.use((client) => client.query("SELECT 1 / 0")),
        { code: "22012" },
      );
      await pool.use(async (client) => {
        for (const text of ["BEGIN", "SELECT 1", "COMMIT"]) await client.query(text);
      });
      const lease = await pool.connect();
      await new Promise((resolve) => lease.connection.query("SELECT 1", () => resolve(lease.close())));
    }
    const lines = await logLines();
    assert.equal(lines.split("statement: ROLLBACK").length, 1);
    assert.equal(lines.includes("no transaction in progress"), false);
    assert.equal(pool.stats().opened, 1);
  });

  test(`${kind.name}: a transaction that is open, failed or under way at the return is rolled back`, async () => {
    const { pool, swallowed } = poolOf(kind);
    const pid = await pool.use(pidOf);
    await logLines();
    const insert = "INSERT INTO notes VALUES ('open')";
    const leaves = {
      open: async (client) => {
        await client.query("BEGIN");
        await client.query(insert);
      },
      failed: async (client) => {
        await client.query("BEGIN");
        await client.query(insert);
        await client.query("SELECT 1 / 0").catch(() => {});
      },
      "un-awaited": (client) => void client.query("BEGIN"),
      queued: (client) => {
        void client.query("SELECT 1");
        void client.query(`BEGIN; ${insert}`);
      },
    };
    for (const [what, leave] of Object.entries(leaves)) {
      await pool.use(leave);
      assert.equal(await pool.use(pidOf), pid, what);
      const state = await server.run("SELECT state, backend_xid FROM pg_stat_activity WHERE pid = $1", [pid]);
      assert.deepEqual(state, [{ state: "idle", backend_xid: null }], what);
      assert.equal(await rollbacks(), 1, what);
    }
    const lease = await pool.connect();
    await new Promise((resolve) => lease.connection.query("BEGIN", () => resolve(lease.close())));
    assert.equal(await pool.use(pidOf), pid);
    assert.equal(await rollbacks(), 1);
    assert.deepEqual([await notes(), swallowed], [[], []]);
  });

  test(`${kind.name}: "session" leaves nothing of the session, in one message`, async () => {
    const { pool } = poolOf(kind, { resetOnReturn: "session" });
    const pid = await pool.use(pidOf);
    await pool.use(async (client) => {
      await client.query("BEGIN");
      await client.query("CREATE TEMP TABLE mine (id int)");
      await client.query("COMMIT");
      await client.query("SET work_mem = '12345kB'");
      await client.query("BEGIN");
    });
    const { rows } = await pool.use((client) =>
      client.query("SELECT pg_backend_pid() AS pid, current_setting('work_mem') AS mem, to_regclass('mine') AS mine"),
    );
    assert.deepEqual(rows, [{ pid, mem: "4MB", mine: null }]);
  });

  test(`${kind.name}: backends that are killed while idle cost no caller anything`, async () => {
    const { pool } = poolOf(kind, { poolSize: 3 });
    await pool.warm(3);
    const leases = await Promise.all([1, 2, 3].map(() => pool.connect()));
    const pids = await Promise.all(leases.map(({ connection }) => pidOf(connection)));
    await Promise.all(leases.map((lease) => lease.close()));
    await server.kill(...pids);
    await until(() => pool.stats().total === 0, "the pool knows");
    await Promise.all([1, 2, 3, 4].map(() => pool.use(answers)));
    await until(() => pool.stats().used === 0, "all are back");
  });

  test(`${kind.name}: a backend that is killed in use costs its caller, and its slot is free at once`, async () => {
    const { pool, name } = poolOf(kind);
    const pid = await pool.use(pidOf);
    const failed = assert.rejects(
      pool.use((client) => client.query("SELECT pg_sleep(20)")),
      // libpq gives the text alone if the connection has ended, too.
      ({ code, message }) => code === "57P01" || message.includes("terminating connection"),
    );
    await until(async () => (await active(name)) === 1, "the statement runs");
    const next = pool.use(pidOf);
    await server.kill(pid);
    await failed;
    assert.notEqual(await next, pid);
    const lease = await pool.connect();
    const second = await pidOf(lease.connection);
    await server.kill(second);
    await until(() => pool.stats().used === 0, "the lease's slot is free");
    await assert.rejects(lease.connection.query("SELECT 1"));
    await lease.close();
    assert.notEqual(await pool.use(pidOf), second);
  });

  test(`${kind.name}: a statement that times out at the client holds neither its caller nor the next one`, async () => {
    const { pool, name } = poolOf(kind, { client: { query_timeout: 200 }, poolSize: 1, timeout: "5s" });
    for (let time = 0; time < 3; time++) {
      const start = Date.now();
      await assert.rejects(
        pool.use((client) => client.query("SELECT pg_sleep(3)")),
        /Query read timeout/,
      );
      await pool.use(answers);
      assert.ok(Date.now() - start < 1_500, `${Date.now() - start} ms`);
    }
    // libpq has no cancel that does not block the process.
    if (kind.isNative) return;
    assert.equal(await active(name), 0);
    assert.equal(pool.stats().opened, 1);
  });

  test(`${kind.name}: an un-awaited statement ends before the next caller, or costs its connection`, async () => {
    const { pool, name, swallowed } = poolOf(kind, { returnTimeout: "300ms" });
    const pid = await pool.use(pidOf);
    let late;
    await pool.use((client) => void (late = client.query("SELECT pg_sleep(0.05)")));
    assert.equal(await pool.use(pidOf), pid);
    await late;
    await pool.use((client) => void (late = assert.rejects(client.query("SELECT pg_sleep(10)"))));
    assert.notEqual(await pool.use(pidOf), pid);
    await late;
    if (!kind.isNative) await until(async () => (await active(name)) === 0, "the server runs nothing");
    assert.ok(swallowed.length <= 1, swallowed);
  });

  test(`${kind.name}: prePing finds a dead connection, also with a query_timeout below pingTimeout`, async () => {
    const proxy = await startProxy(() => server.options.port);
    const { pool } = poolOf(kind, {
      client: { port: proxy.port, query_timeout: 150 },
      poolSize: 3,
      prePing: true,
      pingTimeout: "3s",
    });
    try {
      await pool.warm(3);
      proxy.silence();
      const start = Date.now();
      await Promise.all([1, 2, 3, 4].map(() => pool.use(answers)));
      assert.ok(Date.now() - start < 1_500, `${Date.now() - start} ms`);
      await pool.close({ timeout: 1 });
    } finally {
      await proxy.close();
    }
  });

  test(`${kind.name}: with openRetry a caller waits for a server that is away`, async () => {
    const { pool } = poolOf(kind, { client: { port: await freePort() }, openRetry: true, timeout: "600ms" });
    const error = await pool.connect().catch((error) => error);
    assert.equal(error.code, "ERR_POOL_TIMEOUT");
    assert.match(error.cause.message, /ECONNREFUSED|Connection refused/);
  });

  test(`${kind.name}: edgepool/pg queries, lends, rolls back and ends`, async () => {
    const pool = new kind.driver.Pool({
      ...server.options,
      ...logged,
      max: 2,
      Client: kind.Client,
      application_name: kind.name,
    });
    assert.equal((await pool.query("SELECT $1::int AS n", [7])).rows[0].n, 7);
    await logLines();
    for (let time = 0; time < 10; time++) {
      const client = await pool.connect();
      await client.query("SELECT 1");
      client.release();
      await pool.query("SELECT 1");
    }
    assert.equal(await rollbacks(), 0);
    const client = await pool.connect();
    await client.query("BEGIN");
    await client.query("INSERT INTO notes VALUES ('lent')");
    client.release();
    await pool.query("SELECT 1");
    assert.deepEqual(await notes(), []);
    await assert.rejects(pool.query("SELECT 1 / 0"), { code: "22012" });
    const unfit = await pool.connect();
    void unfit.query("SELECT pg_sleep(10)").catch(() => {});
    await until(async () => (await active(kind.name)) === 1, "the statement runs");
    unfit.release(true);
    await pool.query("SELECT 1");
    if (!kind.isNative) await until(async () => (await active(kind.name)) === 0, "the server runs nothing");
    await pool.end();
    assert.equal(pool.totalCount, 0);
  });

  if (!kind.isNative)
    test(`${kind.name}: an open cursor holds neither its caller nor the next one`, async () => {
      const { pool } = poolOf(kind);
      const pid = await pool.use(pidOf);
      const start = Date.now();
      await pool.use((client) => void client.query(new Cursor().on("error", () => {})));
      assert.notEqual(await pool.use(pidOf), pid);
      assert.ok(Date.now() - start < 500, `${Date.now() - start} ms`);
    });
}

test("no version warns of what the dialect does", () => {
  assert.deepEqual(
    warnings.filter(({ message }) => /activeQuery|queryQueue/.test(message)),
    [],
  );
});
