// edgepool/mysql2: the members of mysql2's pool, of callbacks and of promises, against a scripted server.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { EventEmitter } from "node:events";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { InvalidRequestError, PoolClosedError, PoolTimeoutError, QueueFullError, QueuePool } from "edgepool";
import { createPool, createPoolPromise } from "edgepool/mysql2";
import * as withPromises from "edgepool/mysql2/promise";
import mysql from "mysql2";
import promises from "mysql2/promise";
import { root } from "../../../scripts/run.mjs";
import { startScriptedMysql } from "./scripted-mysql.mjs";

let server;
const pools = [];

before(async () => {
  server = await startScriptedMysql();
});
beforeEach(() => {
  server.sessions.length = 0;
});
afterEach(async () => {
  await Promise.all(pools.splice(0).map((pool) => pool.queuePool.close({ timeout: 0 })));
});
after(() => server.stop());

function made(options = {}) {
  const pool = createPool({ ...server.options, edgepool: { logger: silent }, ...options });
  pools.push(pool);
  return pool;
}

const silent = { debug() {}, info() {}, warn() {}, error() {} };

/** What a callback is called with. */
const called = (run) => new Promise((resolve) => run((...given) => resolve(given)));

async function connectionOf(pool, ...options) {
  const [error, connection] = await called((callback) => pool.getConnection(...options, callback));
  if (error) throw error;
  return connection;
}

/** Waits until nothing is on its way back. */
async function atRest(pool) {
  while (pool.queuePool.stats().returning > 0) await new Promise((resolve) => setImmediate(resolve));
}

const received = () => server.sessions.map(({ received: texts }) => texts);

test("it is a mysql2 pool and an EventEmitter, has a name with Pool, and is not thenable", () => {
  const pool = made();
  assert.ok(pool instanceof mysql.Pool && pool instanceof EventEmitter && pool.queuePool instanceof QueuePool);
  assert.equal(pool.constructor.name, "Pool");
  assert.equal(pool.then, undefined);
  assert.equal("connect" in pool, false);
  assert.equal(pool.config.connectionLimit, 10);
  assert.equal(pool.config.connectionConfig.user, "edgepool");
  assert.deepEqual(server.sessions, [], "it opens nothing");
});

test("getConnection() lends mysql2's own connection, the same object for the same session", async () => {
  const pool = made();
  const connection = await connectionOf(pool);
  assert.ok(connection instanceof mysql.PoolConnection);
  connection.marked = true;
  connection.release();
  await atRest(pool);
  const again = await connectionOf(pool);
  assert.equal(again, connection);
  assert.equal(again.marked, true);
  again.release();
  assert.equal(server.sessions.length, 1);
});

test("a callback is called after its call has returned, and what it throws is an uncaught exception", () => {
  const program = `
    import { createPool } from "edgepool/mysql2";
    const pool = createPool({ host: "127.0.0.1", port: 1 });
    let hasReturned = false;
    pool.getConnection((error) => {
      if (!hasReturned || error.code !== "ECONNREFUSED") process.exit(3);
      process.on("uncaughtException", ({ message }) => process.exit(message === "of the callback" ? 7 : 4));
      throw new Error("of the callback");
    });
    hasReturned = true;
  `;
  const { status } = spawnSync(process.execPath, ["--input-type=module", "-e", program], { cwd: root });
  assert.equal(status, 7);
});

test("query() sends the statement alone, and a ROLLBACK if it left a transaction open or failed", async () => {
  const pool = made({ connectionLimit: 1 });
  const sent = async (text) => {
    await pool
      .promise()
      .query(text)
      .catch(() => {});
    await atRest(pool);
    return received()[0].splice(0);
  };
  for (const text of ["SELECT 7 AS id", "SELECT 7 AS id", "CHANGE 3"]) assert.deepEqual(await sent(text), [text]);
  for (const text of ["BEGIN", "FAIL 1213", "SET TRANSACTION READ ONLY"])
    assert.deepEqual(await sent(text), [text, "ROLLBACK"]);
  for await (const _row of pool.query("SELECT 7 AS id").stream());
  await atRest(pool);
  assert.deepEqual(received()[0], ["SELECT 7 AS id"]);
});

test("of twenty callers of query() on one connection each has its own answer, and none sends a ROLLBACK", async () => {
  const pool = made({ connectionLimit: 1 });
  const texts = Array.from({ length: 20 }, (_, number) => (number % 2 === 0 ? "SELECT 7 AS id" : `CHANGE ${number}`));
  const answers = await Promise.all(texts.map((text) => pool.promise().query(text)));
  assert.deepEqual(
    answers.map(([answer]) => answer.affectedRows ?? answer[0].id),
    texts.map((_, number) => (number % 2 === 0 ? 7 : number)),
  );
  assert.deepEqual(received(), [texts]);
});

