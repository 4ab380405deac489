// The Worker behind gates.test.mjs: a Durable Object with a pool of real connections, which it uses outside and inside
// of what holds its events back.

import { DurableObject, env } from "cloudflare:workers";
import { NullPool, QueuePool } from "edgepool";
import { pg } from "edgepool/dialects/pg";
import { Client } from "pg";

const connect = async () => {
  const client = new Client({ connectionString: env.DATABASE_URL, connectionTimeoutMillis: 10_000 });
  client.on("error", () => {});
  await client.connect();
  return client;
};
const backendOf = (pool) =>
  pool.use((client) => client.query("SELECT pg_backend_pid() AS backend")).then(({ rows }) => rows[0].backend);

/** Whether a connection answers within a second. Inside a gate the runtime delivers a timer that was set inside. */
const answers = (backend) =>
  Promise.race([backend.then(() => true), new Promise((resolve) => setTimeout(() => resolve(false), 1000))]);

export class Shop extends DurableObject {
  pool = new QueuePool(connect, { dialect: pg, poolSize: 1, maxOverflow: 0 });
  inside = new NullPool(connect, { dialect: pg });

  constructor(state) {
    super(state, env);
    void state.blockConcurrencyWhile(async () => (this.first = await backendOf(this.pool)));
  }

  gates = {
    blockConcurrencyWhile: (run) => this.ctx.blockConcurrencyWhile(run),
    transaction: (run) => this.ctx.storage.transaction(run),
  };

  async fetch(request) {
    const { pathname, searchParams } = new URL(request.url);
    const gate = this.gates[searchParams.get("gate")];
    switch (pathname) {
      case "/constructor":
        return Response.json({ inside: this.first, outside: await backendOf(this.pool) });
      case "/pooled": {
        const before = await backendOf(this.pool);
        let late;
        const answered = await gate(() => answers((late = backendOf(this.pool))));
        return Response.json({ answered, same: (await late) === before });
      }
      case "/inside":
        return Response.json({ answered: await gate(() => answers(backendOf(this.inside))) });
      default:
        return new Response(null, { status: 404 });
    }
  }
}

export default {
  fetch: (request) => {
    const name = new URL(request.url).searchParams.get("object");
    return env.SHOP.get(env.SHOP.idFromName(name)).fetch(request);
  },
};
