#!/usr/bin/env bash
# mysql2 3.24.6, MariaDB 10.11.19 (Debian 12), Node 20.20, Linux x64, 2026-11-30.
#
# connection.reset() of mysql2, and resetOnRelease of its pool, restore the server's character set and not the driver's. After
# SET NAMES latin1 and a reset the server reads utf8mb4 and mysql2 writes latin1, so the same INSERT fails that a fresh
# connection runs. The next SET NAMES heals it. Seen:
#
#   fresh: utf8mb4, INSERT ok; after SET NAMES latin1 and reset(): utf8mb4, INSERT errno 1366
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

const connection = await mysql.createConnection({ socketPath: "socket", user: "root" });
await connection.query("CREATE DATABASE shop");
await connection.query("USE shop");
await connection.query("CREATE TABLE cities (name VARCHAR(40)) CHARACTER SET utf8mb4");
const look = async () => {
  const [[{ charset }]] = await connection.query("SELECT @@character_set_client AS charset");
  const answer = connection.query("INSERT INTO cities VALUES ('Zürich')");
  return `${charset}, INSERT ${await answer.then(() => "ok", ({ errno }) => `errno ${errno}`)}`;
};
const fresh = await look();
await connection.query("SET NAMES latin1");
await connection.reset();
const seen = `fresh: ${fresh}; after SET NAMES latin1 and reset(): ${await look()}`;
console.log(seen);
await connection.end();
const isSo = seen === "fresh: utf8mb4, INSERT ok; after SET NAMES latin1 and reset(): utf8mb4, INSERT errno 1366";
if (!isSo) console.log("CHANGED");
process.exit(isSo ? 0 : 1);
JS
node main.mjs
