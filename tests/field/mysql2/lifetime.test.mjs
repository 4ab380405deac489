// How long connections live on a real server: recycle, idleTimeout with minIdle, maxUses, warm(), what is done to each
// as it is opened, and how it reaches the server.

import assert from "node:assert/strict";
import { onMariadb, until } from "../watched-mariadb.mjs";

const one = { poolSize: 1, maxOverflow: 0 };

await onMariadb((mariadb) => {
  const { test, flavour, pool: pooled, query, idOf, answers } = mariadb;

  test("the connections are as the options of the driver want them", async () => {
    const { pool } = pooled("options", one);
    const statusOf = async (name) =>
      (await pool.use((connection) => query(connection, "SHOW SESSION STATUS LIKE ?", [name])))[0].Value;
    assert.equal((await statusOf("Ssl_version")) !== "", flavour === "TLS");
    assert.equal(await statusOf("Compression"), flavour === "compression" ? "ON" : "OFF");
    await pool.close();
  });

  // ---- recycle

  test("recycle replaces a connection at its checkout once it is older than that, and not before", async () => {
    const { pool } = pooled("recycled", { ...one, recycle: "300ms" });
    const opened = performance.now();
    const first = await pool.use(idOf);
    let now = first;
    await until(async () => (now = await pool.use(idOf)) !== first, "a new session");
    assert.ok(performance.now() - opened >= 300);
    assert.equal(pool.stats().recycled, 1);
    await mariadb.untilSessions("recycled", 1);
    assert.deepEqual(await mariadb.sessions("recycled"), [now]);
    await pool.close();
  });

  test("a connection is not recycled under its lease, however old", async () => {
    const { pool } = pooled("held", { ...one, recycle: "50ms" });
    const lease = await pool.connect();
    const id = await idOf(lease.connection);
    const opened = performance.now();
    await until(() => performance.now() - opened > 100, "old enough");
    assert.equal(await idOf(lease.connection), id);
    await lease.close();
    assert.notEqual(await pool.use(idOf), id);
    await mariadb.untilSessions("held", 1);
    await pool.close();
  });

  test("recycle 0 opens a session for each use, recycle -1 never", async () => {
    for (const [recycle, opened] of [
      [0, 4],
      [-1, 1],
    ]) {
      const { pool } = pooled("always", { ...one, recycle });
      const ids = [];
      for (let use = 0; use < 4; use++) ids.push(await pool.use(idOf));
      assert.equal(new Set(ids).size, opened);
      assert.equal(pool.stats().opened, opened);
      await mariadb.untilSessions("always", 1);
      await pool.close();
      await mariadb.untilSessions("always", 0);
    }
  });

  // ---- idleTimeout, minIdle

  test("idleTimeout closes what is idle, down to minIdle, by itself; what is left is still good", async () => {
    const { pool, swallowed } = pooled("idle", { poolSize: 5, idleTimeout: "200ms", minIdle: 2 });
    await pool.warm();
    assert.equal((await mariadb.sessions("idle")).length, 5);
    const warmed = performance.now();
    await mariadb.untilSessions("idle", 2);
    assert.ok(performance.now() - warmed >= 150, "not before its time");
    await until(() => pool.stats().total === 2, "the pool has closed the others");
    const left = await mariadb.sessions("idle");
    const end = performance.now() + 300;
    await until(async () => {
      assert.deepEqual(await mariadb.sessions("idle"), left, "minIdle stay");
      return performance.now() > end;
    }, "more than idleTimeout");
    assert.ok(left.includes(await pool.use(idOf)));
    assert.deepEqual(swallowed, []);
    await mariadb.assertNothingLeaks(pool, "idle");
    await pool.close();
  });

  test("idleTimeout without minIdle closes the last connection too, and the pool goes on", async () => {
    const { pool } = pooled("all-idle", { idleTimeout: "100ms" });
    await Promise.all([1, 2, 3].map(() => pool.use(answers)));
    await until(() => pool.stats().total === 0, "the pool has closed them");
    await mariadb.untilSessions("all-idle", 0);
    await pool.use(answers);
    await mariadb.assertNothingLeaks(pool, "all-idle");
    await pool.close();
  });

  test("a connection that is in use outlives idleTimeout, and so does one that is used again and again", async () => {
    const { pool } = pooled("in-use", { poolSize: 2, maxOverflow: 0, idleTimeout: "200ms" });
    const lease = await pool.connect();
    const [held, used] = [await idOf(lease.connection), await pool.use(idOf)];
    const end = performance.now() + 450;
    await until(async () => {
      assert.equal(await pool.use(idOf), used);
      return performance.now() > end;
    }, "more than twice idleTimeout");
    assert.equal(await idOf(lease.connection), held);
    await lease.close();
    await mariadb.untilSessions("in-use", 0);
    assert.equal(pool.stats().opened, 2);
    await pool.close();
  });

  // ---- maxUses

  test("maxUses closes a session at the return of its last use", async () => {
    const { pool } = pooled("max-uses", { ...one, maxUses: 3 });
    const ids = [];
    for (let use = 0; use < 7; use++) ids.push(await pool.use(idOf));
    const [a, b, c] = new Set(ids);
    assert.deepEqual(ids, [a, a, a, b, b, b, c]);
    await mariadb.untilSessions("max-uses", 1);
    await pool.use(answers);
    await pool.use(answers);
    await until(() => pool.stats().total === 0, "the last use is over");
    await mariadb.untilSessions("max-uses", 0);
    await pool.close();
  });

  test("maxUses under load: every caller is served, and no session serves more than it may", async () => {
    const { pool } = pooled("max-uses-busy", { poolSize: 3, maxOverflow: 0, maxUses: 4 });
    const ids = await Promise.all(Array.from({ length: 40 }, () => pool.use(idOf)));
    const uses = new Map();
    for (const id of ids) uses.set(id, (uses.get(id) ?? 0) + 1);
    assert.ok(Math.max(...uses.values()) <= 4);
    assert.ok(uses.size >= 10);
    await mariadb.assertNothingLeaks(pool, "max-uses-busy");
    await pool.close();
  });

  // ---- warm(), and openings that the server refuses

  test("warm() opens before a caller asks, up to poolSize and not twice", async () => {
    const { pool } = pooled("warm", { poolSize: 4 });
    await pool.warm(2);
    assert.equal((await mariadb.sessions("warm")).length, 2);
    await Promise.all([pool.warm(3), pool.warm(3)]);
    assert.equal((await mariadb.sessions("warm")).length, 3);
    await pool.warm();
    await pool.warm(99);
    const warmed = await mariadb.sessions("warm");
    assert.equal(warmed.length, 4);
    const ids = await Promise.all([1, 2, 3, 4].map(() => pool.use(idOf)));
    assert.deepEqual(
      ids.toSorted((a, b) => a - b),
      warmed,
    );
    await pool.close();
    await mariadb.untilSessions("warm", 0);
  });

  test("warm() rejects with the server's own error, and leaves nothing behind", async () => {
    const { pool } = pooled("refused", { connection: { password: "wrong" } });
    await assert.rejects(pool.warm(), { errno: 1045 });
    assert.equal(pool.stats().total, 0);
    await assert.rejects(pool.connect(), { errno: 1045 });
    await mariadb.assertNothingLeaks(pool, "refused");
    await pool.close();
  });

  test("a server with fewer connections refuses some callers with its error and serves the rest", async () => {
    const { pool } = pooled("narrow", { poolSize: 5, limits: "WITH MAX_USER_CONNECTIONS 2" });
    await assert.rejects(pool.warm(), { errno: 1226 });
    assert.equal(pool.stats().total, 2, "what was opened stays");
    const held = [await pool.connect(), await pool.connect()];
    await assert.rejects(pool.connect(), { errno: 1226 });
    for (const lease of held) await lease.close();
    const results = await Promise.allSettled(
      Array.from({ length: 10 }, () => pool.use((connection) => query(connection, "SELECT SLEEP(0.01)"))),
    );
    for (const { status, reason } of results) if (status === "rejected") assert.equal(reason.errno, 1226);
    assert.ok(results.some(({ status }) => status === "fulfilled"));
    await mariadb.assertNothingLeaks(pool, "narrow");
    assert.equal(pool.stats().total, 2);
    await pool.close();
  });

  test("with openRetry callers wait for a server that is full", async () => {
    const { pool: other } = pooled("full", { ...one, limits: "WITH MAX_USER_CONNECTIONS 1" });
    const { pool } = pooled("full", { ...one, openRetry: true, deadline: "10s" });
    const lease = await other.connect();
    const waiting = pool.use(answers);
    await until(() => pool.stats().opening === 1, "an opening");
    await lease.close();
    await other.close();
    await waiting;
    await pool.close();
  });

  test("maxConnecting runs no more creators at a time, and every caller is served", async () => {
    for (const maxConnecting of [1, 2]) {
      const { pool, creators } = pooled("some-by-some", { poolSize: 5, maxOverflow: 0, maxConnecting });
      const ids = await Promise.all(Array.from({ length: 20 }, () => pool.use(idOf)));
      assert.equal(ids.length, 20);
      assert.equal(creators.most, maxConnecting);
      await mariadb.assertNothingLeaks(pool, "some-by-some");
      await pool.close();
      await mariadb.untilSessions("some-by-some", 0);
    }
  });

  // ---- what is done to each connection as it is opened

  test("a connect listener's statement is awaited before the first caller, once for each connection", async () => {
    const { pool, statements } = pooled("named", { poolSize: 3, maxOverflow: 0 });
    pool.on("firstConnect", (connection) => query(connection, "SELECT 'first'"));
    pool.on("connect", (connection) => query(connection, "SET @name = 'named'"));
    const names = await Promise.all(
      Array.from({ length: 9 }, () =>
        pool.use(async (connection) => (await query(connection, "SELECT @name AS name"))[0].name),
      ),
    );
    assert.deepEqual(names, new Array(9).fill("named"));
    // An opening goes on after its caller was served by a connection that came back.
    await until(() => pool.stats().idle === 3, "all three are open");
    assert.equal(statements[0], "SELECT 'first'");
    assert.equal(statements.filter((text) => text === "SELECT 'first'").length, 1);
    assert.equal(statements.filter((text) => text.startsWith("SET")).length, 3);
    await pool.close();
    await mariadb.untilSessions("named", 0);
  });

  test("a connect listener's statement that fails is the error of that caller, and its session is ended", async () => {
    const { pool } = pooled("misnamed", one);
    const remove = pool.on("connect", (connection) => query(connection, "SET no_such_setting = 1"));
    await assert.rejects(pool.connect(), { errno: 1193 });
    assert.equal(pool.stats().total, 0);
    await mariadb.untilSessions("misnamed", 0);
    remove();
    await pool.use(answers);
    await mariadb.assertNothingLeaks(pool, "misnamed");
    await pool.close();
  });

  // ---- the end

  test("an abort leaves the queue; while connecting, the connection is kept", async () => {
    const { pool } = pooled("aborted", one);
    const controller = new AbortController();
    const opening = pool.connect({ signal: controller.signal });
    const queued = pool.connect({ signal: controller.signal });
    controller.abort(new Error("enough"));
    await assert.rejects(opening, /enough/);
    await assert.rejects(queued, /enough/);
    await pool.use(answers);
    assert.equal(pool.stats().opened, 1);
    await pool.close();
  });

  test("dispose closes what is idle, and the pool goes on", async () => {
    const { pool } = pooled("disposed", { poolSize: 2 });
    const lease = await pool.connect();
    await pool.use(answers);
    await pool.dispose();
    await mariadb.untilSessions("disposed", 1);
    await answers(lease.connection);
    await lease.close();
    await mariadb.untilSessions("disposed", 0);
    await pool.use(answers);
    await pool.close();
  });

  test("close ends every session, also of a lease that is never returned", async () => {
    const { pool } = pooled("closed", { poolSize: 2 });
    const lost = await pool.connect();
    await pool.use(answers);
    await pool.close({ timeout: "1ms" });
    await mariadb.untilSessions("closed", 0);
    await lost.close();
  });

  test("a detached connection is the caller's own, beyond the pool's limit", async () => {
    const { pool } = pooled("detached", one);
    const lease = await pool.connect();
    await lease.detach();
    await pool.use(answers);
    await answers(lease.connection);
    assert.equal((await mariadb.sessions("detached")).length, 2);
    await lease.close();
    await mariadb.untilSessions("detached", 1);
    await pool.close();
  });
});
