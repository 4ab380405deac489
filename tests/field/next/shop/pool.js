import { QueuePool } from "edgepool";
import { pg } from "edgepool/dialects/pg";
import { Client } from "pg";

const pool = new QueuePool(
  async () => {
    const client = new Client({ connectionString: process.env.DATABASE_URL, connectionTimeoutMillis: 10_000 });
    client.on("error", () => {});
    await client.connect();
    return client;
  },
  { dialect: pg, poolSize: 2, maxOverflow: 0 },
);

export const rows = (text) => pool.use((client) => client.query(text)).then((result) => result.rows);
