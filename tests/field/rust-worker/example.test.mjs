// The examples that users read: each must run, and do what it says.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import test from "node:test";
import { root } from "../../../scripts/run.mjs";

function checksOf(example) {
  const program = join(root, "examples", example, "run.mjs");
  const { status, stdout, stderr } = spawnSync(process.execPath, [program], { encoding: "utf8" });
  assert.equal(status, 0, stdout + stderr);
  return stdout.match(/^ok {4}/gm)?.length;
}

test("examples/rust-worker makes its transfers, leaves nothing of its reports, and exits with 0", () => {
  assert.equal(checksOf("rust-worker"), 4);
});

test("examples/rust-quickstart gives up one transfer in ten, loses no money and no session, and exits with 0", () => {
  assert.equal(checksOf("rust-quickstart"), 6);
});
