// The tests of a dialect with the oldest version of its driver, and the warning of an older one. pg has a suite of its
// own for that.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { join } from "node:path";
import { test } from "node:test";
import { QueuePool } from "../../../pkg/entry/inline.js";
import { fieldFolder } from "../../../scripts/setup.mjs";

const folder = fieldFolder("versions");
const load = createRequire(join(folder, "package.json"));
const dialects = join(import.meta.dirname, "..", "..", "integration", "dialects");

for (const driver of ["mysql2", "libsql"]) {
  test(`the dialect of ${driver} keeps its promises with the oldest version`, () => {
    const { status, stdout } = spawnSync(
      process.execPath,
      [
        "--import",
        join(import.meta.dirname, "oldest.mjs"),
        "--test",
        "--test-reporter=tap",
        join(dialects, `${driver}.test.mjs`),
      ],
      { encoding: "utf8", env: { ...process.env, NODE_TEST_CONTEXT: undefined, DRIVER: driver, FOLDER: folder } },
    );
    assert.equal(status, 0, stdout);
    assert.match(stdout, /^# pass [1-9]/m);
  });
}

/** By its dialect: how a connection of an older driver is made, and what the warning calls it. */
const older = {
  pg() {
    const { Client } = load("pg-older");
    return Object.assign(new Client(), { _connected: true });
  },
  mysql2() {
    const connection = load("mysql2-older").createConnection({ host: "127.0.0.1", port: 1 });
    connection.on("error", () => {});
    return connection;
  },
  libsql: () => new (load("libsql-older"))(":memory:"),
};

for (const [entry, open] of Object.entries(older)) {
  test(`an older version of ${entry} is named in a warning, once`, async () => {
    const { default: dialect } = await import(`../../../pkg/dialects/${entry}.js`);
    const warnings = [];
    const logger = { debug() {}, info() {}, warn: (message) => warnings.push(message), error() {} };
    // The pool does not speak to it: there is no server.
    const pool = new QueuePool(open, { dialect: { doCheck: dialect.doCheck, doRollback() {}, doClose() {} }, logger });
    const leases = await Promise.all([pool.connect(), pool.connect()]);
    assert.equal(warnings.length, 1);
    assert.match(warnings[0], /: this \S+ is older than [\d.]+, the oldest version that its dialect is tested with$/);
    await Promise.all(leases.map((lease) => lease.close()));
    await pool.close();
  });
}
