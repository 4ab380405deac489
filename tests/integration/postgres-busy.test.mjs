// A connection that comes back while it is at work: neither the caller nor the slot waits for the statement, and none
// is left at work in the server.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { pg } from "edgepool/dialects/pg";
import { Client } from "pg";
import { answers, pidOf, until, WatchedPostgres } from "./watched-postgres.mjs";

const server = new WatchedPostgres("CREATE TABLE notes (text text)");

const one = { poolSize: 1, maxOverflow: 0 };

/** How many backends of a pool run a statement. */
const busy = async (name) =>
  (await server.run("SELECT 1 FROM pg_stat_activity WHERE application_name = $1 AND state = 'active'", [name])).length;

/** A query with a `submit` of its own, as pg-cursor, pg-query-stream and pg-copy-streams make them. */
class Portal extends Readable {
  constructor(submit) {
    super({ read() {} });
    this.submit = submit;
  }
  handleRowDescription() {}
  handleDataRow() {}
  handlePortalSuspended() {}
  handleCommandComplete() {}
  handleReadyForQuery() {}
  handleCopyData() {}
  handleError(error) {
    this.emit("error", error);
  }
}

const cursor = (rows) =>
  new Portal((connection) => {
    connection.parse({ text: "SELECT generate_series(1, 1000)" });
    connection.bind({ portal: "cursor" });
    connection.describe({ type: "P", name: "cursor" });
    connection.execute({ portal: "cursor", rows });
    connection.flush();
  });

const copyOut = () =>
  new Portal((connection) => {
    connection.query("COPY (SELECT generate_series(1, 1000000)) TO STDOUT");
    setImmediate(() => connection.stream.pause());
  });

for (const [what, statement] of Object.entries({
  "a statement": "SELECT pg_sleep(20)",
  "a statement with parameters": { text: "SELECT pg_sleep($1)", values: [20] },
  "a named statement": { name: "sleep", text: "SELECT pg_sleep($1)", values: [20] },
  "a statement in a transaction": "BEGIN; INSERT INTO notes VALUES ('timed out'); SELECT pg_sleep(20)",
})) {
  test(`${what} that times out at the client is cancelled, and its connection kept`, async () => {
    const name = `timed-out-${what}`;
    const { pool, swallowed, logged } = server.pool(name, one);
    const pid = await pool.use(pidOf);
    for (let time = 0; time < 3; time++) {
      const given = typeof statement === "string" ? { text: statement } : statement;
      const start = Date.now();
      await assert.rejects(
        pool.use((client) => client.query({ ...given, query_timeout: 100 })),
        /Query read timeout/,
      );
      assert.ok(Date.now() - start < 500, `after ${Date.now() - start} ms`);
      assert.equal(await pool.use(pidOf), pid);
    }
    assert.ok((await busy(name)) === 0);
    assert.deepEqual(await server.run("SELECT * FROM notes"), []);
    assert.deepEqual([pool.stats().opened, pool.stats().invalidated, swallowed, logged], [1, 0, [], []]);
    await server.assertNothingLeaks(pool, name);
  });
}

test("many statements that time out at the client leave no more backends at work than the pool has", async () => {
  const { pool } = server.pool("many-timed-out", { poolSize: 2, maxOverflow: 0 });
  let most = 0;
  let isOver = false;
  const watch = (async () => {
    while (!isOver) {
      most = Math.max(most, (await server.backends("many-timed-out")).length);
      await delay(10);
    }
  })();
  const sleeps = Array.from({ length: 20 }, () =>
    assert.rejects(
      pool.use((client) => client.query({ text: "SELECT pg_sleep(20)", query_timeout: 60 })),
      /Query read timeout/,
    ),
  );
  await Promise.all(sleeps);
  isOver = true;
  await watch;
  assert.deepEqual([most, pool.stats().opened], [2, 2]);
  // The last callers did not wait for the cancellation.
  await until(() => pool.stats().used === 0, "the return of the last two");
  await server.assertNothingLeaks(pool, "many-timed-out");
});

test("a statement that was not awaited is terminated after returnTimeout, at the server too", async () => {
  const { pool } = server.pool("not-awaited", { ...one, returnTimeout: "200ms" });
  const start = Date.now();
  let statement;
  await pool.use((client) => {
    statement = assert.rejects(client.query("INSERT INTO notes SELECT 'late' FROM pg_sleep(20)"));
  });
  assert.ok(Date.now() - start < 150);
  await pool.use(answers);
  assert.ok(Date.now() - start < 2_000);
  await statement;
  await until(async () => (await busy("not-awaited")) === 0, "the end of the statement");
  assert.deepEqual(await server.run("SELECT * FROM notes WHERE text = 'late'"), []);
  await server.assertNothingLeaks(pool, "not-awaited");
});

test("a statement that fails beside another one reaches its caller at once", async () => {
  const { pool } = server.pool("beside", { ...one, returnTimeout: "200ms" });
  const start = Date.now();
  await assert.rejects(
    pool.use((client) => Promise.all([client.query("SELECT 1 / 0"), client.query("SELECT pg_sleep(20)")])),
    { code: "22012" },
  );
  assert.ok(Date.now() - start < 1_000);
  await pool.use(answers);
  await server.assertNothingLeaks(pool, "beside");
});

