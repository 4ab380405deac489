#!/usr/bin/env bash
# @prisma/adapter-pg 7.10.1, pg 8.23.1 (a second copy: 8.22.0), Node 22.23, Linux x64, 2026-11-30.
#
# `new PrismaPg(pool)` with a pg.Pool of another copy of pg, as in a monorepo with two versions, takes the pool for
# settings. TypeScript accepts it. Host, port and password of the pool are lost: the adapter dials localhost:5432, or what
# PGHOST and PGPORT say. The pool's `options` become the session's `options`, so that as soon as anything answers there, a
# TypeError of node:buffer ends the process: no catch of the program is asked. If nothing answers, the error blames the
# database. Seen, with a server of the pool, and one or none at PGPORT:
#
#   its own copy of pg:           dialled the pool's port
#   another copy, one at PGPORT:  dialled PGPORT, uncaught TypeError
#   another copy, none there:     DatabaseNotReachable
#
# Ends with 0 if that is still so, and with 1 if it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund @prisma/adapter-pg@7.10.1 pg@8.23.1 other-pg@npm:pg@8.22.0
cat > program.mjs <<'JS'
import { PrismaPg } from "@prisma/adapter-pg";

const { default: pg } = await import(process.argv[2]);
const pool = new pg.Pool({ host: "127.0.0.1", port: Number(process.argv[3]), user: "app", password: "app" });
const adapter = await new PrismaPg(pool).connect();
await adapter.queryRaw({ sql: "SELECT 1", args: [], argTypes: [] }).catch((error) => console.log(error.cause?.kind ?? error.message));
process.exit();
JS
cat > main.mjs <<'JS'
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { text } from "node:stream/consumers";

const dialled = [];
/** Listens on a port, and ends each connection a moment later. */
const listen = async (name) => {
  const server = createServer((socket) => {
    dialled.push(`dialled ${name}`);
    socket.on("error", () => {}).resume();
    setTimeout(() => socket.destroy(), 200);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return { port: server.address().port, close: () => server.close() };
};
const own = await listen("the pool's port");
const other = await listen("PGPORT");
const run = async (name, copy) => {
  dialled.length = 0;
  const env = { ...process.env, PGHOST: "127.0.0.1", PGPORT: String(other.port) };
  const child = spawn(process.execPath, ["program.mjs", copy, String(own.port)], { env });
  const [out, error] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const uncaught = /^TypeError \[ERR_INVALID_ARG_TYPE\]/m.test(error) ? "uncaught TypeError" : "";
  const line = [...dialled, uncaught, /DatabaseNotReachable/.exec(out)?.[0]].filter(Boolean).join(", ");
  console.log(name.padEnd(30), line);
  return line;
};
const seen = [await run("its own copy of pg:", "pg"), await run("another copy, one at PGPORT:", "other-pg")];
other.close();
seen.push(await run("another copy, none there:", "other-pg"));
own.close();
const isSo =
  seen[0].startsWith("dialled the pool's port") &&
  seen[1] === "dialled PGPORT, uncaught TypeError" &&
  seen[2] === "DatabaseNotReachable";
if (!isSo) console.log("CHANGED");
process.exit(isSo ? 0 : 1);
JS
node main.mjs
