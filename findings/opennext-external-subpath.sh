#!/usr/bin/env bash
# @opennextjs/cloudflare 1.20.17, Next.js 16.4.6 (Turbopack), wrangler 4.164.0, Node 22.23, Linux x64, 2026-11-30.
#
# A route that imports a package of `serverExternalPackages` by its name and by a subpath is answered with 500 in Workers.
# A second route that imports the package by its name alone mends the first. The build says nothing in either case.
# OpenNext looks for subpaths only in chunks with "[externals]" in their name, and Turbopack makes such a chunk only of
# what routes share. The imports of a single route are in "[root-of-the-server]…". Seen:
#
#   one route: 500
#   Error: Failed to load external module nanoid-…/non-secure: Error: No such module "nanoid-…/non-secure".
#   with a second route beside it: 200
#
# Ends with 0 if that is still so, and with 1 if it has changed. Needs Node 22.12 or later in PATH.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export CI=true NO_COLOR=1 NEXT_TELEMETRY_DISABLED=1 WRANGLER_SEND_METRICS=false CLOUDFLARE_CF_FETCH_ENABLED=false
export XDG_CONFIG_HOME="$folder/.config"
echo '{"private":true,"type":"module","scripts":{"build":"next build"}}' > package.json
npm install --silent --ignore-scripts --no-audit --no-fund @opennextjs/cloudflare@1.20.17 next@16.4.6 react@19.3.1 \
  react-dom@19.3.1 wrangler@4.164.0 nanoid@5.1.6
mkdir -p app/both
echo 'export default ({ children }) => <html><body>{children}</body></html>;' > app/layout.jsx
cat > app/both/route.js <<'JS'
import { nanoid } from "nanoid";
import { nanoid as plain } from "nanoid/non-secure";
export const dynamic = "force-dynamic";
export const GET = () => Response.json(nanoid().length + plain().length);
JS
echo 'export default { serverExternalPackages: ["nanoid"], turbopack: { root: import.meta.dirname } };' > next.config.mjs
echo 'import { defineCloudflareConfig } from "@opennextjs/cloudflare"; export default defineCloudflareConfig();' \
  > open-next.config.ts
cat > wrangler.jsonc <<'JSON'
{ "name": "app", "main": ".open-next/worker.js", "compatibility_date": "2026-10-01",
  "compatibility_flags": ["nodejs_compat", "global_fetch_strictly_public"],
  "assets": { "directory": ".open-next/assets", "binding": "ASSETS" } }
JSON

# Builds the app, serves it, and sets `status` to that of the route.
ask() {
  rm -rf .next .open-next
  npx opennextjs-cloudflare build > build.log 2>&1 || { cat build.log; echo "CHANGED: the build fails"; exit 1; }
  local port=$((20000 + RANDOM % 20000)) server
  setsid npx wrangler dev --port "$port" > dev.log 2>&1 &
  server=$!
  for _ in $(seq 120); do curl -s -o /dev/null "http://localhost:$port/absent" && break; sleep 0.5; done
  status=$(curl -s -o /dev/null -w '%{http_code}' "http://localhost:$port/both")
  sleep 2
  kill -KILL -- -"$server" 2> /dev/null || true
  wait "$server" 2> /dev/null || true
  grep -m 1 -o "Failed to load.*" dev.log || true
}

ask
one=$status
echo "one route: $one"
mkdir app/name
cat > app/name/route.js <<'JS'
import { nanoid } from "nanoid";
export const dynamic = "force-dynamic";
export const GET = () => Response.json(nanoid().length);
JS
ask
echo "with a second route beside it: $status"
[ "$one" = 500 ] && [ "$status" = 200 ] || { cat dev.log; echo "CHANGED"; exit 1; }
