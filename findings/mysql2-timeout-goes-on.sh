#!/usr/bin/env bash
# mysql2 3.24.6, Node 20.20, Linux x64, 2026-11-30. No database: the server is mysql2's own.
#
# The option `timeout` of a mysql2 statement rejects its promise, and stops nothing: the connection waits for the server's
# answer before it sends the next statement. mysql2's pool does not take the connection back until then, so with all connections
# in such statements pool.query() waits for them, time-out or not. Seen, with a server that takes 1 s, and connectionLimit 1:
#
#   the statement rejects with PROTOCOL_SEQUENCE_TIMEOUT after 0 s, the next one resolves after 2 s
#
# Ends with 0 if that is still so, and with 1 if it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund mysql2@3.24.6
node -p '"mysql2 " + JSON.parse(require("fs").readFileSync("node_modules/mysql2/package.json")).version'
cat > main.mjs <<'JS'
import mysql from "mysql2";
import promises from "mysql2/promise";

/** A server that answers each statement after a second, in mysql2's own server protocol. */
const server = mysql.createServer();
server.on("connection", (session) => {
  session.serverHandshake({
    protocolVersion: 10,
    serverVersion: "8.4.0",
    connectionId: 1,
    statusFlags: 2,
    characterSet: 45,
    capabilityFlags: 0x0000_a68d,
    authCallback: () => answer(session),
  });
  session.on("query", () => setTimeout(() => answer(session), 1_000));
  session.on("quit", () => session.stream.end());
  session.on("error", () => {});
});
const answer = (session) => {
  session.writeOk();
  session.sequenceId = 0;
};
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const options = { host: "127.0.0.1", port: server._server.address().port, user: "one" };
const begin = performance.now();
const seconds = () => Math.round((performance.now() - begin) / 500) / 2;
const outcome = (promise) =>
  promise.then(
    () => "resolves",
    (error) => `rejects with ${error.code ?? error.message}`,
  );

const pool = promises.createPool({ ...options, connectionLimit: 1 });
const first = await outcome(pool.query({ sql: "SELECT 1", timeout: 100 }));
const seen = `the statement ${first} after ${seconds()} s, `;
const next = await outcome(pool.query("SELECT 2"));
const whole = `${seen}the next one ${next} after ${seconds()} s`;
console.log(whole);
const isSo =
  whole === "the statement rejects with PROTOCOL_SEQUENCE_TIMEOUT after 0 s, the next one resolves after 2 s";
if (!isSo) console.log("CHANGED");
process.exit(isSo ? 0 : 1);
JS
node main.mjs
