#!/usr/bin/env bash
# redis 6.3.1 (node-redis), Node 22.23, Linux x64, 2026-11-30.
#
# With RESP: 2 a client that has unsubscribed from its last channel answers every later command with Buffers in place of
# texts: get() of a text is a Buffer, and "text" === await client.get(key) is false. A second unsubscribe() without
# arguments ends that. Seen:
#
#   get() before: "text", after unsubscribe("channel"): a Buffer, after another unsubscribe(): "text"
#
# Ends with 0 if that is still so, and with 1 if it has changed. The server answers as Redis 7 does.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund redis@6.3.1
cat > main.mjs <<'JS'
import { createServer } from "node:net";
import { createClient } from "redis";

const bulk = (text) => (text === null ? "$-1\r\n" : `$${text.length}\r\n${text}\r\n`);
const ofChannel = (kind, channel, count) => `*3\r\n${bulk(kind)}${bulk(channel)}:${count}\r\n`;
const answers = {
  GET: () => bulk("text"),
  SUBSCRIBE: ([channel]) => ofChannel("subscribe", channel, 1),
  UNSUBSCRIBE: ([channel = null]) => ofChannel("unsubscribe", channel, 0),
};
const server = createServer((socket) => {
  socket.on("error", () => {});
  socket.on("data", (bytes) => {
    for (const command of String(bytes).split(/^\*\d+\r\n/m).slice(1)) {
      const [name, ...given] = command.split("\r\n").filter((_, at) => at % 2 === 1);
      socket.write(answers[name.toUpperCase()]?.(given) ?? "+OK\r\n");
    }
  });
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const socket = { host: "127.0.0.1", port: server.address().port, reconnectStrategy: false };
const client = await createClient({ RESP: 2, socket }).on("error", console.error).connect();
const shown = async () => {
  const answer = await client.get("key");
  return Buffer.isBuffer(answer) ? "a Buffer" : `"${answer}"`;
};
const before = await shown();
await client.subscribe("channel", () => {});
await client.unsubscribe("channel");
const after = await shown();
await client.unsubscribe();
const restored = await shown();
console.log(`get() before: ${before}, after unsubscribe("channel"): ${after}, after another unsubscribe(): ${restored}`);
const isSo = before === '"text"' && after === "a Buffer" && restored === '"text"';
if (!isSo) console.log("CHANGED");
process.exit(isSo ? 0 : 1);
JS
node main.mjs
