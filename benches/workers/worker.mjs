// The contestants, one path each: /name?queries=5 answers with the sum of what so many queries said. Each is written as
// its documentation says; a client is ended when the answer is on its way.

import { env } from "cloudflare:workers";
import { QueuePool } from "edgepool";
import { pg } from "edgepool/dialects/pg";
import { PoolObject, poolOf } from "edgepool/durable-object";
import { Client } from "pg";

const text = "SELECT $1::int AS number";

async function connected(connectionString, name) {
  const client = new Client({ connectionString, application_name: name });
  client.on("error", () => {});
  await client.connect();
  return client;
}

const pool = new QueuePool(() => connected(env.DATABASE_URL, "edgepool"), { dialect: pg, poolSize: 5 });

export class Database extends PoolObject {
  constructor(ctx, bindings) {
    super(ctx, bindings, () => connected(bindings.DATABASE_URL, "object"), { dialect: pg, poolSize: 5 });
  }
}

/** A client for the whole request, at the database or at PgBouncer. */
const onClient = (connectionString) => async (queries, ctx) => {
  const client = await connected(connectionString, "client");
  const sum = await inTurn(queries, (number) => client.query(text, [number]));
  ctx.waitUntil(client.end());
  return sum;
};

async function inTurn(queries, query) {
  let sum = 0;
  for (let number = 1; number <= queries; number++) sum += (await query(number)).rows[0].number;
  return sum;
}

const contestants = {
  clientPerQuery: (queries, ctx) =>
    inTurn(queries, async (number) => {
      const client = await connected(env.DATABASE_URL, "client");
      const result = await client.query(text, [number]);
      ctx.waitUntil(client.end());
      return result;
    }),
  clientPerRequest: onClient(env.DATABASE_URL),
  edgepool: (queries) => inTurn(queries, (number) => pool.use((client) => client.query(text, [number]))),
  pgbouncer: onClient(env.BOUNCER_URL),
  object: (queries) => inTurn(queries, (number) => poolOf(env.DATABASE).query(text, [number])),
  async batch(queries) {
    const statements = Array.from({ length: queries }, (_, index) => ({ text, values: [index + 1] }));
    const results = await poolOf(env.DATABASE).batch(statements);
    return results.reduce((sum, { rows }) => sum + rows[0].number, 0);
  },
};

export default {
  async fetch(request, _env, ctx) {
    const url = new URL(request.url);
    return Response.json(await contestants[url.pathname.slice(1)](Number(url.searchParams.get("queries")), ctx));
  },
};
