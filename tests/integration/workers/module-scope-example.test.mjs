// The example that users read: it must run, do what it says, and stay as short as it looks.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import test from "node:test";
import { fileURLToPath } from "node:url";

const file = (name) => fileURLToPath(new URL(`../../../examples/workers/module-scope/${name}`, import.meta.url));

test("examples/workers/module-scope answers every request on connections of its own and exits with 0", () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [file("run.mjs")], {
    encoding: "utf8",
    timeout: 60_000,
  });
  assert.equal(status, 0, stdout + stderr);
  assert.equal(stdout.match(/^ok {4}/gm)?.length, 3, stdout);
});

test("the Worker of examples/workers/module-scope has at most thirty lines", () => {
  assert.ok(readFileSync(file("worker.mjs"), "utf8").trimEnd().split("\n").length <= 30);
});
