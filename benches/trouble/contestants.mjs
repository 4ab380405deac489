// The contestants: each keeps ten clients of pg, and gives a caller five seconds to get one. make() makes a pool; its
// run() performs a statement, as a program with this pool would.

import pg from "pg";
import { Pool as TarnPool } from "tarn";
import { QueuePool } from "edgepool";
import { pg as dialect } from "edgepool/dialects/pg";
import { connectionTimeoutMillis, recommended } from "./settings.mjs";

export const size = 10;
const ignore = () => {};
const logger = { debug: ignore, info: ignore, warn: ignore, error: ignore };

export const contestants = [
  { name: "pg.Pool", make: (...given) => pgPool(...given, (pool) => (query) => pool.query(query)) },
  {
    name: "pg.Pool by hand",
    make: (...given) =>
      pgPool(...given, (pool) => async (query) => {
        const client = await pool.connect();
        try {
          return await client.query(query);
        } finally {
          client.release();
        }
      }),
  },
  { name: "tarn", make: tarn },
  { name: "edgepool by default", make: (...given) => edgepool(...given, { poolSize: size, maxOverflow: 0 }) },
  {
    name: "edgepool",
    make: (Client, config, given) => edgepool(Client, { ...config, connectionTimeoutMillis }, given, recommended),
  },
];

/** What the others are compared with, and what the bars judge. */
export const measure = "pg.Pool";
export const judged = "edgepool";

function pgPool(Client, config, { timeoutMs }, runWith) {
  const pool = new pg.Pool({ ...config, Client, max: size, connectionTimeoutMillis: timeoutMs });
  pool.on("error", ignore);
  // Without a listener, the loss of a lent client ends the process.
  pool.on("connect", (client) => client.on("error", ignore));
  return { run: runWith(pool) };
}

function tarn(Client, config, { timeoutMs }) {
  const pool = new TarnPool({
    async create() {
      const client = new Client(config);
      const lost = (error) => (client.lost = error ?? new Error("ended"));
      client.on("error", lost).on("end", lost);
      await client.connect();
      return client;
    },
    validate: (client) => client.lost === undefined,
    destroy: (client) => client.end(),
    min: 2,
    max: size,
    acquireTimeoutMillis: timeoutMs,
  });
  return {
    async run(query) {
      const client = await pool.acquire().promise;
      try {
        return await client.query(query);
      } finally {
        pool.release(client);
      }
    },
  };
}

function edgepool(Client, config, { timeoutMs }, settings) {
  const creator = async () => {
    const client = new Client(config);
    client.on("error", ignore);
    await client.connect();
    return client;
  };
  const pool = new QueuePool(creator, { dialect, logger, ...settings, timeout: timeoutMs / 1000 });
  return { run: (query) => pool.use((client) => client.query(query)) };
}
