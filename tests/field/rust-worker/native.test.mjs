// The manager of tokio-postgres natively, on a real server. The test runner of cargo has the tests.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import test from "node:test";
import { startPostgres } from "../../../scripts/postgres.mjs";
import { root } from "../../../scripts/run.mjs";
import { setUpRust } from "../../../scripts/setup.mjs";

test("the manager of tokio-postgres knows without a round trip what a session is doing", async () => {
  setUpRust();
  const postgres = await startPostgres();
  const { host, port, user, password, database } = postgres.options;
  const env = {
    ...process.env,
    CARGO_TARGET_DIR: join(root, "target", "rust-quickstart"),
    DATABASE_URL: `postgres://${user}:${password}@${host}:${port}/${database}`,
  };
  const cwd = join(import.meta.dirname, "native");
  const { status, stdout, stderr } = spawnSync("cargo", ["test", "--locked"], { cwd, env, encoding: "utf8" });
  await postgres.stop();
  assert.equal(status, 0, stdout + stderr);
  assert.match(stdout, /test result: ok\. 5 passed/);
});
