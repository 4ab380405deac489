// The example that users read: it must run, and do what it says.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import test from "node:test";
import { root } from "../../../scripts/run.mjs";

test("examples/rust-worker makes its transfers, leaves nothing of its reports, and exits with 0", () => {
  const program = join(root, "examples", "rust-worker", "run.mjs");
  const { status, stdout, stderr } = spawnSync(process.execPath, [program], { encoding: "utf8" });
  assert.equal(status, 0, stdout + stderr);
  assert.equal(stdout.match(/^ok {4}/gm)?.length, 4, stdout);
});
