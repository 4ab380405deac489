// edgepool/pg: the members of pg.Pool on a real PostgreSQL, each as pg has it, or better where pg's users complain.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { unlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { afterEach, test } from "node:test";
import { fileURLToPath } from "node:url";
import { PoolClosedError, PoolTimeoutError, QueuePool } from "edgepool";
import { clients, Pool } from "edgepool/pg";
import { build } from "esbuild";
import pg from "pg";
import { pidOf, until, WatchedPostgres } from "./watched-postgres.mjs";

const server = new WatchedPostgres("CREATE TABLE kept (id int)");
const pools = [];

/** A pool whose backends have its name. */
function made(name, options = {}, Kind = Pool) {
  const pool = new Kind({ ...server.options, application_name: name, ...options });
  pools.push(pool);
  return pool;
}

afterEach(async () => {
  await Promise.all(pools.splice(0).map((pool) => pool.ending || pool.end({ timeoutMillis: 1 })));
});

/** Takes connections and says nothing. */
async function silentServer(t) {
  const sockets = new Set();
  const silent = createServer((socket) => sockets.add(socket.on("error", () => {})));
  silent.listen(0, "127.0.0.1");
  await once(silent, "listening");
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    silent.close();
  });
  return silent.address().port;
}

/** What a callback is called with. */
const called = (run) => new Promise((resolve) => run((...given) => resolve(given)));

test("it is a pg.Pool and an EventEmitter to those who ask", () => {
  const pool = made("kind");
  assert.ok(pool instanceof pg.Pool && pool instanceof EventEmitter && pool instanceof Pool);
  assert.ok(new (class Own extends Pool {})(server.options) instanceof pg.Pool);
  assert.equal(pool.then, undefined);
  assert.equal("getConnection" in pool, false);
  assert.equal(pool.Client, pg.Client);
  const listener = () => {};
  assert.equal(pool.on("connect", listener).once("connect", listener).listenerCount("connect"), 2);
  assert.equal(pool.removeListener("connect", listener).off("connect", listener).listenerCount("connect"), 0);
});

test("its class is called Pool after minification", async () => {
  const { outputFiles } = await build({
    stdin: {
      contents: 'import { Pool } from "edgepool/pg"; export const name = new Pool().constructor.name;',
      resolveDir: fileURLToPath(new URL("../..", import.meta.url)),
    },
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    external: ["pg", "node:*"],
  });
  const [{ text }] = outputFiles;
  // Beside this file, where it finds pg.
  const path = new URL(`minified-${process.pid}.mjs`, import.meta.url);
  writeFileSync(path, text);
  try {
    assert.equal((await import(path)).name, "Pool");
  } finally {
    unlinkSync(path);
  }
});

test("it completes its options as pg.Pool does, and hides the password and the key of TLS", () => {
  const key = "PEM";
  for (const options of [
    undefined,
    {},
    { max: 3, min: 1, idleTimeoutMillis: null, password: "secret", host: "db" },
    { poolSize: 4, idleTimeoutMillis: 0, maxUses: 7, maxLifetimeSeconds: 9, allowExitOnIdle: true },
    { connectionString: "postgres://a:b@c/d", connectionTimeoutMillis: 5, ssl: { key }, types: {}, surprise: 1 },
  ]) {
    const ours = new Pool(options);
    const theirs = new pg.Pool(options);
    assert.deepEqual({ ...ours.options }, { ...theirs.options });
    assert.equal(ours.options.password, theirs.options.password);
    assert.equal(JSON.stringify(ours.options).includes("secret"), false);
  }
  const { ssl } = new Pool({ ssl: { key } }).options;
  assert.deepEqual([ssl.key, Object.keys(ssl)], [key, []]);
  assert.equal(new Pool("postgres://a@b/c").options.connectionString, "postgres://a@b/c");
});

test("a connection string alone is enough", async () => {
  const { host, port, user, password, database } = server.options;
  const pool = new Pool(`postgres://${user}:${password}@${host}:${port}/${database}`);
  pools.push(pool);
  assert.equal((await pool.query("SELECT 1 AS one")).rows[0].one, 1);
});

