// @ts-check
// npm run peers -- <suite> <folder> [--times=20]: runs the tests of another pool's own repository over the facade of
// edgepool that takes that pool's place. The folder is a checkout of the repository, with its packages installed and
// built as its own documents say. Fetches nothing.

import { spawn } from "node:child_process";
import { realpathSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { build } from "./build.mjs";
import { startPostgres } from "./postgres.mjs";
import { exitCode, fail, root, say } from "./run.mjs";

/**
 * @typedef {object} Peer a suite of another pool
 * @property {string} repository
 * @property {string} replaced the module that the facade replaces, in the checkout
 * @property {string} by the facade, in tests/peers
 * @property {boolean} postgres whether the suite needs a server
 * @property {string} cwd
 * @property {string[][]} runs the arguments of node, one run after another
 * @property {number} passes how many tests pass
 * @property {RegExp} passed a line of a test that passed
 * @property {RegExp} failed a line of a test that failed
 * @property {string[]} [excused] the tests that fail for a reason of their own
 * @property {Record<string, string>} [env]
 */

/** @type {Record<string, Peer>} */
const peers = {
  "pg-pool": {
    repository: "brianc/node-postgres",
    replaced: "packages/pg-pool/index.js",
    by: "pg-pool.cjs",
    postgres: true,
    cwd: "packages/pg-pool",
    runs: [["../../node_modules/mocha/bin/mocha.js", "--reporter=tap", "test"]],
    passes: 87,
    passed: /^ok \d+ (?!.*# SKIP)/,
    failed: /^not ok \d+ (.*)/,
    // It needs the package pg-native.
    excused: ["connection timeout should connect if timeout is passed, but native client in connected state"],
    env: { PEER_DRIVER: "packages/pg/lib/index.js" },
  },
  pg: {
    repository: "brianc/node-postgres",
    replaced: "packages/pg-pool/index.js",
    by: "pg-pool.cjs",
    postgres: true,
    cwd: "packages/pg",
    runs: ["connection-pool-size", "error", "idle-timeout", "native-instance", "tls", "yield-support"].map((name) => [
      `test/integration/connection-pool/${name}-tests.js`,
    ]),
    passes: 11,
    passed: /✔/,
    failed: /FAILED|did not complete|^Message: (.*)/,
    env: { PEER_DRIVER: "packages/pg/lib/index.js" },
  },
  tarn: {
    repository: "Vincit/tarn.js",
    replaced: "dist/tarn.js",
    by: "tarn.cjs",
    postgres: false,
    cwd: ".",
    runs: [["node_modules/mocha/bin/_mocha", "--timeout=5000", "--reporter=tap", "--exit", "tests.js"]],
    passes: 66,
    passed: /^ok \d+/,
    failed: /^not ok \d+ (.*)/,
  },
  "generic-pool": {
    repository: "coopernurse/node-pool",
    replaced: "index.js",
    by: "generic-pool.cjs",
    postgres: false,
    cwd: ".",
    // The others test its lists and its requests, which the facade does not have.
    runs: ["generic-pool", "generic-pool-acquiretimeout", "generic-pool-destroytimeout", "GH-159"].map((name) => [
      `test/${name}-test.js`,
    ]),
    passes: 29,
    passed: /^ok \d+/,
    failed: /^not ok \d+ (.*)/,
  },
};

const { positionals, values } = parseArgs({ allowPositionals: true, options: { times: { type: "string" } } });
const [name, folder] = positionals;
const peer = peers[name ?? ""];
if (peer === undefined || folder === undefined) {
  const lines = Object.entries(peers).map(([suite, { repository }]) => `  ${suite}: of ${repository}`);
  fail(`name a suite, and the folder of a checkout:\n${lines.join("\n")}`);
}

build();
const checkout = realpathSync(resolve(folder));
const postgres = peer.postgres ? await startPostgres() : undefined;
let failures = 0;
try {
  const times = Number(values.times ?? 1);
  for (let time = 0; time < times; time++) failures += await runOnce(peer);
} finally {
  await postgres?.stop();
}
process.exitCode = failures === 0 ? 0 : 1;

/**
 * Runs each file of a suite. Returns how many tests failed, and how many are missing.
 *
 * @param {Peer} peer
 */
async function runOnce({ runs, passes, passed, failed, excused = [] }) {
  let passing = 0;
  /** @type {string[]} */
  const failing = [];
  for (const args of runs) {
    const output = await outputOf(peer, args);
    for (const line of output.split("\n")) {
      if (passed.test(line)) passing++;
      const found = failed.exec(line);
      if (found && !excused.includes(found[1] ?? "")) failing.push(line);
    }
    if (failing.length > 0) process.stdout.write(output);
  }
  for (const line of failing) console.log(line);
  say(`${name}: ${passing} of ${passes} passed, ${failing.length} failed`);
  return failing.length + Math.max(0, passes - passing - failing.length);
}

/**
 * Returns what one run prints.
 *
 * @param {Peer} peer
 * @param {string[]} args
 */
async function outputOf({ replaced, by, cwd, env = {} }, args) {
  const { host = "", port = 0, user = "", password = "", database = "" } = postgres?.options ?? {};
  const { PEER_DRIVER: driver } = env;
  const child = spawn(process.execPath, args, {
    cwd: join(checkout, cwd),
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      ...process.env,
      ...env,
      ...(driver && { PEER_DRIVER: join(checkout, driver) }),
      ...(postgres && { PGHOST: host, PGPORT: `${port}`, PGUSER: user, PGPASSWORD: password, PGDATABASE: database }),
      PEER_REPLACED: join(checkout, replaced),
      PEER_BY: join(root, "tests", "peers", by),
      NODE_OPTIONS: `--require ${join(root, "tests", "peers", "replace.cjs")}`,
    },
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (output += text));
  const status = await exitCode(child, args[0]);
  return status === 0 ? output : `${output}\nthe process ended with ${status}\n`;
}
