// @ts-check
// The database that the apps ask, on an embedded PostgreSQL, and what each of them must answer.

import assert from "node:assert/strict";
import { Client } from "pg";
import { startPostgres } from "../../scripts/postgres.mjs";

/** The path at which each app answers with its customers and the backend that it asked, in two queries each. */
const path = "/customers";

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

    /** Asserts that one pool of at most this many connections serves all requests. */
    async visitPool(server, most, prefix = "") {
      const backends = new Set((await visit(server, prefix)).flat());
      assert.ok(backends.size <= most, `${backends.size} backends served the requests`);
    },

    /** Asserts that each request of a Worker has one backend of its own, and that none is left a moment later. */
    async visitWorker(server) {
      const visits = await visit(server, "");
      for (const backends of visits) assert.equal(new Set(backends).size, 1, "a request had a second connection");
      assert.equal(new Set(visits.flat()).size, requests);
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

/**
 * Asks the app with several requests at once, and asserts that each answer has the rows. Returns the backends of each.
 *
 * @param {{ ask(path: string): Promise<{ names: string[], backends: number[] }> }} server
 * @param {string} prefix of the path
 */
async function visit(server, prefix) {
  const visits = [];
  let left = requests;
  const visitor = async () => {
    while (left-- > 0) {
      const { names, backends } = await server.ask(`${prefix}${path}`);
      assert.deepEqual(names, ["Ada", "Grace"]);
      visits.push(backends);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, visitor));
  return visits;
}