test("query() takes text, values, a config and a callback, in every combination of pg", async () => {
  const pool = made("forms");
  const text = "SELECT $1::int AS n";
  const n = (result) => result.rows[0].n;
  assert.equal(n(await pool.query(text, [1])), 1);
  assert.equal(n(await pool.query({ text, values: [2] })), 2);
  assert.equal(n(await pool.query({ text }, [3])), 3);
  assert.deepEqual((await pool.query({ text, values: [4], rowMode: "array" })).rows, [[4]]);
  assert.equal(n(await pool.query({ text, values: [5], name: "prepared" })), 5);
  assert.equal((await pool.query("SELECT 1; SELECT 2")).length, 2);
  const byCallback = async (...given) => {
    const [error, result] = await called((callback) => assert.equal(pool.query(...given, callback), undefined));
    assert.equal(error, undefined);
    return result;
  };
  assert.equal(n(await byCallback("SELECT 6 AS n")), 6);
  assert.equal(n(await byCallback(text, [7])), 7);
  assert.equal(n(await byCallback({ text, values: [8] })), 8);
  assert.equal((await called((callback) => pool.query("SELECT 1 / 0", callback)))[0].code, "22012");
  const message = "Passing a function as the first parameter to pool.query is not supported";
  assert.equal((await called((callback) => pool.query(callback)))[0].message, message);
});

test("query() takes a query object, and its client comes back even if that calls no callback", async () => {
  const pool = made("objects", { max: 1 });
  assert.equal((await pool.query(new pg.Query("SELECT 9 AS n"))).rows[0].n, 9);
  const [error, result] = await called((callback) => pool.query(new pg.Query("SELECT 8 AS n", callback)));
  assert.deepEqual([error, result.rows[0].n], [null, 8]);
  await assert.rejects(pool.query(new pg.Query("SELECT 1 / 0")), { code: "22012" });
  let seen = 0;
  const silent = {
    submit: (connection) => void connection.query("SELECT 1 UNION SELECT 2"),
    handleRowDescription() {},
    handleDataRow: () => void seen++,
    handleCommandComplete() {},
    handleReadyForQuery() {},
    handleError() {},
  };
  await pool.query(silent);
  assert.equal(seen, 2);
  assert.deepEqual([pool.totalCount, pool.idleCount], [1, 1]);
});

test("a failed query costs its client, as in pg, and nothing else", async () => {
  const pool = made("failed", { max: 2 });
  const removed = [];
  pool.on("remove", (client) => removed.push(client));
  const failures = await Promise.allSettled(Array.from({ length: 10 }, () => pool.query("SELECT nothing")));
  assert.ok(failures.every(({ reason }) => reason.code === "42703"));
  assert.deepEqual([pool.totalCount, pool.idleCount, pool.waitingCount], [0, 0, 0]);
  await until(() => removed.length === 10, "ten clients were removed");
  assert.equal((await pool.query("SELECT 1 AS one")).rows[0].one, 1);
});

test("a query without a text, or of a wrong kind, is refused by the driver, and its client is not lost", async () => {
  const pool = made("no-text", { max: 1 });
  for (const query of [undefined, null, {}, { values: [1] }, 7]) await assert.rejects(pool.query(query), Error);
  await assert.rejects(pool.query("SELECT $1", "no array"), Error);
  assert.equal((await pool.query("SELECT 1 AS one")).rows[0].one, 1);
});

test("connect() lends the driver's client, the same object for the same connection", async () => {
  const pool = made("raw", { max: 1 });
  const client = await pool.connect();
  assert.ok(client instanceof pg.Client);
  assert.equal(Object.getPrototypeOf(client), pg.Client.prototype);
  client.mark = "of a library";
  client.release();
  const [error, again, release] = await called((callback) => assert.equal(pool.connect(callback), undefined));
  assert.equal(error, undefined);
  assert.equal(again, client);
  assert.equal(again.mark, "of a library");
  assert.equal((await again.query("SELECT 1 AS one")).rows[0].one, 1);
  release();
  assert.equal(pool.idleCount, 1);
});

