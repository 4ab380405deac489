// The edge runtime of Vercel's middleware with `codeGeneration.wasm: false`, without any configuration for the package.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { join } from "node:path";
import { before, test } from "node:test";
import { build } from "esbuild";
import { layProject } from "../project.mjs";

let project;

before(() => {
  project = layProject("vercel", join(import.meta.dirname, "app"));
});

/** As Vercel's builder: what is imported with ?module is a global of the runtime. */
const modules = {
  name: "wasm-modules",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /\.wasm\?module$/ }, ({ path }) => ({ path, namespace: "wasm" }));
    onLoad({ filter: /.*/, namespace: "wasm" }, () => ({ contents: "export default edgepoolWasm;" }));
  },
};

/** Bundles an entry under these conditions, and serves it in the edge runtime. */
async function serve(entry, conditions) {
  const outfile = join(project.folder, "built", entry);
  await build({
    entryPoints: [join(project.folder, entry)],
    outfile,
    bundle: true,
    format: "iife",
    platform: "browser",
    conditions,
    plugins: [modules],
    logLevel: "warning",
  });
  const wasm = createRequire(join(project.folder, "app.js")).resolve("edgepool/edgepool.wasm");
  return project.serve("node", (port) => ["serve.mjs", port, outfile, wasm]);
}

test("a middleware has rows in an edge runtime that compiles no WebAssembly", async () => {
  const server = await serve("middleware.js", ["edge-light"]);
  try {
    assert.deepEqual(await server.ask("/"), { rows: ["SELECT 1", "SELECT 2"], opened: 1 });
  } finally {
    await server.stop();
  }
});

test("slim takes the module that the edge runtime gives, which is of another realm", async () => {
  const server = await serve("slim.js", ["edge-light"]);
  try {
    assert.equal(await server.ask("/"), "function");
  } finally {
    await server.stop();
  }
});

test("without the condition the error names it", async () => {
  await assert.rejects(serve("middleware.js", []), /edgepool cannot compile its WebAssembly here: .*"edge-light"/);
});
