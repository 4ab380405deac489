#!/usr/bin/env bash
# mysql2 3.24.6, MariaDB 10.11.19 (Debian 12), Node 20.20, Linux x64, 2026-11-30.
#
# destroy() of a mysql2 connection destroys nothing: it half-closes the socket, and the statement under way runs to its end and
# resolves as if nothing had happened. A statement behind it rejects. A second end() does not reject: it resolves with an
# Error as its value. Seen, with a statement of 1 s that was destroyed after 0.1 s:
#
#   after destroy(): the statement under way resolves after 1 s, the one behind it rejects
#   end() twice: resolves, resolves with an Error
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

const open = () => mysql.createConnection({ socketPath: "socket", user: "root" });
const outcome = (promise) =>
  promise.then(
    (value) => (value instanceof Error ? "resolves with an Error" : "resolves"),
    () => "rejects",
  );
const connection = await open();
const begin = performance.now();
const running = outcome(connection.query("SELECT SLEEP(1)"));
const behind = outcome(connection.query("SELECT 1"));
await new Promise((resolve) => setTimeout(resolve, 100));
connection.destroy();
const first = await running;
const seconds = Math.round((performance.now() - begin) / 500) / 2;
const destroyed = `after destroy(): the statement under way ${first} after ${seconds} s, the one behind it ${await behind}`;
const other = await open();
const ended = `end() twice: ${await outcome(other.end())}, ${await outcome(other.end())}`;
console.log(`${destroyed}\n${ended}`);
const isSo =
  destroyed === "after destroy(): the statement under way resolves after 1 s, the one behind it rejects" &&
  ended === "end() twice: resolves, resolves with an Error";
if (!isSo) console.log("CHANGED");
process.exit(isSo ? 0 : 1);
JS
node main.mjs