test("a release(true), or with an error, ends the client, and its slot serves the next caller", async () => {
  const pool = made("unfit", { max: 1 });
  const first = await pool.connect();
  first.release(true);
  assert.equal(pool.totalCount, 0);
  const second = await pool.connect();
  assert.notEqual(second, first);
  second.release(new Error("unfit"));
  const third = await pool.connect();
  assert.notEqual(third, second);
  third.release(false);
  assert.equal(await pool.connect().then((client) => (client.release(), client)), third);
  await server.untilBackends("unfit", 1);
});

test("a second release throws, also while another caller has the client, and takes nothing from that one", async () => {
  const pool = made("twice", { max: 1 });
  const first = await pool.connect();
  const { release } = first;
  release();
  const message = "Release called on client which has already been released to the pool.";
  assert.throws(() => first.release(), { message });
  const second = await pool.connect();
  assert.throws(() => release(), { message });
  assert.equal(pool.idleCount, 0);
  assert.equal((await second.query("SELECT 1 AS one")).rows[0].one, 1);
  second.release();
});

test("a disposal gives the client back, once", async () => {
  const pool = made("disposal", { max: 1 });
  const client = await pool.connect();
  client[Symbol.dispose]();
  client[Symbol.dispose]();
  assert.equal(pool.idleCount, 1);
});

test("a client that was given back refuses statements in every form, and the next caller has it whole", async () => {
  const pool = made("late", { max: 1 });
  const client = await pool.connect();
  client.release();
  const code = "ERR_POOL_INVALID_REQUEST";
  await assert.rejects(client.query("BEGIN"), { code });
  assert.equal((await called((callback) => client.query("BEGIN", callback)))[0].code, code);
  const query = new pg.Query("BEGIN", () => {});
  const [error] = await called((callback) => {
    query.callback = callback;
    client.query(query);
  });
  assert.equal(error.code, code);
  const { rows } = await pool.query("SELECT pg_current_xact_id_if_assigned() AS xid");
  assert.equal(rows[0].xid, null);
  await pool.end();
  await assert.rejects(client.query("SELECT 1"), /Client was closed/);
});

test("an open transaction never reaches the next borrower", async () => {
  const pool = made("open", { max: 1 });
  const leave = async (...statements) => {
    const client = await pool.connect();
    for (const statement of statements) await client.query(statement).catch(() => {});
    client.release();
  };
  await leave("BEGIN", "INSERT INTO kept VALUES (1)");
  await leave("BEGIN", "INSERT INTO kept VALUES (1)", "SELECT 1 / 0");
  const client = await pool.connect();
  void client.query("BEGIN; INSERT INTO kept VALUES (1)").catch(() => {});
  client.release();
  assert.equal((await pool.query("SELECT count(*)::int AS count FROM kept")).rows[0].count, 0);
  assert.equal((await server.run("SELECT count(*)::int AS count FROM kept"))[0].count, 0);
});

test("it emits connect, acquire, release and remove with pg's arguments", async () => {
  const pool = made("events", { max: 1 });
  const seen = [];
  for (const event of ["connect", "acquire", "release", "remove"])
    pool.on(event, (...given) => seen.push([event, ...given]));
  const client = await pool.connect();
  client.release();
  assert.equal(await pool.connect(), client);
  const unfit = new Error("unfit");
  client.release(unfit);
  await until(() => seen.length === 6, "the client was removed");
  assert.deepEqual(seen, [
    ["connect", client],
    ["acquire", client],
    ["release", undefined, client],
    ["acquire", client],
    ["release", unfit, client],
    ["remove", client],
  ]);
});

test("a listener that throws changes nothing for the callers", async () => {
  const lines = [];
  const pool = made("throws", { max: 1, log: (...line) => lines.push(line) });
  for (const event of ["acquire", "release", "remove"])
    pool.on(event, () => {
      throw new Error(`in ${event}`);
    });
  (await pool.connect()).release();
  await assert.rejects(pool.query("SELECT 1 / 0"), { code: "22012" });
  assert.equal((await pool.query("SELECT 1 AS one")).rows[0].one, 1);
  assert.ok(lines.length >= 4);
});

test("what a connect listener begins is done before anyone has the client", async () => {
  const pool = made("set");
  pool.on("connect", async (client) => {
    await client.query("SET application_name = 'prepared'");
    await client.query("SET statement_timeout = 4321");
  });
  const { rows } = await pool.query("SHOW statement_timeout");
  assert.equal(rows[0].statement_timeout, "4321ms");
});

