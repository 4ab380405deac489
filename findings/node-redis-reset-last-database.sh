#!/usr/bin/env bash
# redis 6.3.1 (node-redis), Node 22.23, Linux x64, 2026-11-30.
#
# reset() of a client, "to its default state", sends RESET and then selects the database that was selected last, not
# that of the client's options. A program that hands the client on after reset() writes to the other database. A second
# reset() selects the right one: the first has set the client's own record right. Seen, with the default database 0:
#
#   after select(5), reset() sends: RESET, SELECT 5. A second reset() sends: RESET
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

const log = [];
const server = createServer((socket) => {
  socket.on("error", () => {});
  socket.on("data", (bytes) => {
    for (const command of String(bytes).split(/^\*\d+\r\n/m).slice(1)) {
      const words = command.split("\r\n").filter((_, at) => at % 2 === 1);
      // The others tell the server the name of the library.
      if (/^(reset|select)$/i.test(words[0])) log.push(words.join(" "));
      socket.write(words[0] === "RESET" ? "+RESET\r\n" : "+OK\r\n");
    }
  });
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const socket = { host: "127.0.0.1", port: server.address().port, reconnectStrategy: false };
const client = await createClient({ RESP: 2, socket }).on("error", console.error).connect();
await client.select(5);
log.length = 0;
await client.reset();
const first = log.splice(0).join(", ");
await client.reset();
const second = log.join(", ");
console.log(`after select(5), reset() sends: ${first}. A second reset() sends: ${second}`);
const isSo = first === "RESET, SELECT 5" && second === "RESET";
if (!isSo) console.log("CHANGED");
process.exit(isSo ? 0 : 1);
JS
node main.mjs