test("an error of the server in a statement with parameters costs no connection", async () => {
  const { pool, swallowed } = server.pool("failed", one);
  for (let time = 0; time < 10; time++)
    await assert.rejects(
      pool.use((client) => client.query("SELECT 1 / $1::int", [0])),
      { code: "22012" },
    );
  assert.deepEqual([pool.stats().opened, pool.stats().idle, swallowed], [1, 1, []]);
});

test("the INSERT of a caller that close() refuses is not committed", async () => {
  const { pool } = server.pool("closing", one);
  const refused = assert.rejects(
    pool.use((client) => client.query("INSERT INTO notes SELECT 'closed' FROM pg_sleep(1)")),
  );
  await until(async () => (await busy("closing")) === 1, "the statement");
  await pool.close({ timeout: "50ms" });
  await refused;
  await server.untilBackends("closing", 0);
  assert.deepEqual(await server.run("SELECT * FROM notes WHERE text = 'closed'"), []);
});

for (const [what, open] of Object.entries({
  "a cursor": () => cursor(10),
  "a COPY TO": copyOut,
})) {
  for (const resetOnReturn of ["rollback", "none"]) {
    test(`${what} left open, with resetOnReturn "${resetOnReturn}", costs its connection at once`, async () => {
      const name = `open-${what}-${resetOnReturn}`;
      const { pool, swallowed } = server.pool(name, { ...one, resetOnReturn });
      const start = Date.now();
      const left = await pool.use(async (client) => {
        const query = client.query(open());
        await delay(50);
        return [query];
      });
      await pool.use(answers);
      assert.ok(Date.now() - start < 1_000);
      assert.deepEqual([pool.stats().opened, pool.stats().invalidated, swallowed], [2, 1, []]);
      // A reader that comes late gets an error, and does not wait.
      await assert.rejects(async () => {
        for await (const _row of left[0]);
      }, /Connection terminated|Premature close/);
      await server.assertNothingLeaks(pool, name);
    });
  }
}

test("a query stream that is being closed at the return costs no connection", async () => {
  const { pool } = server.pool("closed-stream", one);
  await pool.use(async (client) => {
    const query = cursor(10);
    query.cursor = { state: "idle" };
    client.query(query);
    await delay(20);
    // What pg-query-stream does when its reader stops.
    query.cursor.state = "done";
    client.connection.close({ type: "P", name: "cursor" });
    client.connection.sync();
  });
  await pool.use(answers);
  assert.equal(pool.stats().opened, 1);
});

test("a busy connection is seen at rest by a ping, if nothing is to be reset", async () => {
  const { pool } = server.pool("at-rest", { ...one, resetOnReturn: "none" });
  const statements = [];
  await pool.use((client) => {
    for (let number = 0; number < 3; number++) statements.push(client.query("SELECT pg_sleep(0.05)"));
  });
  await pool.use(answers);
  await Promise.all(statements);
  assert.equal(pool.stats().opened, 1);
});

// ---- the request to cancel

/** A client that was never connected, with what a server once said of it. */
const clientOf = (options) => Object.assign(new Client(options), { processID: 7, secretKey: 11 });

test("doCancel speaks to a unix socket, and waits for the server to close", async () => {
  const folder = mkdtempSync(join(tmpdir(), "edgepool-cancel-"));
  const requests = [];
  const listener = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", (request) => {
      requests.push(request);
      socket.end();
    });
  });
  await new Promise((resolve) => listener.listen(join(folder, ".s.PGSQL.5999"), resolve));
  assert.equal(await pg.doCancel(clientOf({ host: folder, port: 5999 })), true);
  const [request] = requests;
  assert.deepEqual(
    [0, 4, 8, 12].map((at) => request.readInt32BE(at)),
    [16, 80877102, 7, 11],
  );
  listener.close();
  rmSync(folder, { recursive: true });
});

test("doCancel is false if there is no server, no key, no TLS where it is asked for, or no answer", async () => {
  assert.equal(await pg.doCancel(new Client()), false);
  assert.equal(await pg.doCancel({ processID: 7, secretKey: 11 }), false);
  assert.equal(await pg.doCancel(clientOf({ host: "127.0.0.1", port: 1 })), false);
  const sockets = [];
  const listener = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    socket.once("data", (request) => {
      if (request.readInt32BE(4) === 80877103) socket.write("N");
    });
  });
  await new Promise((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const { port } = listener.address();
  assert.equal(await pg.doCancel(clientOf({ host: "127.0.0.1", port, ssl: true })), false);
  const client = clientOf({ host: "127.0.0.1", port });
  const start = Date.now();
  const [first, second] = await Promise.all([pg.doCancel(client), pg.doCancel(client)]);
  assert.deepEqual([first, second, sockets.length], [false, false, 2], "one request for both");
  assert.ok(Date.now() - start < 4_000);
  for (const socket of sockets) socket.destroy();
  listener.close();
});