test("onConnect and verify run before a new client is lent, and their errors end it and reach the caller", async () => {
  const steps = [];
  let failure;
  const pool = made("steps", {
    max: 1,
    onConnect: async (client) => {
      await client.query("SELECT 1");
      steps.push("onConnect");
      if (failure === "onConnect") throw new Error(failure);
    },
    verify(client, done) {
      steps.push("verify");
      client.query("SELECT 1", () => done(failure === "verify" ? new Error(failure) : undefined));
    },
  });
  pool.on("connect", () => steps.push("connect"));
  await pool.query("SELECT 1");
  await pool.query("SELECT 1");
  assert.deepEqual(steps, ["onConnect", "connect", "verify"]);
  (await pool.connect()).release(true);
  for (failure of ["onConnect", "verify"]) {
    await assert.rejects(pool.connect(), { message: failure });
    assert.equal((await called((callback) => pool.connect(callback)))[0].message, failure);
    await server.untilBackends("steps", 0);
  }
  failure = undefined;
  assert.equal((await pool.query("SELECT 1 AS one")).rows[0].one, 1);
});

test("the counts are those of pg, at once", async () => {
  const pool = made("counts", { max: 2 });
  const counts = () => [pool.totalCount, pool.idleCount, pool.waitingCount, pool.expiredCount];
  assert.deepEqual(counts(), [0, 0, 0, 0]);
  const calls = [pool.connect(), pool.connect(), pool.connect()];
  assert.deepEqual(counts(), [2, 0, 1, 0]);
  const [first, second] = await Promise.all(calls.slice(0, 2));
  first.release();
  const third = await calls[2];
  assert.equal(third, first);
  second.release();
  assert.deepEqual(counts(), [2, 1, 0, 0]);
  third.release();
  assert.deepEqual(counts(), [2, 2, 0, 0]);
});

test("idle clients whose server has gone are reported to a listener, and end nothing without one", async () => {
  for (const isHeard of [true, false]) {
    const name = `idle-${isHeard}`;
    const pool = made(name, { max: 3 });
    const errors = [];
    if (isHeard) pool.on("error", (error, client) => errors.push([error, client]));
    const clients = await Promise.all([pool.connect(), pool.connect(), pool.connect()]);
    for (const client of clients) client.release();
    await server.kill(...(await server.backends(name)));
    await until(() => pool.totalCount === 0, "the pool knows");
    if (isHeard) {
      assert.equal(errors.length, 3);
      for (const [error, client] of errors) {
        assert.ok(error instanceof Error && clients.includes(client));
        assert.equal(error.client, client);
      }
    }
    assert.equal((await pool.query("SELECT 1 AS one")).rows[0].one, 1);
  }
});

test("a lent client whose server has gone ends nothing, and its slot is free before its release", async () => {
  const pool = made("lent", { max: 1 });
  const errors = [];
  pool.on("error", (error) => errors.push(error));
  const client = await pool.connect();
  await client.query("BEGIN");
  await server.kill(await pidOf(client));
  await assert.rejects(client.query("SELECT 1"));
  const next = await pool.connect();
  assert.notEqual(next, client);
  next.release();
  client.release(new Error("its server has gone"));
  assert.equal((await pool.query("SELECT 1 AS one")).rows[0].one, 1);
  assert.deepEqual([pool.totalCount, pool.idleCount, errors.length], [1, 1, 0]);
});

test("a client that has died at its borrower counts until its release, but never beyond max", async () => {
  const pool = made("died", { max: 2 });
  const client = await pool.connect();
  client.emit("error", new Error("as a driver says"));
  assert.deepEqual([pool.totalCount, pool.idleCount], [1, 0]);
  const others = await Promise.all([pool.connect(), pool.connect()]);
  assert.equal(pool.totalCount, 2);
  client.release();
  for (const other of others) other.release();
  assert.deepEqual([pool.totalCount, pool.idleCount], [2, 2]);
});

