// What the pool adds to a Rust Worker that has a client of tokio-postgres already.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { gzipSync } from "node:zlib";
import { buildRustWorker } from "../../../scripts/rust-worker.mjs";
import { startWorkerdOnPostgres } from "../../integration/workers/workerd.mjs";

const crate = join(import.meta.dirname, "size");
const most = 52_000;

test(`the pool adds at most ${most / 1000} kB to a Rust Worker, gzipped`, async (context) => {
  const sizes = [];
  for (const features of [[], ["pooled"]]) {
    const folder = buildRustWorker(crate, { features });
    sizes.push(gzipSync(readFileSync(join(folder, "index_bg.wasm")), { level: 9 }).length);
    const main = { entry: join(folder, "shim.mjs"), durableObjects: { HOLDER: "Holder" } };
    const { workerd, stop } = await startWorkerdOnPostgres({ workers: { main } });
    assert.deepEqual(await workerd.ask("/"), { status: 200, body: "42" });
    await stop();
  }
  const [without, pooled] = sizes;
  context.diagnostic(`${without} bytes by hand, ${pooled} with the pool: ${pooled - without} more`);
  assert.ok(pooled - without <= most, `${pooled - without} bytes`);
});
