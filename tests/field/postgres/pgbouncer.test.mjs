// A pool before PgBouncer 1.18 and 1.24, in transaction and in session mode: what callers notice of restarts, of PAUSE,
// of its time-outs, and how an idle pool lets PgBouncer and PostgreSQL end.

import assert from "node:assert/strict";
import { join } from "node:path";
import { afterEach, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { setUpPgBouncers } from "../../../scripts/debian.mjs";
import { answers, isDriversError, until, WatchedPostgres } from "../../integration/watched-postgres.mjs";
import { startPgBouncer } from "../pgbouncer.mjs";
import { layProject } from "../project.mjs";

const server = new WatchedPostgres("CREATE TABLE notes (text text)");
const { folder } = layProject("postgres", join(import.meta.dirname, "app"));
const { Client, dialect, QueuePool } = await import(pathToFileURL(join(folder, "driver.mjs")).href);
const commands = setUpPgBouncers();
const silent = { debug() {}, info() {}, warn() {}, error() {} };

const pools = [];
const bouncers = [];
afterEach(async () => {
  await Promise.all(pools.splice(0).map((pool) => pool.close({ timeout: 1 })));
  await Promise.all(bouncers.splice(0).map((bouncer) => bouncer.stop()));
});

async function bouncerOf(version, settings) {
  const bouncer = await startPgBouncer(commands[version], server.options, settings);
  bouncers.push(bouncer);
  return bouncer;
}

/** A pool of five before PgBouncer. What the pool swallows is in `swallowed`. */
function poolOf(bouncer, { client = {}, ...options } = {}) {
  const creator = async () => {
    const opened = new Client({ ...bouncer.options, ...client });
    opened.on("error", () => {});
    await opened.connect();
    return opened;
  };
  const pool = new QueuePool(creator, { dialect, poolSize: 5, maxOverflow: 0, logger: silent, ...options });
  const swallowed = [];
  pool.on("error", (error, { operation }) => void swallowed.push({ operation, error }));
  pools.push(pool);
  return { pool, swallowed };
}

/** Uses every connection of the pool at once. Returns the errors. */
async function useAll(pool, count = 5) {
  const uses = Array.from({ length: count }, () => pool.use((client) => client.query("SELECT pg_sleep(0.02)")));
  return (await Promise.allSettled(uses)).flatMap((end) => (end.status === "rejected" ? [end.reason] : []));
}

/** The backends of PgBouncer. */
const backends = async () =>
  (
    await server.run("SELECT pid FROM pg_stat_activity WHERE client_addr IS NOT NULL AND application_name <> 'admin'")
  ).map(({ pid }) => pid);

/** The error of a caller that PgBouncer or the end of its connection refuses. */
const isBouncers = (error) => error.code === "08P01" || isDriversError(error);

const modes = Object.keys(commands).flatMap((version) => ["transaction", "session"].map((mode) => ({ version, mode })));

for (const { version, mode } of modes) {
  const name = `PgBouncer ${version}, ${mode} mode`;
  const start = (settings = {}) => bouncerOf(version, { pool_mode: mode, default_pool_size: 5, ...settings });

  test(`${name}: of 40 transactions over 5 connections those left open are rolled back`, async () => {
    const { pool, swallowed } = poolOf(await start());
    await Promise.all(
      Array.from({ length: 40 }, (_, number) =>
        pool.use(async (client) => {
          await client.query("BEGIN");
          await client.query("INSERT INTO notes VALUES ($1)", [name]);
          if (number % 4 === 1) await client.query("SELECT 1 / 0").catch(() => {});
          if (number % 2 === 0) await client.query("COMMIT");
        }),
      ),
    );
    const rows = await server.run("SELECT 1 FROM notes WHERE text = $1", [name]);
    assert.deepEqual([rows.length, pool.stats().opened, swallowed], [20, 5, []]);
  });

  test(`${name}: a statement that times out at the client is cancelled at the server`, async () => {
    const { pool } = poolOf(await start(), { poolSize: 1 });
    for (let time = 0; time < 3; time++) {
      await assert.rejects(
        pool.use((client) => client.query({ text: "SELECT pg_sleep(20)", query_timeout: 200 })),
        /Query read timeout/,
      );
      await pool.use(answers);
    }
    const running = await server.run(
      "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(20)' AND state = 'active'",
    );
    assert.deepEqual([running.length, pool.stats().opened], [0, 1]);
  });

  test(`${name}: backends that are killed behind idle connections cost no caller anything`, async () => {
    const { pool } = poolOf(await start());
    assert.deepEqual(await useAll(pool), []);
    await server.kill(...(await backends()));
    // In session mode PgBouncer ends its clients, too.
    if (mode === "session") await until(() => pool.stats().total === 0, "the pool knows");
    assert.deepEqual(await useAll(pool, 10), []);
    assert.equal(pool.stats().opened, mode === "session" ? 10 : 5);
  });

  for (const prePing of [false, true]) {
    const how = prePing ? " with prePing" : "";
    test(`${name}: a restart of PgBouncer costs the callers of that moment alone${how}`, async () => {
      const bouncer = await start();
      const { pool } = poolOf(bouncer, { prePing });
      assert.deepEqual(await useAll(pool), []);
      const lost = assert.rejects(
        pool.use((client) => client.query("SELECT pg_sleep(20)")),
        isBouncers,
      );
      await delay(100);
      await bouncer.end();
      await lost;
      await until(() => pool.stats().total === 0, "the pool knows");
      await assert.rejects(pool.use(answers), { code: "ECONNREFUSED" });
      await bouncer.start();
      assert.deepEqual(await useAll(pool, 10), []);
      await until(() => pool.stats().used === 0, "all are back");
    });

    test(`${name}: after a restart of PostgreSQL callers are served again${how}`, async () => {
      // PgBouncer lets a query wait for a server that is down, for two minutes by default.
      const { pool } = poolOf(await start({ query_wait_timeout: 1 }), { prePing });
      assert.deepEqual(await useAll(pool), []);
      await server.halt();
      const [error] = await useAll(pool, 1);
      assert.ok(isBouncers(error), error);
      await server.resume();
      await until(async () => (await useAll(pool, 1)).length === 0, "PgBouncer asks the server again");
      assert.deepEqual(await useAll(pool, 10), []);
      await until(() => pool.stats().used === 0, "all are back");
    });
  }

  test(`${name}: PAUSE makes callers wait, and RESUME serves them all`, async () => {
    const bouncer = await start();
    const { pool, swallowed } = poolOf(bouncer);
    // In session mode PAUSE waits for the clients to leave. With none, it lets openings wait.
    if (mode === "transaction") await useAll(pool);
    await bouncer.run("PAUSE");
    const uses = useAll(pool, 10);
    await delay(300);
    assert.equal(pool.stats().used + pool.stats().opening, 5);
    await bouncer.run("RESUME");
    assert.deepEqual([await uses, pool.stats().opened, swallowed], [[], 5, []]);
  });

  if (mode === "transaction")
    test(`${name}: a PAUSE longer than pingTimeout replaces connections, and fails no caller`, async () => {
      const bouncer = await start();
      const { pool } = poolOf(bouncer, { prePing: true, pingTimeout: "100ms" });
      await useAll(pool);
      await bouncer.run("PAUSE");
      const uses = useAll(pool, 10);
      await delay(500);
      await bouncer.run("RESUME");
      assert.deepEqual(await uses, []);
      assert.equal(pool.stats().opened, 10);
    });

  if (mode === "transaction" && version === "1.24")
    test(`${name}: named statements work, whichever server connection they meet`, async () => {
      const { pool } = poolOf(await start());
      const named = { name: "named", text: "SELECT pg_sleep(0.01), $1::int AS n" };
      for (let time = 0; time < 3; time++) {
        const uses = Array.from({ length: 10 }, (_, n) =>
          pool.use((client) => client.query({ ...named, values: [n] })),
        );
        assert.deepEqual(
          (await Promise.all(uses)).map(({ rows }) => rows[0].n),
          Array.from(uses.keys()),
        );
      }
    });

  if (mode === "session")
    test(`${name}: what a caller sets in its session reaches the next one, unless the session is reset`, async () => {
      const bouncer = await start();
      for (const resetOnReturn of /** @type {const} */ (["rollback", "session"])) {
        const { pool } = poolOf(bouncer, { poolSize: 1, resetOnReturn });
        await pool.use((client) => client.query("SET work_mem = '12345kB'"));
        const { rows } = await pool.use((client) => client.query("SELECT current_setting('work_mem') AS mem"));
        assert.equal(rows[0].mem, resetOnReturn === "session" ? "4MB" : "12345kB");
        assert.equal(pool.stats().opened, 1);
      }
    });

  test(`${name}: query_wait_timeout costs its caller, and replaces that connection alone`, async () => {
    const bouncer = await start({ default_pool_size: 1, query_wait_timeout: 1 });
    const { pool } = poolOf(bouncer, { poolSize: 3 });
    // In session mode only one client has a server at all.
    const others = mode === "transaction" ? await Promise.all([1, 2].map(() => pool.connect())) : [];
    for (const { connection } of others) await answers(connection);
    const holder = new Client(bouncer.options);
    await holder.connect();
    await holder.query("BEGIN");
    const error = await pool.use(answers).catch((error) => error);
    assert.deepEqual([error.code, error.message], ["08P01", "query_wait_timeout"]);
    await holder.query("COMMIT");
    await holder.end();
    for (const { connection } of others) await answers(connection);
    await Promise.all(others.map((lease) => lease.close()));
    await pool.use(answers);
    assert.deepEqual([pool.stats().invalidated, pool.stats().recycled], [1, 0]);
  });

  test(`${name}: an idle pool lets it end after idleTimeout`, async () => {
    const bouncer = await start();
    const { pool } = poolOf(bouncer, { idleTimeout: "300ms" });
    assert.deepEqual(await useAll(pool), []);
    const before = Date.now();
    await bouncer.end("SIGTERM");
    assert.ok(Date.now() - before < 3_000, `${Date.now() - before} ms`);
    await until(() => pool.stats().total === 0, "nothing is open");
    await bouncer.start();
    assert.deepEqual(await useAll(pool), []);
  });
}

if (commands["1.24"])
  for (const how of ["SIGTERM", "SHUTDOWN WAIT_FOR_CLIENTS"])
    test(`PgBouncer 1.24 waits at ${how} for an idle pool, and ends when that lets go`, async () => {
      const bouncer = await bouncerOf("1.24", { pool_mode: "transaction" });
      const { pool } = poolOf(bouncer);
      assert.deepEqual(await useAll(pool), []);
      let hasEnded = false;
      const ended = bouncer.end(how === "SIGTERM" ? how : 0).then(() => (hasEnded = true));
      if (how !== "SIGTERM") await bouncer.run(how);
      await delay(700);
      assert.deepEqual([hasEnded, pool.stats().idle], [false, 5]);
      // The connections that are there still serve.
      assert.deepEqual(await useAll(pool), []);
      await pool.dispose();
      await ended;
    });

test("an idle pool lets a smart shutdown of PostgreSQL end after idleTimeout, and goes on", async () => {
  const { pool } = poolOf(server, { idleTimeout: "300ms" });
  assert.deepEqual(await useAll(pool), []);
  await server.retire();
  assert.equal(pool.stats().total, 0);
  await server.resume();
  assert.deepEqual(await useAll(pool), []);
});
