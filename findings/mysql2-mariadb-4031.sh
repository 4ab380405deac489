#!/usr/bin/env bash
# mysql2 3.24.6, MariaDB 10.11.19 (Debian 12), Node 20.20, Linux x64, 2026-11-30.
#
# mysql2 names the errors of MariaDB by MySQL's table. Above 4000 the two servers count apart, so MariaDB's missing trigger has
# the code of a session that MySQL ended because it was idle, and code that looks for lost connections throws a live one
# away. The error that MariaDB has for a statement that took too long has no code. Seen:
#
#   a trigger that is missing: 4031 ER_CLIENT_INTERACTION_TIMEOUT, the connection answers
#   a statement that took too long: 1969 undefined, the connection answers
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
await connection.query("CREATE TABLE things (id INT)");
const fail = async (what, text) => {
  const { errno, code } = await connection.query(text).catch((error) => error);
  const [[{ one }]] = await connection.query("SELECT 1 AS one");
  return `${what}: ${errno} ${code}, the connection ${one === 1 ? "answers" : "does not answer"}`;
};
const trigger = "CREATE TRIGGER one BEFORE INSERT ON things FOR EACH ROW FOLLOWS missing SET NEW.id = 1";
const seen = [
  await fail("a trigger that is missing", trigger),
  await fail("a statement that took too long", "SET STATEMENT max_statement_time = 0.1 FOR SELECT SLEEP(5)"),
];
console.log(seen.join("\n"));
await connection.end();
const isSo =
  seen[0] === "a trigger that is missing: 4031 ER_CLIENT_INTERACTION_TIMEOUT, the connection answers" &&
  seen[1] === "a statement that took too long: 1969 undefined, the connection answers";
if (!isSo) console.log("CHANGED");
process.exit(isSo ? 0 : 1);
JS
node main.mjs
