import { env } from "cloudflare:workers";
import { QueuePool } from "edgepool";
import { pg } from "edgepool/dialects/pg";
import { PoolObject, poolOf } from "edgepool/durable-object";
import { Client } from "pg";

async function connect() {
  const client = new Client({ connectionString: env.DATABASE_URL, connectionTimeoutMillis: 10_000 });
  client.on("error", () => {});
  await client.connect();
  return client;
}

const pool = new QueuePool(connect, { dialect: pg, poolSize: 2 });

export class Database extends PoolObject {
  constructor(ctx, env) {
    super(ctx, env, connect, { dialect: pg, poolSize: 2, idleTimeout: "1s" });
  }
}

const rowsOfRequest = (text) => pool.use((client) => client.query(text)).then(({ rows }) => rows);
const rowsOfObject = (text) =>
  poolOf(env.DATABASE)
    .query(text)
    .then(({ rows }) => rows);

async function answer(rows) {
  const customers = await rows("SELECT name, pg_backend_pid() AS backend FROM customers ORDER BY id");
  const [{ backend }] = await rows("SELECT pg_backend_pid() AS backend");
  return Response.json({ names: customers.map(({ name }) => name), backends: [customers[0].backend, backend] });
}

export default {
  async fetch(request) {
    switch (new URL(request.url).pathname) {
      case "/customers":
        return answer(rowsOfRequest);
      case "/object/customers":
        return answer(rowsOfObject);
      default:
        return new Response(null, { status: 404 });
    }
  },
};
