// The dialect of tedious with the real driver, on a scripted server: no SQL Server runs here. What is tested is what
// tedious does with the answers that the specification of the protocol gives.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, test } from "node:test";
import { pathToFileURL } from "node:url";
import { root } from "../../../scripts/run.mjs";
import { until } from "../../integration/watched-postgres.mjs";
import { layProject } from "../project.mjs";
import { startTds } from "./scripted-tds.mjs";

const server = await startTds();
const project = layProject("tedious", join(import.meta.dirname, "app"));
const { begin, NullPool, open, QueuePool, Request, run, tedious } = await import(
  pathToFileURL(join(project.folder, "drivers.mjs")).href
);

const pools = [];
const unhandled = [];
process.on("unhandledRejection", (error) => void unhandled.push(error));

afterEach(async () => {
  await Promise.all(pools.splice(0).map((pool) => pool.close({ timeout: 0 })));
  assert.deepEqual(unhandled.splice(0), []);
});
after(() => server.stop());

/** A pool of one connection, and what it has to complain of. */
async function made({ Kind = QueuePool, ...options } = {}) {
  const complaints = [];
  const note = (message, error) => complaints.push([message, error?.message].join(": "));
  const logger = { debug() {}, info() {}, warn: note, error: note };
  const sizes = Kind === QueuePool ? { poolSize: 1, maxOverflow: 0 } : {};
  const pool = new Kind(() => open(server.port), { dialect: tedious, logger, ...sizes, ...options });
  pools.push(pool);
  if (Kind === QueuePool) await pool.warm(1);
  server.log.length = 0;
  return { pool, complaints, query: (statement) => pool.use((connection) => run(connection, statement)) };
}

test("a clean return sends nothing, whatever a transaction was ended by", async () => {
  for (const resetOnReturn of ["rollback", "commit", "none"]) {
    const { pool, query } = await made({ resetOnReturn });
    await query("select 1");
    await pool.use(() => {});
    await pool.use(async (connection) => {
      await begin(connection);
      await run(connection, "rollback tran");
    });
    assert.deepEqual(server.log, ["select 1", "begin", "rollback tran"], resetOnReturn);
    assert.equal(pool.stats().opened, 1);
  }
});

test("a transaction that was left open is rolled back, however it began", async () => {
  for (const leave of [begin, (connection) => run(connection, "begin tran")]) {
    const { pool, query, complaints } = await made();
    await pool.use(leave);
    await query("select 1");
    assert.deepEqual(server.log.slice(1), ["rollback", "select 1"]);
    assert.equal(pool.stats().opened, 1);
    assert.deepEqual(complaints, []);
  }
});

test('with resetOnReturn "commit" it is committed', async () => {
  const { pool, query } = await made({ resetOnReturn: "commit" });
  await pool.use(begin);
  await query("select 1");
  assert.deepEqual(server.log, ["begin", "commit", "select 1"]);
});

test('"session" has the server reset the session, after a rollback', async () => {
  const { pool, query } = await made({ resetOnReturn: "session" });
  await pool.use(begin);
  await query("select 1");
  assert.deepEqual(server.log, ["begin", "rollback", "reset", "select 1", "reset"]);
  assert.equal(pool.stats().opened, 1);
});

test("a request under way at the return is waited for: tedious refuses another one", async () => {
  const { pool, query, complaints } = await made();
  await pool.use((connection) => {
    void begin(connection);
  });
  await query("select 1");
  assert.deepEqual(server.log, ["begin", "rollback", "select 1"]);
  assert.equal(pool.stats().opened, 1);
  assert.deepEqual(complaints, []);
});

test("a request that does not end costs its connection, within returnTimeout", async () => {
  const { pool, query } = await made({ returnTimeout: "100ms" });
  let waiting;
  await pool.use((connection) => {
    waiting = run(connection, "waitfor delay").catch((error) => error);
  });
  await query("select 1");
  assert.equal((await waiting).code, "ECLOSE");
  assert.equal(pool.stats().opened, 2);
});

test("a request whose rows are paused costs its connection at once", async () => {
  const { pool, query, complaints } = await made();
  await pool.use((connection) => {
    const request = new Request("waitfor delay", () => {});
    connection.execSqlBatch(request);
    request.pause();
  });
  await query("select 1");
  assert.equal(pool.stats().opened, 2);
  assert.deepEqual(complaints, []);
});

