// worker-build itself, without a download of its own: the example runs as it builds it.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import { delimiter, join } from "node:path";
import test from "node:test";
import { Client } from "pg";
import { root, run, say } from "../../../scripts/run.mjs";
import { cargoTarget } from "../../../scripts/rust-worker.mjs";
import { setUpBuild, setUpWasmPack } from "../../../scripts/setup.mjs";
import { startWorkerdOnPostgres } from "../../integration/workers/workerd.mjs";

const version = "0.8.7";
const crate = join(root, "examples", "rust-worker");
const folder = join(root, "target", "tools", `worker-build-${version}`);

test("worker-build builds examples/rust-worker, and it runs", async () => {
  setUpBuild();
  if (!existsSync(join(folder, "bin", "worker-build"))) {
    say("installing worker-build into target/tools (usually four minutes, once)");
    run("cargo", ["install", "--quiet", "worker-build", "--version", version, "--locked", "--root", folder]);
  }
  const [tools] = setUpWasmPack().split(delimiter);
  const program = (...path) => join(root, "node_modules", ...path);
  execFileSync(join(folder, "bin", "worker-build"), ["--release"], {
    cwd: crate,
    env: {
      ...process.env,
      CARGO_TARGET_DIR: cargoTarget,
      WASM_BINDGEN_BIN: join(tools, "wasm-bindgen"),
      WASM_OPT_BIN: program("binaryen", "bin", "wasm-opt"),
      ESBUILD_BIN: program("esbuild", "bin", "esbuild"),
    },
  });
  const built = join(crate, "build");
  const entry = join(built, "index.js");
  const main = { entry, durableObjects: { BANK: "Bank" } };
  const { postgres, workerd, stop } = await startWorkerdOnPostgres({ workers: { main } });
  try {
    const admin = new Client(postgres.options);
    await admin.connect();
    await admin.query("CREATE TABLE accounts AS SELECT id, 20 AS balance FROM generate_series(1, 2) AS id");
    await admin.end();
    assert.deepEqual(await workerd.ask("/transfer/1/2/5"), { status: 200, body: "transferred" });
    assert.deepEqual(await workerd.ask("/report"), { status: 200, body: "40 on 2 accounts" });
  } finally {
    await stop();
    rmSync(built, { recursive: true });
  }
});
