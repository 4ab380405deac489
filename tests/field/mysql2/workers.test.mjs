// mysql2 in Workers: a pool at module scope, with the creator of the guide, in real workerd on a real MariaDB.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, test } from "node:test";
import mysql from "mysql2/promise";
import { startWorkerd } from "../../integration/workers/workerd.mjs";
import { startMariadb } from "../mariadb.mjs";
import { until } from "../watched-mariadb.mjs";

/** The oldest date that the guide states, and one at which nodejs_compat is on by itself. */
const dates = {
  "2024-09-23": ["nodejs_compat"],
  "2026-10-23": [],
};

const guide = readFileSync(new URL("../../../docs/guide.md", import.meta.url), "utf8");
const [, creator] = /`(\(\) => mysql\.createConnection\(\{[^`]*disableEval: true \}\))`/.exec(guide) ?? [];

const source = `
  import { DurableObject, env } from "cloudflare:workers";
  import { QueuePool } from "edgepool";
  import { mysql2 } from "edgepool/dialects/mysql2";
  import mysql from "mysql2/promise";

  const pool = new QueuePool(${creator}, { dialect: mysql2, poolSize: 2, maxOverflow: 0 });
  const rows = (text, values) => pool.use((connection) => connection.query(text, values)).then(([answer]) => answer);

  /** Uses the pool as a handler does. Returns which sessions the request had. */
  async function work() {
    const answers = await Promise.all(
      Array.from({ length: 6 }, () => rows("SELECT CONNECTION_ID() AS id, NOW() AS now, SLEEP(0.01)")),
    );
    const [[{ name }]] = await pool.use((connection) =>
      connection.execute("SELECT name FROM customers WHERE id = ?", [2]),
    );
    const failure = await rows("SELECT * FROM nowhere").catch(({ errno }) => errno);
    // Left open: the next caller must not be in it.
    await pool.use(async (connection) => {
      await connection.query("BEGIN");
      await connection.query("INSERT INTO customers VALUES (?, 'left open')", [Math.floor(Math.random() * 1e9)]);
    });
    const open = await Promise.all([1, 2].map(() => rows("SELECT @@in_transaction AS open")));
    const list = await pool.use(async (connection) => {
      const list = [];
      for await (const row of connection.connection.query("SELECT seq FROM seq_1_to_100").stream()) list.push(row.seq);
      return list;
    });
    const { invalidated, used } = pool.stats();
    const ids = [...new Set(answers.map(([{ id }]) => id))];
    return { ids, name, failure, open: open.map(([row]) => row.open), list: list.length, invalidated, used };
  }

  export class Holder extends DurableObject {
    fetch = async () => Response.json(await work());
  }

  export default {
    async fetch(request) {
      try {
        if (request.url.endsWith("/object")) return await env.HOLDER.get(env.HOLDER.idFromName("one")).fetch(request);
        return Response.json(await work());
      } catch (error) {
        return Response.json({ error: String(error.stack) }, { status: 500 });
      }
    },
  };
`;

const server = await startMariadb(["--max-connections=300"]);
/** Without a server there is one line about it, and no test. */
const testOn = server === undefined ? () => {} : test;
const admin = server && (await mysql.createConnection({ ...server.options, multipleStatements: true }));
await admin?.query(
  "CREATE TABLE customers (id INT PRIMARY KEY, name TEXT); INSERT INTO customers VALUES (1, 'Ada'), (2, 'Grace')",
);
after(async () => {
  await admin?.end();
  await server?.stop();
});

async function sessions() {
  const [list] = await admin.query("SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID()");
  return list.length;
}

testOn("the guide has a creator for mysql2 in Workers", () => {
  assert.ok(creator);
});

for (const [compatibilityDate, compatibilityFlags] of Object.entries(dates)) {
  testOn(
    `with the date ${compatibilityDate} each request has connections of its own, and leaves none open`,
    async () => {
      const vars = { DATABASE_URL: server.url };
      const main = { source, compatibilityDate, compatibilityFlags, vars, durableObjects: { HOLDER: "Holder" } };
      const workerd = await startWorkerd({ workers: { main } });
      try {
        const ask = async (path) => {
          const { status, body } = await workerd.ask(path);
          assert.equal(status, 200, body.error);
          const { ids, ...rest } = body;
          assert.deepEqual(rest, {
            name: "Grace",
            failure: 1146,
            open: [0, 0],
            list: 100,
            invalidated: 0,
            used: 0,
          });
          return ids;
        };
        const ids = (await Promise.all(Array.from({ length: 30 }, () => ask("/")))).flat();
        assert.equal(ids.length, 60);
        assert.equal(new Set(ids).size, 60, "no request meets the connection of another");
        await until(async () => (await sessions()) === 0, "every request has closed its sockets");
        const [shared, again] = [await ask("/object"), await ask("/object")];
        assert.deepEqual(new Set(again), new Set(shared), "an object keeps its connections");
      } finally {
        await workerd.stop();
      }
      await until(async () => (await sessions()) === 0, "no session is left");
      assert.deepEqual((await admin.query("SELECT id FROM customers WHERE name = 'left open'"))[0], []);
    },
  );
}
