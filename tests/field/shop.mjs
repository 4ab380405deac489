// @ts-check
// The database that the apps ask, on an embedded PostgreSQL, and what each of them must answer.

import assert from "node:assert/strict";
import { Client } from "pg";
import { startPostgres } from "../../scripts/postgres.mjs";

/** The path at which each app answers with its customers and the backend that it asked, in two queries each. */
export const path = "/customers";

const others =
  "SELECT count(*)::int AS count FROM pg_stat_activity WHERE client_addr IS NOT NULL AND pid <> pg_backend_pid()";

const requests = 24;
const atOnce = 8;

/** Starts the database. `url` is its connection string. */
export async function openShop() {
  const postgres = await startPostgres();
  const { host, port, user, password, database } = postgres.options;
  const admin = new Client(postgres.options);
  await admin.connect();
  await admin.query("CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL)");
  await admin.query("INSERT INTO customers VALUES (1, 'Ada'), (2, 'Grace')");
  return {
    url: `postgres://${user}:${password}@${host}:${port}/${database}`,

    /**
     * Asks the app with several requests at once. Returns the number of backends that served them. Each answer must
     * have the rows, and must come from one connection.
     *
     * @param {{ ask(path: string): Promise<{ names: string[], backends: number[] }> }} server
     */
    async visit(server) {
      const backends = new Set();
      let left = requests;
      const visitor = async () => {
        while (left-- > 0) {
          const answer = await server.ask(path);
          assert.deepEqual(answer.names, ["Ada", "Grace"]);
          assert.equal(new Set(answer.backends).size, 1, "a request had a second connection for its second query");
          backends.add(answer.backends[0]);
        }
      };
      await Promise.all(Array.from({ length: atOnce }, visitor));
      return backends.size;
    },

    /** Asserts that each request of a Worker had its own backend, and that none is left of them a moment later. */
    async visitWorker(server) {
      assert.equal(await this.visit(server), requests);
      for (const end = Date.now() + 5000; ;) {
        const { rows } = await admin.query(others);
        if (rows[0].count === 0) return;
        assert.ok(Date.now() < end, `${rows[0].count} backends of the Worker are left`);
      }
    },

    async close() {
      await admin.end();
      await postgres.stop();
    },
  };
}