test("query() and execute() take every form, and return what mysql2 returns", async () => {
  const pool = made();
  const [error, rows, fields] = await called((callback) => pool.query("SELECT 7 AS id", callback));
  assert.deepEqual([error, rows.map((row) => ({ ...row })), fields[0].name], [null, [{ id: 7 }], "id"]);
  for (const form of [["SELECT 7 AS id", []], [{ sql: "SELECT 7 AS id" }], [{ sql: "SELECT 7 AS id" }, []]]) {
    const [, found] = await called((callback) => pool.query(...form, callback));
    assert.equal(found[0].id, 7);
  }
  const rowsSeen = [];
  const query = pool.query("SELECT 7 AS id");
  query.on("result", (row) => rowsSeen.push(row.id));
  await new Promise((resolve) => query.on("end", resolve));
  assert.deepEqual(rowsSeen, [7]);
  const streamed = [];
  for await (const row of pool.query("SELECT 7 AS id").stream()) streamed.push(row.id);
  assert.deepEqual(streamed, [7]);
  const [array] = await pool.promise().query({ sql: "SELECT 7 AS id", rowsAsArray: true });
  assert.deepEqual(array, [[7]]);
  await atRest(pool);
  assert.equal(pool.queuePool.stats().used, 0);
});

test("the error of a promise of the pool has in its stack the functions that await it", async () => {
  class Own extends Promise {}
  const pool = made();
  const untraced = made({ trace: false });
  const stackOf = async (promised, method, ...given) => {
    const inner = async () => {
      await promised[method](...given);
    };
    const { message, stack } = await Promise.all([inner(), promised.query("SELECT 1")]).catch((error) => error);
    assert.ok(stack.startsWith(`Error: ${message}\n`), stack);
    return stack.includes("inner");
  };
  const bad = ["SELECT ?", [undefined]];
  assert.equal(await stackOf(pool.promise(), "query", "FAIL 1064"), true);
  assert.equal(await stackOf(pool.promise(), "query", "FAIL 1064", []), true);
  assert.equal(await stackOf(pool.promise(), "query", { sql: "FAIL 1064" }), true);
  assert.match(
    (
      await pool
        .promise()
        .execute(...bad)
        .catch((error) => error)
    ).message,
    /undefined/,
  );
  assert.equal(await stackOf(pool.promise(Own), "query", "FAIL 1064"), true);
  const answer = pool.promise(Own).query("SELECT 7 AS id");
  assert.ok(answer instanceof Own);
  await answer;
  assert.equal(await stackOf(untraced.promise(), "query", "FAIL 1064"), false);
  assert.throws(() => pool.promise().query("SELECT 1", () => {}), /Callback function is not available/);
  assert.throws(() => pool.promise().execute("SELECT 1", () => {}), /Callback function is not available/);
});

test("a failed query gives its connection back, and the error is mysql2's own", async () => {
  const pool = made({ connectionLimit: 1 });
  const [error] = await called((callback) => pool.query("FAIL 1064", callback));
  assert.equal(error.errno, 1064);
  await assert.rejects(pool.promise().query("FAIL 1064"), { errno: 1064 });
  const [undefinedError] = await called((callback) => pool.execute("SELECT ?", [undefined], callback));
  assert.match(undefinedError.message, /undefined/);
  await atRest(pool);
  assert.deepEqual([pool.queuePool.stats().idle, server.sessions.length], [1, 1]);
});

test("promise() is mysql2's promise pool: connections, query, execute, end", async () => {
  const pool = made();
  const promised = pool.promise();
  assert.ok(promised instanceof promises.PromisePool);
  assert.equal(promised.pool, pool);
  const connection = await promised.getConnection();
  assert.ok(connection instanceof promises.PromisePoolConnection);
  assert.equal((await connection.query("SELECT 7 AS id"))[0][0].id, 7);
  connection.release();
  promised.releaseConnection(connection);
  await atRest(pool);
  assert.deepEqual(pool.queuePool.stats().idle, 1);
  await promised.end();
  await assert.rejects(promised.getConnection(), { message: "Pool is closed." });
});