test("an idle client whose error leaves its socket alone is ended in the protocol", async () => {
  const pool = made("polite", { max: 1 });
  const client = await pool.connect();
  client.release();
  const ended = once(client.connection.stream, "end");
  pool.on("error", () => {});
  client.emit("error", new Error("of a library"));
  await ended;
  assert.equal(pool.totalCount, 0);
});

test("programs find the clients that are open or connect in _clients", async () => {
  const pool = made("listed", { max: 2 });
  const query = pool.query("SELECT pg_sleep(60)");
  assert.equal(pool._clients.length, 1);
  const [connecting] = pool._clients;
  await until(() => pool.queuePool.stats().used === 1, "it is open");
  connecting.connection.stream.emit("error", new Error("of the network"));
  await assert.rejects(query, { message: "of the network" });
  await until(() => pool._clients.length === 0, "none is open");
  pool.options.port = 1;
  await assert.rejects(pool.connect());
  assert.deepEqual(pool._clients, []);
});

test("log receives what the pool does, in the words of pg", async () => {
  const lines = [];
  const pool = made("logged", { maxUses: 1, log: (line) => lines.push(line) });
  await pool.query("SELECT 1");
  for (const line of ["connecting new client", "new client connected", "dispatching query", "remove expended client"])
    assert.ok(lines.includes(line), line);
});

test("connectionTimeoutMillis bounds the queue, the opening, and both together, with pg's messages", async (t) => {
  const pool = made("limits", { max: 1, connectionTimeoutMillis: 60 });
  const client = await pool.connect();
  const refused = await pool.connect().catch((error) => error);
  assert.equal(refused.message, "timeout exceeded when trying to connect");
  assert.ok(refused instanceof PoolTimeoutError);
  assert.equal(refused.stats.used, 1);
  assert.equal((await called((callback) => pool.query("SELECT 1", callback)))[0].message, refused.message);
  // The place comes free before the end, and the opening takes what is left.
  const port = await silentServer(t);
  const begun = performance.now();
  const queued = pool.connect();
  pool.options.port = port;
  setTimeout(() => client.release(true), 30);
  await assert.rejects(queued, { message: "Connection terminated due to connection timeout" });
  assert.ok(performance.now() - begun < 5_000);
  await assert.rejects(pool.query("SELECT 1"), { message: "Connection terminated due to connection timeout" });
  await until(() => pool.totalCount === 0, "no opening goes on");
});

test("a signal takes its caller out of the queue, and stops the statement under way", async () => {
  const pool = made("signals", { max: 1 });
  const client = await pool.connect();
  const leaves = new AbortController();
  const queued = [pool.connect({ signal: leaves.signal }), pool.query({ text: "SELECT 1", signal: leaves.signal })];
  const reason = new Error("no longer");
  leaves.abort(reason);
  for (const call of queued) await assert.rejects(call, (error) => error === reason);
  assert.equal(pool.waitingCount, 0);
  client.release();
  const stops = new AbortController();
  const running = pool.query({ text: "SELECT pg_sleep(60)", signal: stops.signal });
  const active = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'signals' AND state = 'active'";
  await until(async () => (await server.run(active)).length === 1, "the statement runs");
  stops.abort();
  await assert.rejects(running, { name: "AbortError" });
  await until(async () => (await server.run(active)).length === 0, "the statement has stopped");
  assert.equal((await pool.query({ text: "SELECT 1 AS one", signal: new AbortController().signal })).rows[0].one, 1);
});

test("end() serves those who wait, and resolves once all clients have ended", async () => {
  const pool = made("end", { max: 1 });
  const client = await pool.connect();
  const waiting = [pool.query("SELECT 1 AS one"), pool.query("SELECT 2 AS one")];
  const end = pool.end();
  assert.deepEqual([pool.ending, pool.ended], [true, false]);
  client.release();
  assert.deepEqual(
    (await Promise.all(waiting)).map(({ rows }) => rows[0].one),
    [1, 2],
  );
  await end;
  assert.deepEqual([pool.ended, pool.totalCount], [true, 0]);
  await server.untilBackends("end", 0);
});

