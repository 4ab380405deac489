// @ts-check
// Runs test suites for scripts/test.mjs and scripts/field.mjs: chooses them by the arguments, sets up what they need,
// runs two at a time, and prints the count of all tests last.

import { spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import { exitCode, fail, root, say, start } from "./run.mjs";

/**
 * @typedef {{ command: string, args: string[], env?: Record<string, string> }} Command
 * @typedef {object} Suite
 * @property {string} name
 * @property {string} what
 * @property {string[]} topics
 * @property {(topics: string[]) => string[]} needs the names of the parts for these topics
 * @property {(topics: string[]) => Command} command runs these topics; no topic stands for all
 *
 * @typedef {{ suite: Suite, topics: string[], needs: string[] }} Chosen
 * @typedef {{ names: string[], command: string, args: (name: string) => string[] }} Row parts that are set up one after
 *   another, each by this command
 */

/**
 * Runs the suites that the arguments of this process name, or all. `rows` returns what sets up the parts; the rows run
 * at once. Sets the exit code.
 *
 * @param {Suite[]} suites
 * @param {(chosen: Chosen[]) => Row[]} rows
 */
export async function runSuites(suites, rows) {
  const chosen = choose(suites, process.argv.slice(2));
  // Two at a time while others compile or wait; a suite that runs alone shows its output at once.
  const lanes = Math.min(chosen.length, 2, availableParallelism());
  const prepared = prepare(chosen, rows(chosen));
  const total = { passed: 0, failed: 0 };
  // What failed, by suite, for the end of the output: there a person looks first.
  const failures = [];
  const left = [...chosen];

  /** Runs one suite after another, the first that is prepared, until none is left. */
  const runLane = async () => {
    while (left.length > 0) {
      const next = await Promise.race(left.map((suite) => whenPrepared(suite, prepared)));
      const at = left.indexOf(next);
      // The other lane may have taken it.
      if (at < 0) continue;
      left.splice(at, 1);
      const { passed, failed, failures: ofSuite } = await runSuite(next, lanes > 1);
      total.passed += passed;
      total.failed += failed;
      failures.push(...ofSuite);
    }
  };
  await Promise.all(Array.from({ length: lanes }, runLane));
  for (const line of failures) console.log(line);
  console.log(`${total.passed} passed, ${total.failed} failed`);
  process.exitCode = total.failed === 0 ? 0 : 1;
}

/**
 * Returns the suites that the arguments name, each with its topics. Without arguments it returns all.
 *
 * @param {Suite[]} suites
 * @param {string[]} names
 */
function choose(suites, names) {
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
 * Sets up each part that a chosen suite needs. Returns the exit code of each part, as a promise.
 *
 * @param {Chosen[]} chosen
 * @param {Row[]} rows
 */
function prepare(chosen, rows) {
  const needs = new Set(chosen.flatMap(({ needs }) => needs));
  const parts = {};
  for (const { names, command, args } of rows) {
    let before = Promise.resolve(0);
    for (const name of names.filter((name) => needs.has(name))) {
      before = before.then((status) => status || start(command, args(name)));
      parts[name] = before;
    }
  }
  return parts;
}

/** @param {Chosen} chosen */
async function whenPrepared(chosen, prepared) {
  for (const need of chosen.needs) {
    if (await prepared[need]) fail(`${chosen.suite.what} cannot be tested: the set-up of ${need} failed`);
  }
  return chosen;
}

/**
 * Runs one suite, shows its output, and returns what its runner counted, with the lines about what failed. A runner
 * that fails without a count is a failure.
 *
 * @param {Chosen} chosen
 */
async function runSuite({ suite: { what, command: commandFor }, topics }, isBeside) {
  const { command, args, env } = commandFor(topics);
  say(`testing ${what}`);
  const begin = performance.now();
  const child = spawn(command, args, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", isBeside ? "pipe" : "inherit"],
  });
  let output = "";
  let shown = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (text) => {
      if (stream === child.stdout) output += text;
      if (isBeside) shown += text;
      else process.stdout.write(text);
    });
  }
  const status = await exitCode(child, command);
  process.stdout.write(shown);
  const { passed, failed } = count(output);
  const isFailure = failed > 0 || status !== 0 || passed === 0;
  if (status === 0 && passed === 0) console.error(`edgepool: no test of ${what} ran`);
  say(`tested ${what} in ${Math.round((performance.now() - begin) / 1000)} s: ${isFailure ? "failed" : "passed"}`);
  if (!isFailure) return { passed, failed: 0, failures: [] };
  return { passed, failed: Math.max(failed, 1), failures: [`failed: ${what}`, ...failedTests(output)] };
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
