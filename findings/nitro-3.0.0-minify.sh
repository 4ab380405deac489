#!/usr/bin/env bash
# nitro 3.0.0 (npm's tag latest), Node 20.20 and 22.23, Linux x64, 2026-11-30.
#
# `npm install nitro` gets 3.0.0, and `nitro build` for Workers fails in an empty project. The preset minifies, and the
# package that minifies is only a devDependency of nitro. The newest versions are the betas 3.0.26MMDD, which no range
# such as ^3.0.0 takes. Seen:
#
#   Cannot find module '@rollup/plugin-terser'
#
# With `minify: false`, or with @rollup/plugin-terser installed, the build succeeds.
# Ends with 0 if that is still so, and with 1 if it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export CI=true NO_COLOR=1
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --ignore-scripts --no-audit --no-fund nitro@3.0.0
mkdir routes
echo 'export default () => "shop";' > routes/index.mjs
config() {
  echo 'import { defineNitroConfig } from "nitro/config";'
  echo "export default defineNitroConfig({ preset: 'cloudflare_module', compatibilityDate: '2026-10-01' $1 });"
}

config "" > nitro.config.ts
if npx nitro build > default.log 2>&1; then echo "CHANGED: it builds"; exit 1; fi
grep -m 1 -o "Cannot find module '@rollup/plugin-terser'" default.log || { cat default.log; echo "CHANGED"; exit 1; }
config ", minify: false" > nitro.config.ts
npx nitro build > plain.log 2>&1 || { cat plain.log; echo "CHANGED: minify: false does not help"; exit 1; }
echo "with minify: false: ok"