test("createPool of the promise entry and createPoolPromise make a promise pool, with the user's class", async () => {
  class Own extends Promise {}
  for (const make of [withPromises.createPool, createPoolPromise]) {
    const pool = make({ ...server.options, Promise: Own });
    pools.push(pool.pool);
    const asked = pool.query("SELECT 7 AS id");
    assert.ok(asked instanceof Own && pool instanceof promises.PromisePool);
    assert.equal((await asked)[0][0].id, 7);
    await pool[Symbol.asyncDispose]();
    assert.equal(pool.pool.queuePool.closed, true);
  }
});

test("a connection string has options of the connection and of the pool", () => {
  const text = "mysql://name:word@127.0.0.1:3307/shop?connectionLimit=3&queueLimit=2&acquireTimeout=50";
  for (const pool of [createPool(text), createPool({ uri: text })]) {
    const { host, port, user, database } = pool.config.connectionConfig;
    assert.deepEqual([host, port, user, database], ["127.0.0.1", 3307, "name", "shop"]);
    assert.deepEqual([pool.config.connectionLimit, pool.config.queueLimit], [3, 2]);
    assert.equal(pool.queuePool.stats().max, 3);
  }
});

for (const [options, max] of [
  [{}, 10],
  [{ connectionLimit: 3 }, 3],
  [{ connectionLimit: "4" }, 4],
  [{ connectionLimit: 0 }, Infinity],
  [{ connectionLimit: 0, maxIdle: 2 }, Infinity],
  [{ connectionLimit: 5, maxIdle: 2 }, 5],
  [{ connectionLimit: 2, maxIdle: 0 }, 2],
  [{ connectionLimit: 2, maxIdle: 7 }, 2],
]) {
  test(`${JSON.stringify(options)} means at most ${max} connections`, () => {
    assert.equal(made(options).queuePool.stats().max, max);
  });
}

test("maxIdle bounds the idle connections, and 0 keeps none", async () => {
  for (const [maxIdle, kept] of [
    [1, 1],
    [0, 0],
  ]) {
    const pool = made({ connectionLimit: 3, maxIdle });
    const connections = [await connectionOf(pool), await connectionOf(pool), await connectionOf(pool)];
    for (const connection of connections) connection.release();
    while (pool.queuePool.stats().total > kept) await new Promise((resolve) => setTimeout(resolve, 1));
    assert.equal(pool.queuePool.stats().idle, kept);
  }
});

test("idleTimeout closes idle connections also if maxIdle is not given", async () => {
  const pool = made({ idleTimeout: 20 });
  (await connectionOf(pool)).release();
  while (pool.queuePool.stats().total > 0) await new Promise((resolve) => setTimeout(resolve, 1));
  await server.sessions[0].closed;
  assert.equal(server.sessions[0].received.at(-1), "quit");
});

test("queueLimit refuses callers, waitForConnections false lets none wait, with mysql2's messages", async () => {
  const limited = made({ connectionLimit: 1, queueLimit: 1 });
  await connectionOf(limited);
  const waiting = connectionOf(limited);
  const [full] = await called((callback) => limited.getConnection(callback));
  assert.ok(full instanceof QueueFullError);
  assert.equal(full.message, "Queue limit reached.");
  void waiting.catch(() => {});
  const impatient = made({ connectionLimit: 1, waitForConnections: false });
  await connectionOf(impatient);
  const [taken] = await called((callback) => impatient.getConnection(callback));
  assert.ok(taken instanceof PoolTimeoutError);
  assert.equal(taken.message, "No connections available.");
  assert.equal(taken.stats.used, 1);
});

test("acquireTimeout bounds the wait, of the pool and of one call; a signal ends it", async () => {
  const pool = made({ connectionLimit: 1, acquireTimeout: 30 });
  const held = await connectionOf(pool, { acquireTimeout: 60_000 });
  const [late] = await called((callback) => pool.getConnection(callback));
  assert.ok(late instanceof PoolTimeoutError);
  assert.equal(late.timeoutMs, 30);
  assert.match(late.message, /1 in use/);
  const patient = connectionOf(pool, { acquireTimeout: 60_000 });
  const controller = new AbortController();
  const aborted = called((callback) => pool.getConnection({ signal: controller.signal }, callback));
  controller.abort(new Error("gone"));
  assert.equal((await aborted)[0].message, "gone");
  held.release();
  (await patient).release();
});

test("acquireTimeout covers the opening, and a server that welcomes no one holds nobody", async (t) => {
  const { createServer } = await import("node:net");
  const silent = createServer((socket) => void socket.on("error", () => {}));
  await new Promise((resolve) => silent.listen(0, "127.0.0.1", resolve));
  t.after(() => silent.close());
  const pool = made({ port: silent.address().port, acquireTimeout: 30 });
  const [late] = await called((callback) => pool.getConnection(callback));
  assert.ok(late instanceof PoolTimeoutError);
  assert.equal(late.step, "open");
});

