// A blocked event loop, with real sockets: what lies in a socket by then has come in time. The server is a process of
// its own, so that it answers while this one is blocked.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import { QueuePool } from "edgepool";

/** Greets each client, and answers each request after so many milliseconds as it names. */
const serverSource = `
  const server = require("net").createServer((socket) => {
    socket.on("error", () => {});
    socket.write("hello");
    socket.on("data", (data) => setTimeout(() => socket.write("ok"), Number(data)));
  });
  server.listen(0, "127.0.0.1", () => console.log(server.address().port));
`;

let server;
let port;

before(async () => {
  server = spawn(process.execPath, ["-e", serverSource], { stdio: ["ignore", "pipe", "inherit"] });
  port = Number(String((await once(server.stdout, "data"))[0]));
});

after(() => server.kill());

async function open() {
  const socket = connect(port, "127.0.0.1");
  await once(socket, "data");
  return socket;
}

async function ask(socket, ms = 0) {
  socket.write(String(ms));
  await once(socket, "data");
  return true;
}

function block(ms) {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

/** Lets the requests go out. */
const turn = () => new Promise((resolve) => setImmediate(resolve));

function poolOf(options) {
  return new QueuePool(open, {
    maxOverflow: 0,
    logger: { ...console, warn() {}, error() {} },
    dialect: {
      doPing: (socket) => ask(socket),
      doRollback: (socket) => ask(socket),
      doClose: (socket) => socket.destroy(),
    },
    ...options,
  });
}

test("a waiter is served although its time passed in the block, and its connection is reset first", async () => {
  const pool = poolOf({ poolSize: 1, timeout: "200ms" });
  await pool.warm();
  const holder = pool.use((socket) => ask(socket));
  const waiter = pool.use((socket) => ask(socket));
  await turn();
  block(400);
  await Promise.all([holder, waiter]);
  assert.equal(pool.stats().timedOut, 0);
  await pool.close();
});

test("of fifty waiters behind ten busy connections those are served whose connection is back", async () => {
  const pool = poolOf({ poolSize: 10, timeout: "500ms", resetOnReturn: "none" });
  await pool.warm();
  const holders = Array.from({ length: 10 }, () => pool.use((socket) => ask(socket, 100)));
  await turn();
  const waiters = Array.from({ length: 50 }, () =>
    pool
      .use((socket) => ask(socket, 300))
      .then(
        () => "served",
        (error) => error.code,
      ),
  );
  // The time of each has begun by then: a waiter that comes right before the block has its full time after it.
  await new Promise((resolve) => setTimeout(resolve, 50));
  block(750);
  await Promise.all(holders);
  const answers = await Promise.all(waiters);
  assert.deepEqual(answers.slice(0, 10), Array(10).fill("served"));
  assert.deepEqual(answers.slice(10), Array(40).fill("ERR_POOL_TIMEOUT"));
  assert.equal(pool.stats().opened, 10);
  await pool.close();
});

test("a ping that the server answers during the block replaces no connection", async () => {
  const ping = (socket) => ask(socket, 100);
  const pool = poolOf({
    poolSize: 10,
    prePing: true,
    pingTimeout: "300ms",
    dialect: { doPing: ping, doClose: (socket) => socket.destroy() },
  });
  await pool.warm();
  const users = Array.from({ length: 10 }, () => pool.use(() => {}));
  await turn();
  block(500);
  await Promise.all(users);
  assert.deepEqual([pool.stats().opened, pool.stats().invalidated], [10, 0]);
  await pool.close();
});

test("an opening and a reset that the server answers during the block are in time", async () => {
  const pool = poolOf({ poolSize: 2, driverTimeout: "200ms", returnTimeout: "200ms" });
  const opening = pool.connect();
  await turn();
  block(400);
  const lease = await opening;
  const reset = lease.close();
  await turn();
  block(400);
  await reset;
  const { idle, opened, openFailed, invalidated } = pool.stats();
  assert.deepEqual({ idle, opened, openFailed, invalidated }, { idle: 1, opened: 1, openFailed: 0, invalidated: 0 });
  await pool.close();
});

test("a connection that the server does not answer is given up after the block", async () => {
  const pool = poolOf({ poolSize: 1, timeout: "200ms" });
  void pool.use((socket) => ask(socket, 5_000)).catch(() => {});
  await turn();
  const waiter = pool.connect();
  await turn();
  block(400);
  const start = performance.now();
  await assert.rejects(waiter, { code: "ERR_POOL_TIMEOUT" });
  assert.ok(performance.now() - start < 200, "within the grace");
  await pool.close({ timeout: 0 });
});
