// @ts-check
// Bundles the suite for a runtime that takes no npm packages, as its users' bundlers do.

import { join } from "node:path";
import { build } from "esbuild";
import { root } from "../../../scripts/run.mjs";
import { chosenTopics, folder } from "../topics.mjs";

const nothing = join(root, "tests", "conformance", "runners", "nothing.mjs");

/**
 * Gives the bundle a module "topics", with each chosen topic under its name.
 *
 * @type {import("esbuild").Plugin}
 */
const topics = {
  name: "topics",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^topics$/ }, () => ({ path: "topics", namespace: "topics" }));
    onLoad({ filter: /.*/, namespace: "topics" }, () => ({
      contents: chosenTopics()
        .map((name) => `export { default as "${name}" } from "./${name}.mjs";`)
        .join("\n"),
      resolveDir: folder,
    }));
  },
};

/**
 * Writes a bundle as one module into `outdir`, with each `.wasm` that it imports beside it.
 *
 * @param {{ entry: string, outdir: string, conditions: string[] }} bundle `entry` is source text
 */
export async function bundle({ entry, outdir, conditions }) {
  await build({
    stdin: { contents: entry, resolveDir: folder },
    outfile: join(outdir, "main.js"),
    bundle: true,
    format: "esm",
    platform: "browser",
    conditions,
    plugins: [topics],
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

/**
 * Reports the results of another runtime as tests of this process.
 *
 * @param {import("node:test").TestContext} t
 * @param {{ name: string, error?: string }[]} results
 */
export async function report(t, results) {
  if (results.length === 0) throw new Error("the runtime ran no test");
  for (const { name, error } of results) {
    await t.test(name, () => {
      if (error !== undefined) throw new Error(error);
    });
  }
}