test("an option that is wrong, unknown or no option is refused or named at once", (t) => {
  const logged = t.mock.method(console, "error", () => {});
  made({ poolSise: 1 });
  assert.match(logged.mock.calls[0].arguments[0], /invalid configuration option passed to Connection: poolSise/);
  for (const given of [undefined, null, 7]) assert.throws(() => createPool(given), TypeError);
  assert.throws(() => made({ acquireTimeout: "soon" }), /acquireTimeout must be a number of milliseconds; it is soon/);
  assert.throws(() => made({ edgepool: { poolsize: 1 } }), { code: "ERR_POOL_ARGUMENT" });
  assert.throws(() => made().getConnection(), /wants a callback/);
  assert.throws(() => made().getConnection({}), /wants a callback/);
});

test("the events are those of mysql2: connection, acquire, enqueue, release", async () => {
  const pool = made({ connectionLimit: 1 });
  const events = [];
  for (const event of ["connection", "acquire", "enqueue", "release"])
    pool.on(event, (connection) => events.push(connection === undefined ? event : `${event} ${connection.threadId}`));
  const connection = await connectionOf(pool);
  const waiting = connectionOf(pool);
  connection.release();
  (await waiting).release();
  assert.deepEqual(events, ["connection 1", "acquire 1", "enqueue", "release 1", "acquire 1", "release 1"]);
});

test("what a connection listener queries comes before the first caller", async () => {
  const pool = made();
  pool.on("connection", (connection) => connection.query("SET time_zone = '+00:00'"));
  await pool.promise().query("SELECT 7 AS id");
  assert.deepEqual(server.sessions[0].received.slice(0, 2), ["SET time_zone = '+00:00'", "SELECT 7 AS id"]);
});

test("a listener that throws disturbs no checkout and no return", async (t) => {
  const logged = t.mock.method(console, "error", () => {});
  const pool = made();
  for (const event of ["connection", "acquire", "release"])
    pool.on(event, () => {
      throw new Error(event);
    });
  (await connectionOf(pool)).release();
  await atRest(pool);
  assert.equal(logged.mock.callCount(), 3);
  assert.equal(pool.queuePool.stats().idle, 1);
});

test("an open transaction never reaches the next caller; resetOnRelease resets the whole session", async () => {
  const pool = made({ connectionLimit: 1 });
  const connection = await connectionOf(pool);
  await called((callback) => connection.beginTransaction(callback));
  connection.release();
  await pool.promise().query("SELECT 7 AS id");
  assert.deepEqual(received()[0].slice(0, 3), ["START TRANSACTION", "ROLLBACK", "SELECT 7 AS id"]);
  const resetting = made({ connectionLimit: 1, resetOnRelease: true });
  await resetting.promise().query("SELECT 7 AS id");
  await atRest(resetting);
  assert.equal(received()[1][1], "reset");
});

test("a second release() does nothing, and releaseConnection() takes both kinds of connections", async () => {
  const pool = made({ connectionLimit: 2 });
  const connection = await connectionOf(pool);
  connection.release();
  connection.release();
  pool.releaseConnection(connection);
  await atRest(pool);
  assert.deepEqual([pool.queuePool.stats().idle, pool.queuePool.stats().used], [1, 0]);
  const lent = await connectionOf(pool);
  pool.releaseConnection(lent);
  const promised = await pool.promise().getConnection();
  pool.releaseConnection(promised);
  await atRest(pool);
  assert.equal(pool.queuePool.stats().used, 0);
});

test("releaseConnection() of a connection that is not the pool's throws, and changes nothing", async () => {
  const pool = made();
  const other = mysql.createConnection(server.options);
  other.on("error", () => {});
  await called((callback) => other.connect(callback));
  assert.throws(() => pool.releaseConnection(other), InvalidRequestError);
  assert.throws(() => pool.releaseConnection({}), InvalidRequestError);
  assert.equal(pool.queuePool.stats().total, 0);
  other.destroy();
  await server.sessions[0].closed;
});

