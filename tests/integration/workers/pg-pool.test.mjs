// edgepool/pg at module scope, in real workerd, on a real PostgreSQL: no request meets another's client.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startWorkerdOnPostgres } from "./workerd.mjs";

const source = `
  import { DurableObject, env } from "cloudflare:workers";
  import { Pool } from "edgepool/pg";
  import pg from "pg";

  const pool = new Pool({ connectionString: env.DATABASE_URL, max: 2 });
  pool.on("connect", (client) => void (client.isOf = undefined));
  const text = "SELECT pg_backend_pid() AS pid, pg_sleep(0.01)";

  async function work(run) {
    const pids = await Promise.all(
      Array.from({ length: 4 }, async () => {
        const client = await pool.connect();
        try {
          client.isOf ??= run;
          if (client.isOf !== run) throw new Error("a client of another request");
          await client.query("BEGIN");
          return (await client.query(text)).rows[0].pid;
        } finally {
          client.release();
        }
      }),
    );
    const { rows } = await pool.query("SELECT pg_current_xact_id_if_assigned() IS NULL AS none");
    return { pids: [...new Set(pids)], none: rows[0].none, total: pool.totalCount };
  }

  export class Holder extends DurableObject {
    fetch = async () => Response.json(await work("the object"));
  }

  export default {
    async fetch(request) {
      const { pathname } = new URL(request.url);
      try {
        if (pathname === "/kind") return Response.json([pool instanceof pg.Pool, pool.constructor.name]);
        if (pathname === "/object") return await env.HOLDER.get(env.HOLDER.idFromName("one")).fetch(request);
        return Response.json(await work(crypto.randomUUID()));
      } catch (error) {
        return Response.json({ error: String(error.stack) }, { status: 500 });
      }
    },
  };
`;

let rig;

before(async () => {
  const main = { source, compatibilityFlags: ["nodejs_compat"], durableObjects: { HOLDER: "Holder" } };
  rig = await startWorkerdOnPostgres({ workers: { main }, maxConnections: 300 });
});

after(() => rig?.stop());

const ask = async (path) => {
  const { status, body } = await rig.workerd.ask(path);
  assert.equal(status, 200, body.error);
  return body;
};

test("it is made at module scope, and is a pg.Pool", async () => {
  assert.deepEqual(await ask("/kind"), [true, "Pool"]);
});

test("each request has clients of its own, at most max, and leaves no transaction", async () => {
  const answers = await Promise.all(Array.from({ length: 40 }, () => ask("/work")));
  for (const { pids, none, total } of answers) assert.ok(none && pids.length <= 2 && total <= 2);
  const all = answers.flatMap(({ pids }) => pids);
  assert.equal(new Set(all).size, all.length);
});

test("the requests of a Durable Object share its clients", async () => {
  const answers = [];
  for (let request = 0; request < 5; request++) answers.push(await ask("/object"));
  assert.ok(answers.every(({ none }) => none));
  assert.equal(new Set(answers.flatMap(({ pids }) => pids)).size, 2);
});
