#!/usr/bin/env bash
# prisma 7.10.0, Node 22.23, Linux x64, 2026-11-30.
#
# `prisma generate` of version 7 needs no engine: the client has a compiler of queries in WebAssembly. Yet it first looks
# for a schema engine, and without access to binaries.prisma.sh it fails. `--no-engine` is gone, and the variable
# PRISMA_ENGINES_CHECKSUM_IGNORE_MISSING does not help. Any existing file as PRISMA_SCHEMA_ENGINE_BINARY does: it is never
# run. So an image build behind a firewall needs no mirror. Seen, with binaries.prisma.sh out of reach:
#
#   generate: failed
#   PRISMA_ENGINES_CHECKSUM_IGNORE_MISSING=1: failed
#   PRISMA_SCHEMA_ENGINE_BINARY=/etc/hostname: ok
#
# Ends with 0 if that is still so, and with 1 if it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export CHECKPOINT_DISABLE=1 PRISMA_HIDE_UPDATE_MESSAGE=1 XDG_CACHE_HOME="$folder/cache" HOME="$folder"
# A mirror that nothing answers at stands for a firewall.
export PRISMA_ENGINES_MIRROR=http://127.0.0.1:9
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --ignore-scripts --no-audit --no-fund prisma@7.10.0 @prisma/client@7.10.0
cat > schema.prisma <<'PRISMA'
generator client {
  provider = "prisma-client"
  output   = "./generated"
}
datasource db {
  provider = "postgresql"
}
model item {
  name String @id
}
PRISMA
generate() { rm -rf generated; env "$@" npx prisma generate --schema schema.prisma > generate.log 2>&1 && echo ok || echo failed; }
plain=$(generate A=1)
ignoring=$(generate PRISMA_ENGINES_CHECKSUM_IGNORE_MISSING=1)
given=$(generate PRISMA_SCHEMA_ENGINE_BINARY=/etc/hostname)
echo "generate: $plain"
echo "PRISMA_ENGINES_CHECKSUM_IGNORE_MISSING=1: $ignoring"
echo "PRISMA_SCHEMA_ENGINE_BINARY=/etc/hostname: $given"
[ "$plain $ignoring $given" = "failed failed ok" ] && [ -s generated/client.ts ] || { cat generate.log; echo "CHANGED"; exit 1; }