test("a released connection refuses statements until it is lent again", async () => {
  const pool = made({ connectionLimit: 1 });
  const connection = await connectionOf(pool);
  connection.release();
  for (const call of ["query", "execute"]) {
    const [error] = await called((callback) => connection[call]("SELECT 7 AS id", callback));
    assert.ok(error instanceof InvalidRequestError, call);
  }
  const [refused] = await called((callback) => connection.beginTransaction(callback));
  assert.ok(refused instanceof InvalidRequestError);
  await assert.rejects(connection.promise().query("SELECT 7 AS id"), InvalidRequestError);
  assert.throws(() => connection.query("SELECT 7 AS id"), InvalidRequestError);
  const again = await connectionOf(pool);
  assert.equal((await again.promise().query("SELECT 7 AS id"))[0][0].id, 7);
  assert.deepEqual(received()[0], ["ROLLBACK", "SELECT 7 AS id"]);
});

test("destroy() of a lent connection frees its slot at once", async () => {
  const pool = made({ connectionLimit: 1 });
  const connection = await connectionOf(pool);
  const waiting = connectionOf(pool);
  connection.destroy();
  const next = await waiting;
  assert.notEqual(next, connection);
  connection.release();
  assert.equal(pool.queuePool.stats().used, 1);
  next.release();
});

test("end() of a lent connection gives it back with a warning; with gracefulEnd it ends it", async (t) => {
  t.mock.method(console, "warn", () => {});
  const pool = made({ connectionLimit: 1 });
  const connection = await connectionOf(pool);
  await called((callback) => connection.end(() => callback()));
  await atRest(pool);
  assert.equal(pool.queuePool.stats().idle, 1);
  const graceful = made({ connectionLimit: 1, gracefulEnd: true });
  const ended = await connectionOf(graceful);
  await called((callback) => ended.end(() => callback()));
  await server.sessions[1].closed;
  assert.deepEqual(server.sessions[1].received, ["quit"]);
  (await connectionOf(graceful)).release();
});

test("a connection that dies in use or idle costs itself alone, and no error ends the process", async () => {
  const pool = made({ connectionLimit: 2 });
  const connection = await connectionOf(pool);
  const answer = called((callback) => connection.query("HANG", callback));
  await new Promise((resolve) => setTimeout(resolve, 5));
  server.sessions[0].reset();
  assert.ok((await answer)[0]);
  const next = await connectionOf(pool);
  next.release();
  connection.release();
  await atRest(pool);
  server.sessions[1].sayGoodbye(4031);
  await server.sessions[1].closed;
  while (pool.queuePool.stats().total > 0) await new Promise((resolve) => setImmediate(resolve));
  assert.equal((await pool.promise().query("SELECT 7 AS id"))[0][0].id, 7);
});

test("end() refuses waiters, waits for what is out, and calls back; a second call does, too", async () => {
  const pool = made({ connectionLimit: 1 });
  const connection = await connectionOf(pool);
  const waiting = called((callback) => pool.getConnection(callback));
  const ends = [called((callback) => pool.end(callback)), called((callback) => pool.end(callback))];
  const [closed] = await waiting;
  assert.ok(closed instanceof PoolClosedError);
  assert.equal(closed.message, "Pool is closed.");
  assert.equal((await connection.promise().query("SELECT 7 AS id"))[0][0].id, 7, "its holder goes on");
  connection.release();
  assert.deepEqual(await Promise.all(ends), [[], []]);
  assert.equal(received()[0].at(-1), "quit");
  const [late] = await called((callback) => pool.query("SELECT 1", callback));
  assert.equal(late.message, "Pool is closed.");
  assert.equal(pool.end(), undefined);
});

test("end() has a limit", async () => {
  const pool = made({ endTimeout: 20 });
  await connectionOf(pool);
  assert.deepEqual(await called((callback) => pool.end(callback)), []);
  await server.sessions[0].closed;
});

test("Symbol.dispose ends the pool and returns connections", async () => {
  const pool = made();
  const connection = await connectionOf(pool);
  connection[Symbol.dispose]();
  await atRest(pool);
  assert.equal(pool.queuePool.stats().idle, 1);
  pool[Symbol.dispose]();
  assert.equal(pool.queuePool.closed, true);
});

test("escape, escapeId and format are mysql2's, with the pool's options", () => {
  const pool = made({ timezone: "Z" });
  const theirs = mysql.createPool({ ...server.options, timezone: "Z" });
  const date = new Date(0);
  assert.equal(pool.escape(date), theirs.escape(date));
  assert.equal(pool.escapeId("a`b"), theirs.escapeId("a`b"));
  assert.equal(pool.format("? ??", [date, "x"]), theirs.format("? ??", [date, "x"]));
  assert.equal(pool.promise().escape("'"), theirs.promise().escape("'"));
});
