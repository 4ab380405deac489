#!/usr/bin/env bash
# MariaDB 10.11.19 (Debian 12), mysql2 3.24.6, Node 20.20, Linux x64, 2026-11-30.
#
# SET TRANSACTION READ ONLY is for the next transaction, and statements that touch no table do not use it up. So it waits on a
# pooled connection, in no transaction, through pings and SELECT 1, with nothing in the status of an answer that says so:
# another caller's INSERT fails with it. A ROLLBACK outside of any transaction removes it. Seen, with mysql2's pool:
#
#   after 3 SELECT 1: in a transaction 0, INSERT errno 1792; after a ROLLBACK: INSERT ok
#
# Ends with 0 if that is still so, and with 1 if it has changed. Wants Debian's mariadb-server, which root gets installed.
set -euo pipefail
command -v mariadbd > /dev/null || apt-get install -y -qq mariadb-server > /dev/null
folder=$(mktemp -d)
cd "$folder"
as=$([ "$(id -u)" = 0 ] && chown mysql . && echo --user=mysql || true)
mariadb-install-db --no-defaults $as --datadir="$folder/data" --auth-root-authentication-method=normal > /dev/null
mariadbd --no-defaults $as --datadir="$folder/data" --socket="$folder/socket" --pid-file="$folder/pid" \
  --skip-networking 2> log &
server=$!
trap 'kill $server; wait $server; rm -rf "$folder"' EXIT
until mariadb-admin --no-defaults --socket="$folder/socket" ping > /dev/null 2>&1; do
  kill -0 $server || exit 1
  sleep 0.1
done
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund mysql2@3.24.6
node -p '"mysql2 " + JSON.parse(require("fs").readFileSync("node_modules/mysql2/package.json")).version'
mariadbd --version
cat > main.mjs <<'JS'
import mysql from "mysql2/promise";

const pool = mysql.createPool({ socketPath: "socket", user: "root", connectionLimit: 1 });
await pool.query("CREATE DATABASE shop");
await pool.query("CREATE TABLE shop.things (id INT) ENGINE=InnoDB");
const insert = () =>
  pool.query("INSERT INTO shop.things VALUES (1)").then(
    () => "ok",
    ({ errno }) => `errno ${errno}`,
  );
const leave = async () => {
  const connection = await pool.getConnection();
  await connection.query("SET TRANSACTION READ ONLY");
  connection.release();
};
await leave();
for (let count = 0; count < 3; count++) await pool.query("SELECT 1");
const [[{ inside }]] = await pool.query("SELECT @@in_transaction AS inside");
const failed = await insert();
await leave();
await pool.query("ROLLBACK");
const seen = `after 3 SELECT 1: in a transaction ${inside}, INSERT ${failed}; after a ROLLBACK: INSERT ${await insert()}`;
console.log(seen);
await pool.end();
const isSo = seen === "after 3 SELECT 1: in a transaction 0, INSERT errno 1792; after a ROLLBACK: INSERT ok";
if (!isSo) console.log("CHANGED");
process.exit(isSo ? 0 : 1);
JS
node main.mjs
