// Knex on a pool of tarn's shape: its connections are pg's, and each return rolls back.

import { pg as dialect } from "edgepool/dialects/pg";
import { Pool, TimeoutError } from "edgepool/tarn";
import Knex from "knex";
import pg from "pg";
import { TimeoutError as TarnTimeoutError } from "tarn";

export const KnexTimeoutError = Knex.KnexTimeoutError;
export { TarnTimeoutError, TimeoutError };

export function open(options, more = {}) {
  const connectionPool = new Pool({
    async create() {
      const client = new pg.Client(options);
      client.on("error", () => {});
      await client.connect();
      return client;
    },
    destroy: (client) => client.end(),
    min: 0,
    max: 5,
    ...more,
    edgepool: { dialect },
  });
  return { knex: Knex({ client: "pg", connectionPool }), pool: connectionPool };
}