test("end() has a limit: it then refuses who waits and ends the clients that are out", async () => {
  const pool = made("limit", { max: 1 });
  const client = await pool.connect();
  const waiting = pool.connect();
  const [refusal] = await Promise.all([waiting.catch((error) => error), pool.end({ timeoutMillis: 20 })]);
  assert.equal(refusal.message, "Cannot use a pool after calling end on the pool");
  assert.ok(refusal instanceof PoolClosedError);
  await assert.rejects(client.query("SELECT 1"));
  client.release();
  assert.throws(() => client.release());
  await server.untilBackends("limit", 0);
  const other = made("own-limit", { max: 1, endTimeoutMillis: 20 });
  await other.connect();
  await other.end();
  assert.equal(other.ended, true);
});

test("a client may come back after end()", async () => {
  const pool = made("after", { max: 2 });
  const clients = await Promise.all([pool.connect(), pool.connect()]);
  const end = pool.end();
  await clients[0].query("SELECT 1");
  clients[0].release();
  clients[1].release(new Error("unfit"));
  await end;
  await server.untilBackends("after", 0);
});

test("after end() each call is refused with pg's messages, by promise and by callback", async () => {
  const pool = made("ended");
  assert.deepEqual(await called((callback) => assert.equal(pool.end(callback), undefined)), []);
  const used = "Cannot use a pool after calling end on the pool";
  await assert.rejects(pool.connect(), { message: used });
  await assert.rejects(pool.query("SELECT 1"), { message: used });
  assert.equal((await called((callback) => pool.connect(callback)))[0].message, used);
  assert.equal((await called((callback) => pool.query("SELECT 1", callback)))[0].message, used);
  const twice = "Called end on pool more than once";
  await assert.rejects(pool.end(), { message: twice });
  assert.equal((await called((callback) => pool.end(callback)))[0].message, twice);
  await pool[Symbol.asyncDispose]();
});

test("a wrong limit of end() is refused, and the pool goes on", async () => {
  const pool = made("wrong-limit");
  await assert.rejects(pool.end({ timeoutMillis: "soon" }), { code: "ERR_POOL_ARGUMENT" });
  assert.equal((await pool.query("SELECT 1 AS one")).rows[0].one, 1);
  await pool[Symbol.asyncDispose]();
  assert.equal(pool.ended, true);
});

test("a wrong port, password or host is the driver's own error, at once, and nothing is lost", async () => {
  const pool = made("wrong", { max: 1 });
  const { port, password } = server.options;
  pool.options.port = 1;
  await assert.rejects(pool.connect(), { code: "ECONNREFUSED" });
  pool.options.port = port;
  pool.options.password = "wrong";
  await assert.rejects(pool.query("SELECT 1"), { code: "28P01" });
  pool.options.password = password;
  pool.options.host = "nowhere.invalid";
  await assert.rejects(pool.query("SELECT 1"), { syscall: "getaddrinfo" });
  pool.options.host = server.options.host;
  assert.deepEqual([pool.totalCount, pool.waitingCount], [0, 0]);
  assert.equal((await pool.query("SELECT 1 AS one")).rows[0].one, 1);
});

test("a wrong value of an option is refused by name", () => {
  assert.throws(() => new Pool({ max: -1 }), { code: "ERR_POOL_ARGUMENT", message: /poolSize/ });
  assert.throws(() => new Pool({ idleTimeoutMillis: "soon" }), { code: "ERR_POOL_ARGUMENT", message: /idleTimeout/ });
  assert.throws(() => new Pool({ edgepool: { poolsize: 1 } }), { code: "ERR_POOL_ARGUMENT", message: /poolsize/ });
});

test("max may be changed while the pool runs", async () => {
  const pool = made("resized", { max: "1" });
  const first = await pool.connect();
  pool.options.max = 2;
  const second = await pool.connect();
  pool.options.max = 1;
  const third = pool.connect();
  assert.equal(pool.waitingCount, 1);
  first.release();
  second.release();
  (await third).release();
  assert.equal(pool.totalCount, 1);
});

