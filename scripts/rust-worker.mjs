// @ts-check
// Builds a Rust Worker: cargo, the glue writer of this project, wasm-opt, and the shim that lies beside the crate. What
// worker-build does, without a download.

import { copyFileSync, mkdirSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { setUpBuild } from "./setup.mjs";
import { root, run } from "./run.mjs";

/** All Rust Workers share it: most of what they compile is the same. */
export const cargoTarget = join(root, "target", "rust-worker");

/**
 * Builds the crate in the folder `crate`, a path. Returns the folder with shim.mjs, index.js and index_bg.wasm.
 *
 * @param {string} crate
 * @param {{ features?: string[] }} [more]
 */
export function buildRustWorker(crate, { features = [] } = {}) {
  setUpBuild();
  const out = join(cargoTarget, "workers", [basename(crate), ...features].join("-"));
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  run("cargo", ["build", "--quiet", "--locked", "-p", "edgepool-bindgen"]);
  const compiled = compile(crate, features);
  run(join(root, "target", "debug", "edgepool-bindgen"), [compiled, out, "index"]);
  const wasm = join(out, "index_bg.wasm");
  run(process.execPath, [
    join(root, "node_modules", "binaryen", "bin", "wasm-opt"),
    wasm,
    "-o",
    wasm,
    "-O",
    "--all-features",
    "--strip-debug",
    "--strip-producers",
  ]);
  copyFileSync(join(crate, "shim.mjs"), join(out, "shim.mjs"));
  return out;
}

/** Returns the path of the WebAssembly that the compiler wrote. */
function compile(crate, features) {
  const target = ["--release", "--target", "wasm32-unknown-unknown"];
  const more = features.length > 0 ? ["--features", features.join(",")] : [];
  run("cargo", ["build", "--quiet", "--locked", ...target, ...more], {
    cwd: crate,
    env: { CARGO_TARGET_DIR: cargoTarget },
  });
  const name = `edgepool_${basename(crate).replaceAll("-", "_")}.wasm`;
  return join(cargoTarget, "wasm32-unknown-unknown", "release", name);
}
