#!/usr/bin/env bash
# pg-protocol 1.16.1 (what pg 8.23.1 reads with), Node 20.20, Linux x64, 2026-11-30.
#
# `error.severity === "FATAL"` is a test of the server's language. PostgreSQL sends the severity twice: S in the language
# of lc_messages, and since 9.6 V in English. pg hands on S alone, so the session's end reads FATALE, ВАЖНО or 致命错误.
# A program that looks for FATAL then goes on with a dead connection. `code` does not say it, either: 40001 is an ERROR
# on a primary, and on a standby it may be the FATAL end of a session. Seen, for a FATAL error as a Russian server sends it:
#
#   severity ВАЖНО, code 40001, FATAL is in no field
#
# Ends with 0 if that is still so, and with 1 if it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --ignore-scripts --no-audit --no-fund pg-protocol@1.16.1
cat > main.mjs <<'JS'
import { PassThrough } from "node:stream";
import { parse } from "pg-protocol";

const fields = ["SВАЖНО", "VFATAL", "C40001", "Mзакрытие подключения", "Fpostgres.c", "L3300", "RProcessInterrupts"];
const body = Buffer.from(fields.map((field) => `${field}\0`).join("") + "\0");
const head = Buffer.from([0x45, 0, 0, 0, 0]);
head.writeUInt32BE(body.length + 4, 1);
const socket = new PassThrough();
const error = await new Promise((resolve) => {
  void parse(socket, resolve);
  socket.write(Buffer.concat([head, body]));
});
const isHidden = !Object.values(error).includes("FATAL");
console.log(`severity ${error.severity}, code ${error.code}, FATAL is in ${isHidden ? "no" : "a"} field`);
const isSo = error.severity === "ВАЖНО" && error.code === "40001" && isHidden;
if (!isSo) console.log("CHANGED");
process.exit(isSo ? 0 : 1);
JS
node main.mjs
