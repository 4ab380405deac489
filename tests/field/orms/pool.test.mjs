// Every library on Pool of edgepool/pg, with the lines of docs/orms.md.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { until } from "../../integration/watched-postgres.mjs";
import { rowsOf } from "../guide.mjs";
import { layApp } from "./app.mjs";
import { consumers } from "./consumers.mjs";
import { assertWhole, max, server, testConsumer } from "./promises.mjs";

const { project, load } = layApp();
const { Pool } = await load("pool.mjs");
const modules = await Promise.all(consumers.map(({ name }) => load(`${name}.mjs`)));

for (const [at, { open }] of modules.entries()) testConsumer(consumers[at], (options) => open(Pool, options));

test("each line of docs/orms.md is the line that the tests of its library run, in the version that it names", () => {
  const { dependencies } = JSON.parse(readFileSync(join(import.meta.dirname, "package.json"), "utf8"));
  const rows = rowsOf("orms.md");
  assert.deepEqual(
    consumers.filter(({ title }) => !rows.some(([library]) => title.startsWith(library))),
    [],
  );
  for (const [library, version, line] of rows) {
    const { name, npm = name } =
      consumers.find(({ title }) => title === library) ?? assert.fail(`no test of ${library}`);
    assert.equal(version, dependencies[npm], library);
    const [, code] = /`([^`]+)`/.exec(line);
    assert.ok(readFileSync(join(project.folder, `${name}.mjs`), "utf8").includes(code), `${name}.mjs has no ${code}`);
  }
});

/** Opens a library on a pool in a database of its own, and counts the clients that it did not give back. */
async function openAlone(name, more = {}) {
  const database = `lost ${name}`;
  await server.run(`DROP DATABASE IF EXISTS "${database}" WITH (FORCE)`);
  await server.run(`CREATE DATABASE "${database}"`);
  const { open } = await load(`${name}.mjs`);
  const opened = await open(Pool, { ...server.options, database, application_name: database, max, ...more });
  await opened.makeTable();
  let kept = 0;
  opened.pool.on?.("acquire", () => kept++).on("release", () => kept--);
  after(() => opened.pool.queuePool.close({ timeout: "1ms" }));
  return { ...opened, kept: () => kept };
}

test("Drizzle keeps each client whose BEGIN fails, and the pool has the slot of a dead one at once", async () => {
  const { pool, transaction, kept } = await openAlone("drizzle");
  for (let lost = 1; lost <= 2 * max; lost++) {
    pool.once("acquire", (client) => client.connection.stream.destroy());
    await assert.rejects(transaction((tx) => tx.insert("lost")));
    assert.equal(kept(), lost);
  }
  await assertWhole(pool);
  await pool.end();
});

test("Drizzle keeps a client whose BEGIN the server refuses, and a holdLimit takes its slot back", async () => {
  const edgepool = { holdLimit: "500ms", onHoldLimit: "terminate" };
  const { db, pool, kept } = await openAlone("drizzle", { edgepool, log() {} });
  const refused = () => db.transaction(async () => {}, { isolationLevel: "none such" });
  await Promise.all(Array.from({ length: 2 * max }, () => assert.rejects(refused())));
  assert.equal(kept(), 2 * max);
  await until(() => pool.totalCount === 0, "all of them are taken back");
  await pool.end();
});

test("MikroORM keeps each client that died in a transaction, and the pool has its slot at once", async () => {
  const { pool, transaction, kept } = await openAlone("mikro-orm");
  for (let lost = 1; lost <= 2 * max; lost++) {
    const killed = transaction(async (tx) => server.kill(await tx.pid()).then(() => tx.insert("lost")));
    await assert.rejects(killed);
    assert.equal(kept(), lost);
  }
  await assertWhole(pool);
  await pool.end();
});

test("Knex on edgepool/tarn keeps its own options, and has its own error for a caller in want", async () => {
  const { knex, transaction } = await openAlone("knex-tarn", { max: 1, more: { acquireConnectionTimeout: 2000 } });
  await transaction(() => assert.rejects(async () => knex("item"), { name: "KnexTimeoutError" }));
  await knex.destroy();
});

test("MikroORM reads intervals as on its own pool", async () => {
  const { orm, pool } = await openAlone("mikro-orm");
  await pool.query("INSERT INTO item VALUES ('ada', '1 day 02:00:00')");
  const [{ age }] = await orm.em.fork().findAll("item");
  assert.equal(age.days, 1);
  assert.equal(age.hours, 2);
  await orm.close();
});
