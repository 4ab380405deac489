// @ts-check
// The test suites: the name of each, its topics, the parts that it needs, and how it runs. See scripts/test.mjs.

import { readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { root } from "./run.mjs";
import { bindingsEnv, canSetUpRuntimes, chromedriver, setUpRuntimes, setUpWasmPack } from "./setup.mjs";
import { topicNames } from "../tests/conformance/topics.mjs";

/** @import { Suite } from "./suite-runner.mjs" */

const bindingsTarget = ["--features", "bindings", "--test", "bindings", "--test", "javascript"];

/** Node's test runner; the tests of lost leases ask for collections. */
const nodeArgs = ["--expose-gc", "--test", "--test-reporter=tap"];

/** Returns the files of a folder with this ending, without those named `except`, by their topics. */
function filesIn(folder, ending, except = []) {
  const names = readdirSync(join(root, folder))
    .filter((file) => file.endsWith(ending))
    .map((file) => basename(file, ending))
    .filter((name) => !except.includes(name));
  return Object.fromEntries(names.map((name) => [name, join(root, folder, `${name}${ending}`)]));
}

/**
 * Returns a suite of test files, each a topic. `needs` are those of each topic, `node` is the Node that runs it.
 *
 * @param {string} name
 * @param {string} what
 * @param {Record<string, string>} topics
 * @param {{ needs?: Record<string, string[]>, node?: string }} [more]
 * @returns {Suite}
 */
function files(name, what, topics, { needs = {}, node } = {}) {
  const chosen = (wanted) => (wanted.length > 0 ? wanted : Object.keys(topics));
  return {
    name,
    what,
    topics: Object.keys(topics),
    needs: (wanted) => ["package", ...(node ? [node] : []), ...chosen(wanted).flatMap((topic) => needs[topic] ?? [])],
    command: (wanted) => ({
      command: (node && setUpRuntimes([node])[node]) ?? process.execPath,
      args: [...nodeArgs, ...chosen(wanted).map((topic) => topics[topic])],
    }),
  };
}

/**
 * Returns the conformance suite in one runtime, which `runner` runs.
 *
 * @param {string} name
 * @param {string} what
 * @param {string} runner
 * @param {{ needs?: string[], node?: string, env?: () => Record<string, string> }} [more]
 * @returns {Suite}
 */
function conformance(name, what, runner, { needs = [], node, env } = {}) {
  return {
    name,
    what: `conformance in ${what}`,
    topics: topicNames(),
    needs: () => ["package", ...(node ? [node] : []), ...needs],
    command: (topics) => ({
      command: (node && setUpRuntimes([node])[node]) ?? process.execPath,
      args: [...nodeArgs, join(root, "tests", "conformance", "runners", `${runner}.test.mjs`)],
      env: { ...env?.(), TOPICS: topics.join(",") },
    }),
  };
}

/**
 * Returns the tests of the bindings, which wasm-pack runs in one host.
 *
 * @param {string} name
 * @param {string} what
 * @param {{ needs?: string[], env?: Record<string, string>, mode: () => string[] }} more
 * @returns {Suite}
 */
function bindings(name, what, { needs = [], env, mode }) {
  return {
    name,
    what: `the bindings in ${what}`,
    topics: [],
    needs: () => ["wasmPack", "bindingsTests", ...needs],
    command: () => ({
      command: "wasm-pack",
      args: ["test", "--mode", "no-install", ...mode(), "--", "--locked", ...bindingsTarget],
      env: { ...env, ...bindingsEnv, PATH: setUpWasmPack() },
    }),
  };
}

/**
 * Returns a suite of native tests of the crate: `test` is their target, and the folder of its topics. `libs`: also the
 * tests within the sources.
 *
 * @param {string} name
 * @param {string} what
 * @param {string} test
 * @param {{ libs?: string[] }} [more]
 * @returns {Suite}
 */
function native(name, what, test, { libs = [] } = {}) {
  return {
    name,
    what,
    topics: readdirSync(join(root, "tests", test))
      .filter((file) => file.endsWith(".rs") && !["main.rs", "harness.rs", "fakes.rs"].includes(file))
      .map((file) => basename(file, ".rs").replaceAll("_", "-")),
    needs: () => ["policyTests"],
    command: (topics) => ({
      command: "cargo",
      args: [
        "test",
        "--locked",
        "--features",
        "tokio",
        "--test",
        test,
        ...(topics.length > 0 ? ["--", ...topics.map((topic) => `${topic.replaceAll("-", "_")}::`)] : libs),
      ],
    }),
  };
}

const documents = ["documentation", "english", "speed-comparison", "coming-from"];
const bundlers = ["bundlers", "fake-timers", "jest"];
const inChromium = ["browsers", "demo", "inspect-page"];
const only = (names, all) => Object.fromEntries(Object.entries(all).filter(([name]) => names.includes(name)));
const packageFiles = filesIn("tests/package", ".test.mjs");

/** @type {Suite[]} */
export const suites = [
  native("policy", "the policy, natively", "policy", { libs: ["--lib"] }),
  native("host", "the pool for Rust programs, natively", "host"),
  {
    name: "host-docs",
    what: "the examples of rustdoc and of docs/rust.md",
    topics: [],
    needs: () => ["policyTests"],
    command: () => ({ command: "cargo", args: ["test", "--locked", "--doc", "--features", "tokio"] }),
  },
  bindings("bindings", "Node", { mode: () => ["--node"] }),
  bindings("bindings-chromium", "headless Chromium", {
    needs: ["chromium"],
    env: { WASM_BINDGEN_USE_BROWSER: "1" },
    mode: () => ["--headless", "--chrome", "--chromedriver", chromedriver() ?? ""],
  }),
  // The longest of the others come first, so that none is left alone at the end.
  files(
    "workers",
    "the pools in Workers: requests and Durable Objects in real workerd",
    filesIn("tests/integration/workers", ".test.mjs"),
  ),
  files(
    "demo",
    "the demo page, that of edgepool/inspect, and a pool of browsers, in headless Chromium",
    only(inChromium, filesIn("tests/integration", ".test.mjs")),
    { needs: Object.fromEntries(inChromium.map((name) => [name, ["chromium"]])) },
  ),
  conformance("conformance", "this Node", "node"),
  ...(canSetUpRuntimes
    ? [
        conformance("conformance-node22", "Node 22", "node", { node: "node22" }),
        conformance("conformance-node24", "Node 24", "node", { node: "node24" }),
        conformance("conformance-deno-bun", "Deno and Bun", "deno-and-bun", {
          needs: ["deno", "bun"],
          env: () => {
            const { deno, bun } = setUpRuntimes(["deno", "bun"]);
            return { DENO: deno, BUN: bun };
          },
        }),
      ]
    : []),
  conformance("conformance-workerd", "workerd", "workerd"),
  conformance("conformance-chromium", "headless Chromium", "browser", { needs: ["chromium"] }),
  files("programs", "random programs against a model of the pool", filesIn("tests/programs", ".test.mjs")),
  files(
    "integration",
    "the pools in Node and on a real PostgreSQL",
    filesIn("tests/integration", ".test.mjs", inChromium),
  ),
  files(
    "dialects",
    "the other dialects, each with its driver, in a Node that has SQLite",
    filesIn("tests/integration/dialects", ".test.mjs"),
    { node: "node22" },
  ),
  files("documents", "the documents: their examples, names and links", only(documents, packageFiles), {
    needs: { documentation: ["node22", ...(canSetUpRuntimes ? ["deno", "bun"] : [])] },
  }),
  files(
    "package",
    "the package as it is published",
    filesIn("tests/package", ".test.mjs", [...documents, ...bundlers]),
  ),
  files("bundlers", "the package in every bundler, in Jest, and with fake timers", only(bundlers, packageFiles), {
    needs: { bundlers: ["chromium"], "fake-timers": ["jest", "vitest"], jest: ["jest"] },
  }),
];
