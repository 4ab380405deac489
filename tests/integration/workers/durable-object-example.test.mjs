// The example that users read: it must run, and do what it says.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import test from "node:test";
import { fileURLToPath } from "node:url";

test("examples/workers/durable-object makes its transfers through five connections and exits with 0", () => {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [fileURLToPath(new URL("../../../examples/workers/durable-object/run.mjs", import.meta.url))],
    { encoding: "utf8", timeout: 60_000 },
  );
  assert.equal(status, 0, stdout + stderr);
  assert.equal(stdout.match(/^ok {4}/gm)?.length, 3, stdout);
});
