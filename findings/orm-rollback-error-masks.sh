#!/usr/bin/env bash
# knex 3.3.0, kysely 0.29.9, drizzle-orm 0.45.4, typeorm 1.1.1, sequelize 6.37.8, @mikro-orm/postgresql 7.2.5,
# pg 8.23.1, Node 22.23, Linux x64, 2026-11-30.
#
# The callback of a transaction throws, and its connection is gone: then half of the libraries reject with the error of
# their own ROLLBACK. The callback's error is lost, also as a cause. So code that compares errors, such as "answer 404 if
# it is NotFound", sees a connection error. Seen:
#
#   knex: ROLLBACK - Client has encountered a connection error and is not queryable
#   kysely: Client has encountered a connection error and is not queryable
#   drizzle: Failed query: rollback
#   typeorm, sequelize, mikro-orm: mine
#
# Ends with 0 if that is still so, and with 1 if it has changed. As root it runs PostgreSQL as a user of its own.
set -euo pipefail
folder=$(mktemp -d)
chmod 755 "$folder"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund knex@3.3.0 kysely@0.29.9 drizzle-orm@0.45.4 typeorm@1.1.1 sequelize@6.37.8 \
  @mikro-orm/postgresql@7.2.5 @mikro-orm/core@7.2.5 pg@8.23.1 embedded-postgres@18.4.0-beta.17
cat > main.mjs <<'JS'
import { inspect } from "node:util";
import { MikroORM } from "@mikro-orm/postgresql";
import { drizzle } from "drizzle-orm/node-postgres";
import EmbeddedPostgres from "embedded-postgres";
import Knex from "knex";
import { Kysely, PostgresDialect, sql } from "kysely";
import pg from "pg";
import { Sequelize } from "sequelize";
import { DataSource } from "typeorm";

const settings = { host: "127.0.0.1", port: 20000 + (process.pid % 20000), user: "postgres", password: "postgres" };
const createPostgresUser = process.getuid() === 0;
const server = new EmbeddedPostgres({ ...settings, databaseDir: "data", persistent: false, createPostgresUser, onLog() {} });
await server.initialise();
await server.start();
const connection = { ...settings, database: "postgres" };
const username = settings.user;
const admin = new pg.Client(connection);
await admin.connect();
const pool = new pg.Pool(connection).on("connect", (client) => client.on("error", () => {}));

const pid = "SELECT pg_backend_pid() AS pid";
/** What each transaction does: its session ends, and then its callback throws an error of its own. */
const work = async ({ pid }) => {
  await admin.query("SELECT pg_terminate_backend($1, 5000)", [pid]);
  throw new Error("mine");
};
const knex = Knex({ client: "pg", connection });
const kysely = new Kysely({ dialect: new PostgresDialect({ pool }) });
const typeorm = await new DataSource({ type: "postgres", ...connection, username }).initialize();
const sequelize = new Sequelize({ dialect: "postgres", ...connection, username, logging: false });
const others = { dbName: "postgres", entities: [], discovery: { warnWhenNoEntities: false }, logger() {} };
const orm = await MikroORM.init({ ...settings, ...others });
const ask = { type: "SELECT" };
const transactions = {
  knex: () => knex.transaction(async (trx) => work((await trx.raw(pid)).rows[0])),
  kysely: () => kysely.transaction().execute(async (trx) => work((await sql.raw(pid).execute(trx)).rows[0])),
  drizzle: () => drizzle({ client: pool }).transaction(async (tx) => work((await tx.execute(pid)).rows[0])),
  typeorm: () => typeorm.transaction(async (manager) => work((await manager.query(pid))[0])),
  sequelize: () =>
    sequelize.transaction(async (transaction) => work((await sequelize.query(pid, { ...ask, transaction }))[0])),
  "mikro-orm": () => orm.em.fork().transactional(async (em) => work((await em.execute(pid))[0])),
};
const seen = {};
for (const [name, run] of Object.entries(transactions)) {
  const error = await run().catch((error) => error);
  seen[name] = inspect(error).includes("mine");
  console.log(`${name}: ${error.message.split("\n")[0]}`);
}
const isSo = Object.entries(seen).every(([name, isMine]) => isMine === !/knex|kysely|drizzle/.test(name));
// The sessions that are left end with an error.
process.on("uncaughtException", () => {});
await server.stop();
if (!isSo) console.log("CHANGED");
process.exit(isSo ? 0 : 1);
JS
node main.mjs 2> /dev/null
