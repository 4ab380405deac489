// edgepool/durable-object/pg, in real workerd, on a real PostgreSQL: the members of pg.Pool over the pool of an object.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startWorkerdOnPostgres } from "./workerd.mjs";

const source = `
  import { PoolObject, poolOf } from "edgepool/durable-object";
  import { Pool } from "edgepool/durable-object/pg";
  import { clients } from "edgepool/pg";
  import pg from "pg";

  export class Database extends PoolObject {
    constructor(ctx, env) {
      super(ctx, env, clients(env.DATABASE_URL), { poolSize: 1 });
    }
  }

  const called = (run) => new Promise((resolve) => run((...given) => resolve(given)));
  const message = (work) => Promise.resolve().then(work).then(() => "no error", (error) => error.message);

  const acts = {
    async forms(pool) {
      const text = "SELECT $1::int AS n";
      const [error, result] = await called((callback) => pool.query(text, [3], callback));
      return [
        (await pool.query(text, [1])).rows,
        (await pool.query({ text, values: [2], rowMode: "array" })).rows,
        [error === undefined, result.rows],
        (await called((callback) => pool.query("SELECT 4 AS n", callback)))[1].rows,
        (await called((callback) => pool.query("SELECT 1 / 0", callback)))[0].code,
        await message(() => pool.query(new pg.Query("SELECT 1"))),
      ];
    },
    async clients(pool) {
      const client = await pool.connect();
      await client.query("BEGIN");
      const out = pool.totalCount;
      client.release();
      const twice = await message(() => client.release());
      const [, again, release] = await called((callback) => pool.connect(callback));
      const { rows } = await again.query("SELECT pg_current_xact_id_if_assigned() IS NULL AS none");
      release(new Error("unfit"));
      {
        using third = await pool.connect();
      }
      return [out, twice, rows, pool.totalCount];
    },
    async late(pool) {
      const client = await pool.connect();
      client.release();
      return [await message(() => client.query("SELECT 1")), (await pool.query("SELECT 1 AS one")).rows];
    },
    async ended(pool) {
      await pool.end();
      return [
        pool.ended,
        await message(() => pool.query("SELECT 1")),
        await message(() => pool.connect()),
        await message(() => pool.end()),
      ];
    },
  };

  export default {
    async fetch(request, env) {
      const pool = new Pool(poolOf(env.DATABASE));
      try {
        return Response.json(await acts[new URL(request.url).pathname.slice(1)](pool));
      } catch (error) {
        return Response.json({ error: String(error.stack) }, { status: 500 });
      }
    },
  };
`;

let rig;

before(async () => {
  const main = { source, compatibilityFlags: ["nodejs_compat"], durableObjects: { DATABASE: "Database" } };
  rig = await startWorkerdOnPostgres({ workers: { main }, maxConnections: 20 });
});

after(() => rig?.stop());

const ask = async (act) => (await rig.workerd.ask(`/${act}`)).body;

test("query() takes text, values, a config and a callback, and refuses what cannot go to an object", async () => {
  assert.deepEqual(await ask("forms"), [
    [{ n: 1 }],
    [[2]],
    [true, [{ n: 3 }]],
    [{ n: 4 }],
    "22012",
    "a Durable Object runs no query objects, such as cursors and streams: call stream() of poolOf()",
  ]);
});

test("connect() lends a connection of the object, by promise and by callback, and a return resets it", async () => {
  const twice = "Release called on client which has already been released to the pool.";
  assert.deepEqual(await ask("clients"), [1, twice, [{ none: true }], 0]);
});

test("a client that was released refuses statements, and the next caller is served", async () => {
  const [refusal, rows] = await ask("late");
  assert.match(refusal, /released|ended|over/);
  assert.deepEqual(rows, [{ one: 1 }]);
});

test("after end() each call is refused with pg's messages", async () => {
  const used = "Cannot use a pool after calling end on the pool";
  assert.deepEqual(await ask("ended"), [true, used, used, "Called end on pool more than once"]);
});
