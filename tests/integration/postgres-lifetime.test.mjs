// How long connections live on a real server: recycle, idleTimeout with minIdle, maxUses, warm(), and what is done to
// each as it is opened.

import assert from "node:assert/strict";
import { test } from "node:test";
import { answers, pidOf, until, WatchedPostgres } from "./watched-postgres.mjs";

const server = new WatchedPostgres("CREATE ROLE narrow LOGIN PASSWORD 'narrow' CONNECTION LIMIT 2");

// ---- recycle

test("recycle replaces a connection at its checkout once it is older than that, and not before", async () => {
  const { pool } = server.pool("recycled", { poolSize: 1, maxOverflow: 0, recycle: "300ms" });
  const opened = performance.now();
  const first = await pool.use(pidOf);
  let now = first;
  await until(async () => (now = await pool.use(pidOf)) !== first, "a new backend");
  assert.ok(performance.now() - opened >= 300);
  assert.equal(pool.stats().recycled, 1);
  await server.untilBackends("recycled", 1);
  assert.deepEqual(await server.backends("recycled"), [now]);
  await pool.close();
});

test("a connection is not recycled under its lease, however old", async () => {
  const { pool } = server.pool("held", { poolSize: 1, maxOverflow: 0, recycle: "50ms" });
  const lease = await pool.connect();
  const pid = await pidOf(lease.connection);
  const opened = performance.now();
  await until(() => performance.now() - opened > 100, "old enough");
  assert.equal(await pidOf(lease.connection), pid);
  await lease.close();
  assert.notEqual(await pool.use(pidOf), pid);
  await server.untilBackends("held", 1);
  await pool.close();
});

test("recycle 0 opens a backend for each use, recycle -1 never", async () => {
  for (const [recycle, opened] of [
    [0, 4],
    [-1, 1],
  ]) {
    const { pool } = server.pool("always", { poolSize: 1, maxOverflow: 0, recycle });
    const pids = [];
    for (let use = 0; use < 4; use++) pids.push(await pool.use(pidOf));
    assert.equal(new Set(pids).size, opened);
    assert.equal(pool.stats().opened, opened);
    await server.untilBackends("always", 1);
    await pool.close();
    await server.untilBackends("always", 0);
  }
});

// ---- idleTimeout, minIdle

test("idleTimeout closes what is idle, down to minIdle, by itself; what is left is still good", async () => {
  const { pool, swallowed } = server.pool("idle", { poolSize: 5, idleTimeout: "200ms", minIdle: 2 });
  await pool.warm();
  assert.equal((await server.backends("idle")).length, 5);
  const warmed = performance.now();
  await server.untilBackends("idle", 2);
  assert.ok(performance.now() - warmed >= 150, "not before its time");
  await until(() => pool.stats().total === 2, "the pool has closed the others");
  assert.equal(pool.stats().idle, 2);

  const left = await server.backends("idle");
  const end = performance.now() + 500;
  await until(async () => {
    assert.deepEqual(await server.backends("idle"), left, "minIdle stay");
    return performance.now() > end;
  }, "half a second");
  assert.ok(left.includes(await pool.use(pidOf)));
  assert.deepEqual(swallowed, []);
  await server.assertNothingLeaks(pool, "idle");
  await pool.close();
});

test("idleTimeout without minIdle closes the last connection too, and the pool goes on", async () => {
  const { pool } = server.pool("all-idle", { idleTimeout: "200ms" });
  await Promise.all([1, 2, 3].map(() => pool.use(answers)));
  await server.untilBackends("all-idle", 0);
  await until(() => pool.stats().total === 0, "the pool has closed them");
  await pool.use(answers);
  await server.assertNothingLeaks(pool, "all-idle");
  await pool.close();
});

test("a connection that is in use outlives idleTimeout, and so does one that is used again and again", async () => {
  const { pool } = server.pool("in-use", { poolSize: 2, maxOverflow: 0, idleTimeout: "200ms" });
  const lease = await pool.connect();
  const [held, used] = [await pidOf(lease.connection), await pool.use(pidOf)];
  const end = performance.now() + 600;
  await until(async () => {
    assert.equal(await pool.use(pidOf), used);
    return performance.now() > end;
  }, "three times idleTimeout");
  assert.equal(await pidOf(lease.connection), held);
  await lease.close();
  await server.untilBackends("in-use", 0);
  assert.equal(pool.stats().opened, 2);
  await pool.close();
});

// ---- maxUses

test("maxUses closes a backend at the return of its last use", async () => {
  const { pool } = server.pool("max-uses", { poolSize: 1, maxOverflow: 0, maxUses: 3 });
  const pids = [];
  for (let use = 0; use < 7; use++) pids.push(await pool.use(pidOf));
  const [a, b, c] = new Set(pids);
  assert.deepEqual(pids, [a, a, a, b, b, b, c]);
  await server.untilBackends("max-uses", 1);
  await pool.use(answers);
  await pool.use(answers);
  assert.equal(pool.stats().total, 0);
  await server.untilBackends("max-uses", 0);
  await pool.close();
});

