#!/usr/bin/env bash
# Next.js 16.4.6 (react 19.3.1), Node 20.20 and 22.23, Linux x64, 2026-11-30.
#
# `next build --webpack` fails on every route handler of the app directory that has `export const runtime = "edge"`, even
# one that imports nothing. `next build` (Turbopack) builds the same app. Seen:
#
#   Error: ENOENT: no such file or directory, open '…/.next/server/app/edge/route_client-reference-manifest.js'
#   Error: Failed to collect page data for /edge
#
# Ends with 0 if that is still so, and with 1 if it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export CI=true NO_COLOR=1 NEXT_TELEMETRY_DISABLED=1
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --ignore-scripts --no-audit --no-fund next@16.4.6 react@19.3.1 react-dom@19.3.1
mkdir -p app/edge
echo 'export default ({ children }) => <html><body>{children}</body></html>;' > app/layout.jsx
printf 'export const runtime = "edge";\nexport const GET = () => Response.json([1]);\n' > app/edge/route.js

npx next build > turbopack.log 2>&1 || { cat turbopack.log; echo "CHANGED: Turbopack does not build it, either"; exit 1; }
echo "next build: ok"
if npx next build --webpack > webpack.log 2>&1; then
  echo "CHANGED: webpack builds it"
  exit 1
fi
grep -m 1 "route_client-reference-manifest.js" webpack.log || { cat webpack.log; echo "CHANGED: another error"; exit 1; }
echo "next build --webpack: failed, as before"
