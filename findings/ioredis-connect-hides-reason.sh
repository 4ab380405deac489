#!/usr/bin/env bash
# ioredis 6.0.0, Node 22.23, Linux x64, 2026-11-30.
#
# connect() of an ioredis client rejects with the same words for a wrong password and for a server that is away. The
# reason is only in the event "error". So a program that retries by the error of connect(), or logs it, cannot tell
# them apart: it retries a wrong password, too. Seen, without reconnection:
#
#   wrong password: connect() says "Connection is closed.", code undefined; the event says "WRONGPASS invalid ..."
#   server away: connect() says "Connection is closed.", code undefined; the event says "connect ECONNREFUSED ..."
#
# Ends with 0 if that is still so, and with 1 if it has changed. The server answers as Redis 7 does.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund ioredis@6.0.0
cat > main.mjs <<'JS'
import { createServer } from "node:net";
import { Redis } from "ioredis";

const refusal = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
const server = createServer((socket) => {
  socket.on("error", () => {});
  // Every command begins with an asterisk.
  socket.on("data", (bytes) => socket.write(refusal.repeat(String(bytes).match(/^\*/gm).length)));
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const { port } = server.address();

/** Returns what connect() rejects with, and what the event says. */
async function open() {
  const client = new Redis({ host: "127.0.0.1", port, password: "wrong", lazyConnect: true, retryStrategy: null });
  let event;
  client.on("error", (error) => (event = error.message));
  const { message, code } = await client.connect().catch((error) => error);
  return { message, code, event };
}

const wrong = await open();
await new Promise((resolve) => server.close(resolve));
const away = await open();
for (const [name, { message, code, event }] of Object.entries({ "wrong password": wrong, "server away": away }))
  console.log(`${name}: connect() says "${message}", code ${code}; the event says "${event}"`);
const isSame = wrong.message === "Connection is closed." && away.message === wrong.message && away.code === undefined;
const isSo = isSame && wrong.event.startsWith("WRONGPASS") && away.event.includes("ECONNREFUSED");
if (!isSo) console.log("CHANGED");
process.exit(isSo ? 0 : 1);
JS
node main.mjs