test("idleTimeoutMillis, maxUses and maxLifetimeSeconds may be changed while the pool runs", async () => {
  const pool = made("changed", { max: 3, idleTimeoutMillis: 0 });
  const idle = await pool.connect();
  idle.release();
  pool.options.idleTimeoutMillis = 20;
  (await pool.connect()).release();
  await until(() => pool.totalCount === 0, "it was closed");
  pool.options.idleTimeoutMillis = 0;
  pool.options.maxUses = 1;
  const used = await pool.connect();
  used.release();
  assert.equal(pool.totalCount, 0);
  pool.options.maxUses = Infinity;
  pool.options.maxLifetimeSeconds = 0.05;
  (await pool.connect()).release();
  assert.equal(pool.totalCount, 1);
  await until(() => pool.totalCount === 0, "it has grown too old");
  pool.options.maxLifetimeSeconds = 0;
  (await pool.connect()).release();
  assert.equal((await pool.query("SELECT 1 AS one")).rows[0].one, 1);
});

test("an option that becomes wrong is refused once, by name, and costs nothing", async () => {
  const lines = [];
  const pool = made("wrong-later", { max: 1, log: (...line) => lines.push(line.join(" ")) });
  const client = await pool.connect();
  pool.options.idleTimeoutMillis = "soon";
  client.release();
  assert.ok(lines.some((line) => line.includes("idleTimeout")));
  pool.options.max = -1;
  await assert.rejects(pool.connect(), { code: "ERR_POOL_ARGUMENT", message: /poolSize/ });
  assert.equal((await pool.query("SELECT 1 AS one")).rows[0].one, 1);
  assert.equal(pool.totalCount, 1);
});

test("min opens nothing by itself, and keeps clients that came back later than others", async () => {
  const pool = made("min", { max: 2, min: 2, idleTimeoutMillis: 20 });
  const [first, second] = await Promise.all([pool.connect(), pool.connect()]);
  await server.untilBackends("min", 2);
  const closed = [];
  pool.on("remove", (client) => closed.push(client));
  first.release();
  // Longer than idleTimeoutMillis.
  await second.query("SELECT pg_sleep(0.1)");
  second.release();
  await pool.query("SELECT pg_sleep(0.1)");
  assert.deepEqual([pool.totalCount, pool.idleCount, closed.length], [2, 2, 0]);
});

test("idleTimeoutMillis closes idle clients, as long as more than min are open, lent ones counted", async () => {
  const pool = made("idle-time", { max: 4, min: 2, idleTimeoutMillis: 20 });
  const clients = await Promise.all(Array.from({ length: 4 }, () => pool.connect()));
  clients[0].release();
  clients[1].release();
  await until(() => pool.totalCount === 2, "the idle ones were closed");
  assert.equal(pool.idleCount, 0);
  clients[2].release();
  clients[3].release();
  await server.untilBackends("idle-time", 2);
  assert.deepEqual([pool.totalCount, pool.idleCount], [2, 2]);
});

test("maxUses ends a client at its return", async () => {
  const pool = made("uses", { max: 1, maxUses: 2 });
  const pids = [];
  for (let use = 0; use < 4; use++) pids.push((await pool.query("SELECT pg_backend_pid() AS pid")).rows[0].pid);
  assert.equal(new Set(pids).size, 2);
  assert.equal(pids[0], pids[1]);
});

test("maxLifetimeSeconds ends an idle client of this age, and counts a lent one as expired", async () => {
  const pool = made("lifetime", { max: 2, maxLifetimeSeconds: 0.05 });
  const [first, second] = await Promise.all([pool.connect(), pool.connect()]);
  first.release();
  await until(() => pool.totalCount === 1, "the idle one was closed");
  await until(() => pool.expiredCount === 1, "the lent one has expired");
  second.release();
  await until(() => pool.totalCount === 0, "the other was closed at its return");
  assert.equal(pool.expiredCount, 0);
});

test("with allowExitOnIdle a process ends although clients are idle", () => {
  const program = `
    import { Pool } from "edgepool/pg";
    const pool = new Pool({ ...${JSON.stringify(server.options)}, max: 2, allowExitOnIdle: true });
    await Promise.all([pool.query("SELECT 1"), pool.query("SELECT pg_sleep(0.1)")]);
    console.log((await pool.query("SELECT 1 AS one")).rows[0].one, pool.idleCount);
  `;
  const begun = performance.now();
  const { status, stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "--eval", program], {
    encoding: "utf8",
    cwd: fileURLToPath(new URL(".", import.meta.url)),
    timeout: 9_000,
  });
  assert.deepEqual([status, stdout.trim()], [0, "1 2"], stderr);
  assert.ok(performance.now() - begun < 8_000);
});