test("a request that was cancelled, or whose time was over, costs no connection", async () => {
  const { pool, query } = await made();
  const cancelled = pool.use((connection) => {
    const waiting = run(connection, "waitfor delay");
    setTimeout(() => connection.cancel(), 20);
    return waiting;
  });
  await assert.rejects(cancelled, { code: "ECANCEL" });
  const late = pool.use((connection) => {
    return new Promise((resolve, reject) => {
      const request = new Request("waitfor delay", (error) => (error ? reject(error) : resolve()));
      request.setTimeout(20);
      connection.execSqlBatch(request);
    });
  });
  await assert.rejects(late, { code: "ETIMEOUT" });
  await assert.rejects(query("nonsense"), { number: 102 });
  await query("select 1");
  assert.equal(pool.stats().opened, 1);
});

test("a session that ends while it is idle is replaced, and no caller notices", async () => {
  for (const reset of [false, true]) {
    const { pool, query } = await made();
    server.cut(reset);
    await until(() => pool.stats().idle === 0, "the death is noticed");
    await query("select 1");
    assert.equal(pool.stats().opened, 2);
  }
});

test("a session that ends under a request fails its caller, and the next has another", async () => {
  for (const reset of [false, true]) {
    const { pool, query } = await made();
    const failing = query("waitfor delay");
    await until(() => server.log.includes("waitfor delay"), "it runs");
    server.cut(reset);
    await assert.rejects(failing);
    await query("select 1");
    assert.equal(pool.stats().opened, 2);
    assert.equal(pool.stats().invalidated, 1);
  }
});

test("a connection that its caller has closed costs no later caller anything", async () => {
  for (const resetOnReturn of ["rollback", "none"]) {
    const { pool, query, complaints } = await made({ resetOnReturn });
    await pool.use((connection) => connection.close());
    await query("select 1");
    assert.equal(pool.stats().opened, 2);
    assert.deepEqual(complaints, []);
  }
});

test("prePing asks the server, and replaces what does not answer", async () => {
  const { pool, query } = await made({ prePing: true });
  await query("select 2");
  await query("select 2");
  assert.deepEqual(server.log, ["SELECT 1", "select 2", "SELECT 1", "select 2"]);
  for (const { socket } of server.sessions) socket.removeAllListeners("data");
  await pool.close();
  const { pool: silent } = await made({ prePing: true, pingTimeout: "50ms" });
  for (const { socket } of server.sessions) socket.removeAllListeners("data");
  await silent.use((connection) => run(connection, "select 1"));
  assert.equal(silent.stats().opened, 2);
});

test("a call of a lease that has ended is refused in the manner of tedious", async () => {
  const { pool } = await made();
  const late = await pool.use((connection) => connection);
  const code = "ERR_POOL_INVALID_REQUEST";
  await assert.rejects(run(late, "select 1"), { code });
  await assert.rejects(begin(late), { code });
  assert.throws(() => late.close(), { code });
  assert.deepEqual(server.log, []);
});

test("a connection that is not connected is refused by name", async () => {
  const closed = await open(server.port);
  closed.close();
  const message =
    'dialect "tedious" was given a Connection that is not connected; the creator must await its event "connect"';
  const pool = new QueuePool(() => closed, { dialect: tedious });
  await assert.rejects(pool.connect(), { name: "TypeError", message });
  await pool.close();
  assert.throws(() => tedious.doCheck({}), /an object without execSqlBatch\(\)/);
});

test("close() leaves no session, and a NullPool closes each", async () => {
  const { pool } = await made({ poolSize: 3 });
  await pool.warm(3);
  await pool.close();
  const { query } = await made({ Kind: NullPool });
  await query("select 1");
  await until(() => server.sessions.size === 0, "no session is left");
});

test("the dialect takes the connections of tedious, by its own types", () => {
  const program = `
    import { QueuePool } from "edgepool";
    import { tedious } from "edgepool/dialects/tedious";
    import { Connection, type ConnectionConfiguration } from "tedious";
    const open = async (config: ConnectionConfiguration): Promise<Connection> => new Connection(config);
    const pool = new QueuePool(() => open({ server: "localhost" }), { dialect: tedious });
    export const isCancelled: Promise<boolean> = pool.use((connection) => connection.cancel());
  `;
  writeFileSync(join(project.folder, "types.ts"), program);
  const compilerOptions = {
    strict: true,
    noEmit: true,
    module: "nodenext",
    target: "es2022",
    lib: ["es2022", "esnext.disposable", "dom"],
    types: ["node"],
    skipLibCheck: true,
  };
  writeFileSync(join(project.folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["types.ts"] }));
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
  const { status, stdout } = spawnSync(process.execPath, [tsc, "-p", project.folder], { encoding: "utf8" });
  assert.equal(status, 0, stdout);
});
