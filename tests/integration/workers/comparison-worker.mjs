// The Worker of scripts/compare-workers.mjs: the same requests on pg's own pool or on edgepool, both made at module
// scope as their documentation shows; the variable POOL says which.

import { DurableObject, env } from "cloudflare:workers";
import { QueuePool } from "edgepool";
import { pg } from "edgepool/dialects/pg";
import { Client, Pool } from "pg";

const connectionString = env.DATABASE_URL;

const pgPool = new Pool({ connectionString, max: 5 });
pgPool.on("error", () => {});

const edgepool = new QueuePool(
  async () => {
    const client = new Client({ connectionString });
    client.on("error", () => {});
    await client.connect();
    return client;
  },
  { dialect: pg, poolSize: 5, maxOverflow: 0 },
);

const query = (text) => (env.POOL === "edgepool" ? edgepool.use((client) => client.query(text)) : pgPool.query(text));

async function answer(request) {
  await query("SELECT 1");
  // Long enough for another request to come in between.
  if (new URL(request.url).pathname.endsWith("/slow")) await new Promise((resolve) => setTimeout(resolve, 200));
  await query("SELECT 2");
  return new Response("answered");
}

export class Holder extends DurableObject {
  fetch(request) {
    return answer(request);
  }
}

export default {
  fetch(request) {
    const [, first, name] = new URL(request.url).pathname.split("/");
    return first === "object" ? env.HOLDER.get(env.HOLDER.idFromName(name)).fetch(request) : answer(request);
  },
};
