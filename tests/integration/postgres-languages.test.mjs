// A server that speaks another language: it gives the severity of an error in that, and node-postgres hands it on. What
// the pool does of an error is the same in each.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { pidOf, until, WatchedPostgres } from "./watched-postgres.mjs";
import { startProxy } from "./postgres-proxy.mjs";

const server = new WatchedPostgres();

/** The words for FATAL and ERROR, as the translations of PostgreSQL have them. */
const languages = {
  English: ["FATAL", "ERROR"],
  Italian: ["FATALE", "ERRORE"],
  Russian: ["ВАЖНО", "ОШИБКА"],
  Chinese: ["致命错误", "错误"],
};

let language = languages.English;
/** If it is set, the code of each FATAL error: a standby ends sessions with 40001, and other ERRORs have that, too. */
let fatalCode;
let proxy;

function translate(fields) {
  const isFatal = fields.V === "FATAL";
  if (isFatal && fatalCode !== undefined) fields.C = fatalCode;
  if (isFatal) [fields.S] = language;
  if (fields.V === "ERROR") [, fields.S] = language;
}

before(async () => {
  proxy = await startProxy(() => server.options.port, { translate });
});
after(() => proxy.close());

/** A pool of three through the proxy, all open. What the pool sends by itself is in `statements`. */
async function warmed(name, options = {}) {
  const made = server.pool(name, { poolSize: 3, maxOverflow: 0, client: { port: proxy.port }, ...options });
  await made.pool.warm();
  return made;
}

/** Kills a backend under its statement. */
async function killRunning(pid) {
  const running = "SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND state = 'active'";
  await until(async () => (await server.run(running, [pid])).length === 1, "the statement runs");
  await server.kill(pid);
}

for (const [name, words] of Object.entries(languages)) {
  test(`in ${name} the end of an idle session replaces that connection alone`, async () => {
    [language, fatalCode] = [words, "40001"];
    const { pool, statements, swallowed } = await warmed(`idle ${name}`);
    const [killed] = await server.backends(`idle ${name}`);
    await server.kill(killed);
    await until(() => pool.stats().total === 2, "it is dropped");
    await Promise.all([1, 2, 3].map(() => pool.use((client) => client.query("SELECT pg_sleep(0.01)"))));
    assert.equal(pool.stats().recycled, 0);
    assert.deepEqual([statements.includes("SELECT 1"), swallowed], [false, []]);
    await server.assertNothingLeaks(pool, `idle ${name}`);
  });

  test(`in ${name} the end of a session under a statement replaces that connection alone`, async () => {
    [language, fatalCode] = [words, "40001"];
    const { pool, statements, swallowed } = await warmed(`running ${name}`);
    await assert.rejects(
      pool.use(async (client) => {
        const sleep = client.query("SELECT pg_sleep(20)");
        sleep.catch(() => {});
        await killRunning(client.processID);
        await sleep;
      }),
      { code: "40001", severity: words[0] },
    );
    await Promise.all([1, 2, 3].map(() => pool.use((client) => client.query("SELECT pg_sleep(0.01)"))));
    assert.equal(pool.stats().opened, 4);
    assert.equal(statements.includes("SELECT 1"), false);
    assert.deepEqual(
      swallowed.filter(({ operation }) => operation !== "disconnect"),
      [],
    );
    await server.assertNothingLeaks(pool, `running ${name}`);
  });

  test(`in ${name} an error of a session whose caller keeps it concerns that connection alone`, async () => {
    [language, fatalCode] = [words, "40001"];
    const { pool, statements } = await warmed(`kept ${name}`);
    const lease = await pool.connect();
    const sleep = lease.connection.query("SELECT pg_sleep(20)").catch((error) => error);
    await killRunning(lease.connection.processID);
    assert.equal((await sleep).code, "40001");
    await until(() => pool.stats().used === 0, "its slot is free");
    await lease.close();
    await Promise.all([1, 2, 3].map(() => pool.use((client) => client.query("SELECT pg_sleep(0.01)"))));
    assert.equal(statements.includes("SELECT 1"), false);
  });

  test(`in ${name} a shutdown lets the pool ping the others`, async () => {
    [language, fatalCode] = [words, undefined];
    const { pool, statements } = await warmed(`shutdown ${name}`);
    const [killed] = await server.backends(`shutdown ${name}`);
    await server.kill(killed);
    await until(() => pool.stats().total === 2, "it is dropped");
    await Promise.all([1, 2].map(() => pool.use((client) => client.query("SELECT pg_sleep(0.01)"))));
    assert.equal(statements.filter((text) => text === "SELECT 1").length, 2);
  });

  test(`in ${name} an ERROR costs no connection`, async () => {
    [language, fatalCode] = [words, undefined];
    const { pool } = await warmed(`error ${name}`, { poolSize: 1 });
    const pid = await pool.use(pidOf);
    await assert.rejects(
      pool.use((client) => client.query("SELECT 1 / 0")),
      { code: "22012", severity: words[1] },
    );
    assert.equal(await pool.use(pidOf), pid);
    assert.deepEqual([pool.stats().opened, pool.stats().invalidated], [1, 0]);
  });

  test(`in ${name} a connection whose ping is its end is replaced, and no caller is refused`, async () => {
    [language, fatalCode] = [words, undefined];
    const { pool } = await warmed(`ping ${name}`, { prePing: true });
    const before = await pool.use(pidOf);
    proxy.answer({ S: "FATAL", V: "FATAL", C: "08P01", M: "server login has been failing" });
    assert.notEqual(await pool.use(pidOf), before);
    assert.equal(pool.stats().invalidated, 1);
  });

  test(`in ${name} an ERROR of a ping reaches its caller`, async () => {
    [language, fatalCode] = [words, undefined];
    const { pool } = await warmed(`ping error ${name}`, { prePing: true, resetOnReturn: "none", poolSize: 1 });
    await pool.use((client) => client.query("BEGIN; SELECT 1 / 0").catch(() => {}));
    await assert.rejects(pool.connect(), { code: "25P02", severity: words[1] });
  });
}
