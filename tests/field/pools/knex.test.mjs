// Knex's connectionPool on edgepool/tarn and a real PostgreSQL: queries, transactions, and the time-out that Knex
// converts.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, test } from "node:test";
import { pathToFileURL } from "node:url";
import { until, WatchedPostgres } from "../../integration/watched-postgres.mjs";
import { layProject } from "../project.mjs";

const server = new WatchedPostgres("CREATE TABLE things (id int)");
const project = layProject("pools", join(import.meta.dirname, "app"));
const { open, KnexTimeoutError, TarnTimeoutError, TimeoutError } = await import(
  pathToFileURL(join(project.folder, "knex.mjs")).href
);

function opened(more) {
  const { knex, pool } = open(server.options, more);
  after(async () => {
    await knex.destroy();
    await pool.destroy({ timeoutMillis: 1 });
  });
  return { knex, pool };
}

test("Knex queries, streams and runs 50 transactions over 5 connections, and gives everything back", async () => {
  const { knex, pool } = opened();
  await knex("things").insert([{ id: 1 }, { id: 2 }]);
  assert.deepEqual(await knex("things").select("id").orderBy("id"), [{ id: 1 }, { id: 2 }]);
  await Promise.all(
    Array.from({ length: 50 }, (_, id) =>
      knex
        .transaction(async (transaction) => {
          await transaction("things").insert({ id: 100 + id });
          if (id % 2) throw new Error("back");
        })
        .catch(({ message }) => assert.equal(message, "back")),
    ),
  );
  const [{ count }] = await knex("things").where("id", ">=", 100).count();
  assert.equal(Number(count), 25);
  await until(() => pool.numFree() === 5 && pool.numUsed() === 0, "all five are free");
});

test("a caller of Knex that waits for too long gets a KnexTimeoutError", async () => {
  const { knex, pool } = opened({ max: 1, acquireTimeoutMillis: 1_000 });
  const held = await pool.acquire().promise;
  const error = await knex.raw("SELECT 1").then(assert.fail, (error) => error);
  assert.ok(error instanceof KnexTimeoutError, error.stack);
  assert.match(error.message, /Timeout acquiring a connection/);
  const own = await pool.acquire().promise.then(assert.fail, (error) => error);
  assert.ok(own instanceof TarnTimeoutError && own instanceof TimeoutError);
  assert.equal(own.stats.used, 1);
  pool.release(held);
  assert.deepEqual((await knex.raw("SELECT 1 AS one")).rows, [{ one: 1 }]);
});

test("a transaction that its holder left open never reaches the next caller", async () => {
  const { pool } = opened({ max: 1 });
  const client = await pool.acquire().promise;
  await client.query("BEGIN");
  await client.query("INSERT INTO things VALUES (7)");
  pool.release(client);
  const next = await pool.acquire().promise;
  assert.equal(next, client);
  assert.deepEqual((await next.query("SELECT id FROM things WHERE id = 7")).rows, []);
  pool.release(next);
});

test("connections that were killed while they were free are replaced, and Knex goes on", async () => {
  const { knex, pool } = opened();
  const clients = await Promise.all(Array.from({ length: 5 }, () => pool.acquire().promise));
  const pids = clients.map(({ processID }) => processID);
  for (const client of clients) pool.release(client);
  for (const pid of pids) await server.kill(pid);
  await until(() => pool.numFree() === 0, "the pool knows");
  const answers = await Promise.all(Array.from({ length: 10 }, () => knex.raw("SELECT 1 AS one")));
  assert.equal(answers.length, 10);
  await until(() => pool.numUsed() === 0, "all are back");
});
