import { env } from "cloudflare:workers";
import { QueuePool } from "edgepool";
import { pg } from "edgepool/dialects/pg";
import { Client } from "pg";

const pool = new QueuePool(
  async () => {
    const client = new Client({ connectionString: env.DATABASE_URL, connectionTimeoutMillis: 10_000 });
    client.on("error", () => {});
    await client.connect();
    return client;
  },
  { dialect: pg, poolSize: 2 },
);

const rows = (text) => pool.use((client) => client.query(text)).then((result) => result.rows);

/** As defineHandler() and eventHandler() of the versions return it. */
export default async () => {
  const customers = await rows("SELECT name, pg_backend_pid() AS backend FROM customers ORDER BY id");
  const [{ backend }] = await rows("SELECT pg_backend_pid() AS backend");
  return { names: customers.map(({ name }) => name), backends: [customers[0].backend, backend] };
};
