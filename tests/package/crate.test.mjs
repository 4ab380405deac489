// The crate as cargo would publish it.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import test from "node:test";
import { root } from "../../scripts/run.mjs";

test("the crate may be published, and has what a Rust program compiles", () => {
  const { status, stdout, stderr } = spawnSync("cargo", ["package", "--list", "--allow-dirty", "--offline"], {
    cwd: root,
    encoding: "utf8",
  });
  assert.equal(status, 0, stderr);
  assert.doesNotMatch(stderr, /warning/);
  const files = stdout.trim().split("\n");
  const others = files.filter((file) => !/^(src|tests|benches)\/.*\.rs$|^Cargo\.|^\.cargo_vcs/.test(file));
  assert.deepEqual(others.sort(), ["LICENSE", "docs/rust.md", "src/shell/protocol.ts", "tests/policy/state_tables.md"]);
  for (const file of ["src/lib.rs", "src/policy/pool.rs", "src/host/pool.rs"]) assert.ok(files.includes(file), file);
});
