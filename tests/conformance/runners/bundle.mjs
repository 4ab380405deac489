// Bundles the suite for a runtime that takes no npm packages, as a bundler of its users would.

import { join } from "node:path";
import { build } from "esbuild";
import { root } from "../../../scripts/run.mjs";

const nothing = join(root, "tests", "conformance", "runners", "nothing.mjs");

/** Writes `entry` (source text) as one module into `outdir`; `.wasm` imports are copied beside it. */
export async function bundle({ entry, outdir, conditions }) {
  await build({
    stdin: { contents: entry, resolveDir: join(root, "tests", "conformance") },
    outfile: join(outdir, "main.js"),
    bundle: true,
    format: "esm",
    platform: "browser",
    conditions,
    // The fake clock asks for Node's own modules only to patch their timers, which it does not do here.
    alias: { util: nothing, timers: nothing, "timers/promises": nothing },
    external: ["cloudflare:*"],
    loader: { ".wasm": "copy" },
    assetNames: "[name]",
    // Errors show the names of functions.
    keepNames: true,
    logLevel: "warning",
  });
}

/** Reports what a runtime answered as tests of this process. */
export async function report(t, results) {
  if (results.length === 0) throw new Error("the runtime ran no test");
  for (const { name, error } of results) {
    await t.test(name, () => {
      if (error !== undefined) throw new Error(error);
    });
  }
}
