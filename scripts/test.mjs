// npm test: sets up what is missing, builds, runs every test, and ends with the count of all of them.

import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { build } from "./build.mjs";
import { ask, root, say } from "./run.mjs";
import { setUpBrowserTests, setUpJest, setUpRuntimes } from "./setup.mjs";

const total = { passed: 0, failed: 0 };

build();
const path = setUpBrowserTests();
const { node22 = process.execPath, node24, deno, bun } = setUpRuntimes();
setUpJest();
// The tests of lost leases ask for collections.
const nodeAt = (binary, name, ...files) => [
  name,
  binary,
  ["--expose-gc", "--test", "--test-reporter=tap", ...files.map((file) => join(root, file))],
  {},
];
const node = (name, ...files) => nodeAt(process.execPath, name, ...files);
const dialects = ["mysql2", "pglite", "better-sqlite3", "node-sqlite"].map(
  (name) => `tests/integration/dialects/${name}.test.mjs`,
);
const postgres = readdirSync(join(root, "tests/integration"))
  .filter((file) => /^postgres.*\.test\.mjs$/.test(file))
  .map((file) => `tests/integration/${file}`);
const workers = readdirSync(join(root, "tests/integration/workers"))
  .filter((file) => file.endsWith(".test.mjs"))
  .map((file) => `tests/integration/workers/${file}`);
const wasmPack = (name, env, ...mode) => [
  name,
  "wasm-pack",
  ["test", "--mode", "no-install", ...mode, "--", "--locked", "--test", "bindings"],
  { PATH: path, ...env },
];

const suites = [
  [
    "the policy, natively (a minute to compile, the first time)",
    "cargo",
    ["test", "--locked", "--lib", "--test", "policy"],
    {},
  ],
  wasmPack("the bindings in Node", {}, "--node"),
  wasmPack(
    "the bindings in headless Chromium",
    { WASM_BINDGEN_USE_BROWSER: "1" },
    "--headless",
    "--chrome",
    "--chromedriver",
    ask("which", ["chromedriver"]),
  ),
  node("conformance in Node", "tests/conformance/runners/node.test.mjs"),
  nodeAt(node22, "conformance in Node 22", "tests/conformance/runners/node.test.mjs"),
  ...(node24 === undefined
    ? []
    : [nodeAt(node24, "conformance in Node 24", "tests/conformance/runners/node.test.mjs")]),
  ...(deno === undefined
    ? []
    : [
        [
          "conformance in Deno and Bun",
          process.execPath,
          ["--test", "--test-reporter=tap", join(root, "tests/conformance/runners/deno-and-bun.test.mjs")],
          { DENO: deno, BUN: bun },
        ],
      ]),
  node("conformance in workerd", "tests/conformance/runners/workerd.test.mjs"),
  node("conformance in headless Chromium", "tests/conformance/runners/browser.test.mjs"),
  node("random programs against a model, in Node", "tests/programs/programs.test.mjs"),
  node("the pools in Node and on a real PostgreSQL", "tests/integration/node-process.test.mjs", ...postgres),
  node("the pools in Workers: requests and Durable Objects in real workerd", ...workers),
  nodeAt(node22, "the other dialects, each with its driver, in a Node that has SQLite", ...dialects),
  node("the demo page in headless Chromium", "tests/integration/demo.test.mjs"),
  node(
    "the documents: their examples, names and links",
    "tests/package/documentation.test.mjs",
    "tests/package/speed-comparison.test.mjs",
  ),
  node(
    "the package as it is published",
    "tests/package/tarball.test.mjs",
    "tests/package/size.test.mjs",
    "tests/package/layers.test.mjs",
    "tests/package/scenarios.test.mjs",
  ),
  node("the package in every bundler, and in Jest", "tests/package/bundlers.test.mjs", "tests/package/jest.test.mjs"),
];

for (const [name, command, args, env] of suites) {
  say(`testing ${name}`);
  await runSuite(name, command, args, env);
}
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed === 0 ? 0 : 1;

/** Runs one suite, shows its output, and adds what its runner counted. A runner that fails without a count is a failure. */
async function runSuite(name, command, args, env) {
  const child = spawn(command, args, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.on("data", (chunk) => {
    output += chunk;
    process.stdout.write(chunk);
  });
  const status = await new Promise((resolve) => {
    child.once("error", (error) => (console.error(`${command} could not be started: ${error.message}`), resolve(1)));
    child.once("close", resolve);
  });
  const { passed, failed } = count(output);
  total.passed += passed;
  total.failed += failed > 0 || (status === 0 && passed > 0) ? failed : 1;
  if (status === 0 && passed === 0) console.error(`${name}: no test ran`);
}

/** What cargo, wasm-bindgen-test and node:test say at their end. */
function count(output) {
  let passed = 0;
  let failed = 0;
  for (const [, ok, bad] of output.matchAll(/test result: \w+\. (\d+) passed; (\d+) failed/g)) {
    passed += Number(ok);
    failed += Number(bad);
  }
  for (const [, kind, number] of output.matchAll(/^# (pass|fail|cancelled) (\d+)$/gm)) {
    if (kind === "pass") passed += Number(number);
    else failed += Number(number);
  }
  return { passed, failed };
}