test("the option Promise is the class of every promise", async () => {
  class Own extends Promise {}
  const pool = made("promise", { Promise: Own });
  const calls = [pool.query("SELECT 1"), pool.connect(), pool.end()];
  for (const call of calls) assert.ok(call instanceof Own);
  (await calls[1]).release();
  await Promise.all(calls);
});

test("the option Client is the class of the clients", async () => {
  class Own extends pg.Client {}
  const pool = made("own-client", { Client: Own });
  const client = await pool.connect();
  assert.ok(client instanceof Own);
  client.release();
  assert.equal(pool.Client, Own);
});

test("the option edgepool reaches the pool behind it", async () => {
  const pool = made("behind", { max: 1, edgepool: { prePing: true, loggingName: "behind" } });
  assert.equal(pool.queuePool.loggingName, "behind");
  await pool.query("SELECT 1");
  assert.equal((await pool.query("SELECT 1 AS one")).rows[0].one, 1);
  assert.equal(pool.queuePool.stats().checkouts, 2);
});

test("an instance that a tracer changes is called in its changed form", async () => {
  const pool = made("traced", { max: 1 });
  const client = await pool.connect();
  const { query, release } = client;
  const texts = [];
  client.query = (...given) => (texts.push(given[0]), query.apply(client, given));
  client.release = (...given) => {
    client.query = query;
    client.release = release;
    return release.apply(client, given);
  };
  await client.query("SELECT 1");
  client.release();
  assert.deepEqual(texts, ["SELECT 1"]);
  await assert.rejects(client.query("SELECT 1"), { code: "ERR_POOL_INVALID_REQUEST" });
  assert.equal((await pool.query("SELECT 1 AS one")).rows[0].one, 1);
});

test("fifty transactions over five clients lose no row, half of them rolled back", async () => {
  const pool = made("crowd", { max: 5 });
  await pool.query("CREATE TABLE crowd (id int)");
  await Promise.all(
    Array.from({ length: 50 }, async (_, id) => {
      const client = await pool.connect();
      try {
        await client.query("BEGIN");
        await client.query("INSERT INTO crowd VALUES ($1)", [id]);
        await client.query(id % 2 === 0 ? "COMMIT" : "ROLLBACK");
      } finally {
        client.release();
      }
    }),
  );
  assert.equal((await pool.query("SELECT count(*)::int AS count FROM crowd")).rows[0].count, 25);
  assert.equal(pool.totalCount, 5);
});

test("clients() opens the clients of a QueuePool, and brings the dialect of pg along", async () => {
  const { host, port, user, password, database } = server.options;
  for (const config of [
    { ...server.options, application_name: "clients" },
    `postgres://${user}:${password}@${host}:${port}/${database}?application_name=clients`,
  ]) {
    const pool = new QueuePool(clients(config), { poolSize: 2, maxOverflow: 0, prePing: true });
    const lease = await pool.connect();
    await lease.connection.query("BEGIN");
    await lease.close();
    const { rows } = await pool.use((client) => client.query("SELECT pg_current_xact_id_if_assigned() AS xid"));
    assert.equal(rows[0].xid, null);
    assert.ok((await pool.connect()).connection instanceof pg.Client);
    await server.kill(...(await server.backends("clients")));
    assert.equal(await pool.use(async (client) => (await client.query("SELECT 1 AS one")).rows[0].one), 1);
    await pool.close({ timeout: "1ms" });
  }
});

test("an opening of clients() fails with the driver's error, and an abandoned one leaves no socket", async (t) => {
  const failing = new QueuePool(clients({ ...server.options, password: "wrong" }));
  await assert.rejects(failing.connect(), { code: "28P01" });
  const silent = new QueuePool(clients({ host: "127.0.0.1", port: await silentServer(t) }), { openTimeout: "20ms" });
  await assert.rejects(silent.connect(), { code: "ERR_POOL_TIMEOUT" });
  await silent.close();
});