test("maxUses under load: every caller is served, and no backend serves more than it may", async () => {
  const { pool } = server.pool("max-uses-busy", { poolSize: 3, maxOverflow: 0, maxUses: 4 });
  const pids = await Promise.all(Array.from({ length: 40 }, () => pool.use(pidOf)));
  const uses = new Map();
  for (const pid of pids) uses.set(pid, (uses.get(pid) ?? 0) + 1);
  assert.ok(Math.max(...uses.values()) <= 4);
  assert.ok(uses.size >= 10);
  await server.assertNothingLeaks(pool, "max-uses-busy");
  await pool.close();
});

// ---- warm(), and openings that the server refuses

test("warm() opens before a caller asks, up to poolSize and not twice", async () => {
  const { pool } = server.pool("warm", { poolSize: 4 });
  await pool.warm(2);
  assert.equal((await server.backends("warm")).length, 2);
  await Promise.all([pool.warm(3), pool.warm(3)]);
  assert.equal((await server.backends("warm")).length, 3);
  await pool.warm();
  await pool.warm(99);
  const warmed = await server.backends("warm");
  assert.equal(warmed.length, 4);
  const pids = await Promise.all([1, 2, 3, 4].map(() => pool.use(pidOf)));
  assert.deepEqual(
    pids.toSorted((a, b) => a - b),
    warmed,
  );
  assert.equal(pool.stats().opened, 4);
  await pool.close();
  await server.untilBackends("warm", 0);
});

test("warm() rejects with the server's own error, and leaves nothing behind", async () => {
  const { pool } = server.pool("refused", { client: { password: "wrong" } });
  await assert.rejects(pool.warm(), { code: "28P01", severity: "FATAL" });
  assert.equal(pool.stats().total, 0);
  await assert.rejects(pool.connect(), { code: "28P01" });
  await server.assertNothingLeaks(pool, "refused");
  await pool.close();
});

test("a server with fewer connections refuses some callers with its error and serves the rest", async () => {
  const { pool } = server.pool("narrow", { poolSize: 5, client: { user: "narrow", password: "narrow" } });
  await assert.rejects(pool.warm(), { code: "53300" });
  // Of sessions that start at once PostgreSQL may refuse one more than it must.
  assert.ok([1, 2].includes(pool.stats().total), "what was opened stays");
  const held = [await pool.connect(), await pool.connect()];
  await assert.rejects(pool.connect(), { code: "53300" });
  for (const lease of held) await lease.close();
  const results = await Promise.allSettled(
    Array.from({ length: 10 }, () => pool.use((client) => client.query("SELECT pg_sleep(0.01)"))),
  );
  for (const { status, reason } of results) if (status === "rejected") assert.equal(reason.code, "53300");
  assert.ok(results.some(({ status }) => status === "fulfilled"));
  await server.assertNothingLeaks(pool, "narrow");
  assert.equal(pool.stats().total, 2);
  await pool.close();
});

test("maxConnecting runs no more creators at a time, and every caller is served", async () => {
  for (const maxConnecting of [1, 2]) {
    const { pool, creators } = server.pool("some-by-some", { poolSize: 5, maxOverflow: 0, maxConnecting });
    const pids = await Promise.all(Array.from({ length: 20 }, () => pool.use(pidOf)));
    assert.equal(pids.length, 20);
    assert.equal(creators.most, maxConnecting);
    await server.assertNothingLeaks(pool, "some-by-some");
    await pool.close();
    await server.untilBackends("some-by-some", 0);
  }
});

// ---- what is done to each connection as it is opened

test("a connect listener's query is awaited before the first caller, once for each connection", async () => {
  const { pool, statements } = server.pool("unnamed", { poolSize: 3, maxOverflow: 0 });
  pool.on("firstConnect", (client) => client.query("SELECT 'first'"));
  pool.on("connect", (client) => client.query("SET application_name = 'named'"));
  const names = await Promise.all(
    Array.from({ length: 9 }, () =>
      pool.use(async (client) => (await client.query("SHOW application_name")).rows[0].application_name),
    ),
  );
  assert.deepEqual(names, new Array(9).fill("named"));
  // An opening goes on after its caller was served by a connection that came back.
  await until(() => pool.stats().idle === 3, "all three are open");
  assert.equal(statements[0], "SELECT 'first'");
  assert.equal(statements.filter((text) => text === "SELECT 'first'").length, 1);
  assert.equal(statements.filter((text) => text.startsWith("SET")).length, 3);
  assert.equal((await server.backends("named")).length, 3);
  assert.deepEqual(await server.backends("unnamed"), []);
  await pool.close();
  await server.untilBackends("named", 0);
});

test("a connect listener's query that fails is the error of that caller, and its backend is ended", async () => {
  const { pool } = server.pool("misnamed", { poolSize: 1, maxOverflow: 0 });
  const remove = pool.on("connect", (client) => client.query("SET no_such_setting = 1"));
  await assert.rejects(pool.connect(), { code: "42704" });
  assert.equal(pool.stats().total, 0);
  await server.untilBackends("misnamed", 0);
  remove();
  await pool.use(answers);
  await server.assertNothingLeaks(pool, "misnamed");
  await pool.close();
});
