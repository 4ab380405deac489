// What `import "edgepool"` loads, minified and gzipped, under each condition. A ceiling is the figure reached once (60.6 and
// 50.3 kB) + 5 %, and never above what the package promises: 72 and 56 kB.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { root } from "../../scripts/run.mjs";

const ceilings = { workerd: 52_700, default: 63_600 };

async function loaded(conditions) {
  const { outputFiles } = await build({
    stdin: { contents: 'export * from "edgepool"', resolveDir: root },
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    outdir: root,
    conditions,
    external: ["*.wasm", "cloudflare:*"],
  });
  return outputFiles.reduce((sum, { contents }) => sum + gzipSync(contents, { level: 9 }).length, 0);
}

test("the ceilings are those that docs/comparisons.md states", () => {
  const stated = [...readFileSync(join(root, "docs", "comparisons.md"), "utf8").matchAll(/\| (\d+) kB \|$/gm)].map(
    ([, kB]) => Number(kB),
  );
  assert.deepEqual(
    stated,
    [ceilings.default, ceilings.workerd].map((bytes) => Math.ceil(bytes / 1000)),
  );
});

test("the inlined build stays under its ceiling", async (t) => {
  const bytes = await loaded(["browser"]);
  t.diagnostic(`${bytes} bytes of ${ceilings.default}`);
  assert.ok(bytes <= ceilings.default, `${bytes} bytes`);
});

test("the build for Workers, with its .wasm, stays under its ceiling", async (t) => {
  const wasm = readFileSync(join(root, "pkg", "wasm", "edgepool_bg.wasm"));
  const bytes = (await loaded(["workerd", "worker", "browser"])) + gzipSync(wasm, { level: 9 }).length;
  t.diagnostic(`${bytes} bytes of ${ceilings.workerd}`);
  assert.ok(bytes <= ceilings.workerd, `${bytes} bytes`);
});
