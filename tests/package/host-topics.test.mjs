// Every topic of the conformance suite is held by the pool for Rust programs, too, or is listed here with a reason.

import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { root } from "../../scripts/run.mjs";
import { collect } from "../conformance/suite.mjs";
import { loadTopics, topicNames } from "../conformance/topics.mjs";

/** Why a topic is not one of the Rust host's. */
const ofJavaScript = {
  check: "a manager opens connections of one type, which the compiler checks",
  diagnostics: "TracingChannels are Node's",
  "dropped-pool": "a drop is no garbage collection; tests/host/queue_pool.rs drops pools",
  echo: "the Rust host has no log: a program logs from its listeners",
  faults: "the listeners of Rust cannot hang; tests/host/re_entry.rs calls the pool from each of them",
  guard: "the borrow checker refuses a statement after the end of a lease",
  hostile: "properties that throw, and prototypes that were changed, are JavaScript's",
  otel: "its meters are those of the JavaScript API",
  "option-values": "the types of Rust refuse wrong values; tests/host/options.rs has those that remain",
  records: "a Rust connection keeps its own data: it needs no record with an info",
  refusals: "stacks of awaiting callers are JavaScript's; errors of the host have the place of connect()",
  "same-connection": "a manager cannot return one value twice",
  scopes: "a pool of the Rust host belongs to one I/O context, and is refused elsewhere",
  summaries: "console.log is JavaScript's",
  sync: "a connect() that is polled once and dropped is the synchronous one",
  "track-leaks": "a lease that is dropped is returned",
};

/** The names of files differ where Rust has a keyword. */
const fileOf = (topic) => `${topic === "use" ? "use_with" : topic.replaceAll("-", "_")}.rs`;

/** A sentence as the name of a function. Its number, and the kind that some begin with, are left out. */
const nameOf = (sentence) =>
  sentence
    .replace(/^(\d{3} )+/, "")
    .replace(/^\w+Pool: (?=.)/, "")
    .replaceAll("'", "")
    .replace(/([a-z])([A-Z])/g, "$1_$2")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "_")
    .replace(/^_|_$/g, "");

const read = (topic) => readFileSync(join(root, "tests", "host", fileOf(topic)), "utf8");
const kinds = /^(queue|null|static|singleton_thread|assertion)_pool_(?=a_listener)/;
const testsIn = (text) => [...text.matchAll(/^ *(?:fn )?(\w+)(?:\(|: )/gm)].map(([, name]) => name.replace(kinds, ""));

test("each topic of conformance is one of the Rust host's, or has a reason not to be", () => {
  for (const topic of topicNames()) {
    const isHeld = existsSync(join(root, "tests", "host", fileOf(topic)));
    assert.notEqual(isHeld, topic in ofJavaScript, `${topic}: held in tests/host, or listed with a reason`);
  }
  for (const topic of Object.keys(ofJavaScript)) assert.ok(topicNames().includes(topic), `${topic} is no topic`);
});

/**
 * Comments that begin with "Not here: " give a reason, and those of the form "- sentence" behind it what it concerns. A
 * sentence may end in "= name": the test in tests/host that holds it under that name.
 *
 * @returns {{ sentence: string, reason: string, test?: string }[]}
 */
function listedIn(text) {
  const comments = text.replace(/\n *\/\/ {3,}/g, " ").matchAll(/^ *\/\/ (Not here: |- )(.*)$/gm);
  const listed = [];
  let reason = "";
  for (const [, mark, rest] of comments) {
    const [sentence, test] = rest.split(/ = (?=\w+$)/);
    if (mark === "- ") listed.push({ reason, sentence, test });
    else reason = rest;
  }
  return listed;
}

const everyTest = new Set(
  readdirSync(join(root, "tests", "host"))
    .filter((file) => file.endsWith(".rs"))
    .flatMap((file) => testsIn(readFileSync(join(root, "tests", "host", file), "utf8"))),
);

const held = topicNames().filter((topic) => !(topic in ofJavaScript));
const sentences = collect(await loadTopics(held)).map(({ name }) => name);

for (const topic of held) {
  const own = sentences.filter((name) => name.startsWith(`${topic}: `)).map((name) => name.slice(topic.length + 2));
  const tests = testsIn(read(topic));
  const listed = listedIn(read(topic));

  test(`${topic}: each sentence is the name of a test of the Rust host, or is listed with a reason`, () => {
    const known = new Set([...tests, ...listed.map(({ sentence }) => nameOf(sentence))]);
    assert.deepEqual(
      own.filter((sentence) => !known.has(nameOf(sentence))),
      [],
    );
  });

  test(`${topic}: what is listed is a sentence without a test of its name`, () => {
    const names = own.map(nameOf);
    for (const { sentence, reason, test: other } of listed) {
      assert.ok(names.includes(nameOf(sentence)), `"${sentence}" is no sentence of ${topic}`);
      assert.ok(!tests.includes(nameOf(sentence)), `"${sentence}" has a test`);
      assert.ok(reason.length > 0 || other !== undefined, `"${sentence}" has no reason`);
      assert.ok(other === undefined || everyTest.has(other), `"${sentence}" names ${other}, which is no test`);
    }
  });
}

test("each file of tests/host is compiled", () => {
  const main = readFileSync(join(root, "tests", "host", "main.rs"), "utf8");
  const files = readdirSync(join(root, "tests", "host")).filter((file) => file.endsWith(".rs") && file !== "main.rs");
  for (const file of files) assert.ok(main.includes(`mod ${file.replace(".rs", "")};`), file);
});
