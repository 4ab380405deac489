// @ts-check
// npm test: sets up what is missing, builds, runs every suite, and ends with the count of all tests.
// npm test -- <suite> [<topic>…] …: runs these suites, or these topics of them, with only the set-up that they need.

import { spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { exitCode, fail, root, say, start } from "./run.mjs";
import { setUpRust } from "./setup.mjs";
import { suites } from "./suites.mjs";

/**
 * @import { Suite } from "./suites.mjs"
 * @typedef {{ suite: Suite, topics: string[], needs: string[] }} Chosen
 */

const scripts = Object.fromEntries(
  ["build", "setup"].map((name) => [name, fileURLToPath(new URL(`${name}.mjs`, import.meta.url))]),
);
const total = { passed: 0, failed: 0 };
/** What failed, by suite, for the end of the output: there a person looks first. */
const failures = [];

const chosen = choose(process.argv.slice(2));
// Two at a time while others compile or wait; a suite that runs alone shows its output at once.
const lanes = Math.min(chosen.length, 2, availableParallelism());
const prepared = prepare();
const left = [...chosen];
await Promise.all(Array.from({ length: lanes }, runLane));
for (const line of failures) console.log(line);
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed === 0 ? 0 : 1;

/** Returns the suites that the arguments name, each with its topics. Without arguments it returns all. */
function choose(names) {
  if (names.length === 0) return suites.map((suite) => ({ suite, topics: [], needs: suite.needs([]) }));
  const wanted = [];
  for (const name of names) {
    const suite = suites.find((suite) => suite.name === name);
    const last = wanted.at(-1);
    if (suite) wanted.push({ suite, topics: [] });
    else if (last?.suite.topics.includes(name)) last.topics.push(name);
    else if (last) fail(`the suite ${last.suite.name} has no topic ${name}\n${describe([last.suite])}`);
    else fail(`there is no suite ${name}; these are the suites, each with its topics:\n${describe(suites)}`);
  }
  return wanted.map(({ suite, topics }) => ({ suite, topics, needs: suite.needs(topics) }));
}

function describe(suites) {
  const topicsOf = ({ topics }, at) => {
    const same = suites.slice(0, at).find((other) => topics.length > 0 && other.topics.join() === topics.join());
    return same ? `the topics of ${same.name}` : topics.join(" ") || "no topics";
  };
  return suites.map((suite, at) => `\n${suite.name}: ${suite.what}\n  ${topicsOf(suite, at)}`).join("\n");
}

/**
 * Sets up each part that a chosen suite needs, in three rows at once: what is compiled for the tests, what is installed
 * for them, and the package. Returns the exit code of each part, as a promise.
 */
function prepare() {
  setUpRust();
  const needs = new Set(chosen.flatMap(({ needs }) => needs));
  // A suite that runs alone compiles its tests itself and shows how far it is.
  const compiled = ["wasmPack", ...(chosen.length > 1 ? ["policyTests", "bindingsTests"] : [])];
  const parts = {};
  const row = (names, command, args) => {
    let before = Promise.resolve(0);
    for (const name of names.filter((name) => needs.has(name))) {
      before = before.then((status) => status || start(command, args(name)));
      parts[name] = before;
    }
  };
  row(["package"], process.execPath, () => [scripts.build]);
  // The compiler takes what the others leave: it has the most to do, and they wait for disks and networks.
  row(compiled, "nice", (name) => ["-n", "10", process.execPath, scripts.setup, name]);
  row(["node22", "chromium", "jest", "vitest", "deno", "bun", "node24"], process.execPath, (name) => [
    scripts.setup,
    name,
  ]);
  return parts;
}

/** Runs one suite after another, the first that is prepared, until none is left. */
async function runLane() {
  while (left.length > 0) {
    const next = await Promise.race(left.map(whenPrepared));
    const at = left.indexOf(next);
    // The other lane may have taken it.
    if (at < 0) continue;
    left.splice(at, 1);
    await runSuite(next);
  }
}

/** @param {Chosen} chosen */
async function whenPrepared(chosen) {
  for (const need of chosen.needs) {
    if (await prepared[need]) fail(`${chosen.suite.what} cannot be tested: the set-up of ${need} failed`);
  }
  return chosen;
}

/**
 * Runs one suite, shows its output, and adds what its runner counted. A runner that fails without a count is a failure.
 *
 * @param {Chosen} chosen
 */
async function runSuite({ suite: { what, command: commandFor }, topics }) {
  const { command, args, env } = commandFor(topics);
  say(`testing ${what}`);
  const begin = performance.now();
  const child = spawn(command, args, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", lanes > 1 ? "pipe" : "inherit"],
  });
  let output = "";
  let shown = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (text) => {
      if (stream === child.stdout) output += text;
      if (lanes > 1) shown += text;
      else process.stdout.write(text);
    });
  }
  const status = await exitCode(child, command);
  process.stdout.write(shown);
  const { passed, failed } = count(output);
  const isFailure = failed > 0 || status !== 0 || passed === 0;
  total.passed += passed;
  total.failed += isFailure ? Math.max(failed, 1) : 0;
  if (status === 0 && passed === 0) console.error(`edgepool: no test of ${what} ran`);
  if (isFailure) failures.push(`failed: ${what}`, ...failedTests(output));
  say(`tested ${what} in ${Math.round((performance.now() - begin) / 1000)} s: ${isFailure ? "failed" : "passed"}`);
}

/** Counts the tests in the output of cargo, wasm-bindgen-test or node:test. */
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

/** Returns a line for each test that failed, by its name. A suite of node:test fails with its tests. */
function failedTests(output) {
  const names = output.matchAll(/^ *not ok \d+ - (.*)$|^test (.*) \.\.\. FAILED$/gm);
  return [...names].map(([, ofNode, ofCargo]) => `  ${ofNode ?? ofCargo}`);
}
