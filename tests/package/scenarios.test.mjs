// Every scenario of tests/conformance/scenarios.mjs has the test that proves it, and docs/scenarios.md says the same.
// `node tests/package/scenarios.test.mjs --write` writes that file.

import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { root } from "../../scripts/run.mjs";
import { scenarios } from "../conformance/scenarios.mjs";

// The tests of lost leases are there only where a collection can be asked for; here only their names are.
globalThis.gc ??= () => {};
const { collect } = await import("../conformance/suite.mjs");
const { loadTopics } = await import("../conformance/topics.mjs");

const classes = ["kept", "adapted", "fixed", "n/a"];
const padded = (number) => String(number).padStart(3, "0");

/** The numbers with which a name begins. */
const leading = (name) => (/^(\d{3} )+/.exec(name)?.[0].match(/\d+/g) ?? []).map(Number);

function texts(folder, extension) {
  return readdirSync(join(root, folder), { recursive: true })
    .filter((name) => name.endsWith(extension))
    .map((name) => readFileSync(join(root, folder, name), "utf8"));
}

const conformance = collect(await loadTopics()).map(({ name }) => name.slice(name.indexOf(": ") + 2));
const policy = texts("tests/policy", ".rs").flatMap((text) =>
  [...text.matchAll(/fn scenario_((?:\d{3}_)+)/g)].map(([, numbers]) => numbers.replaceAll("_", " ")),
);
const integration = texts("tests/integration", ".test.mjs").flatMap((text) =>
  [...text.matchAll(/\btest\(["'`](\d{3} [^"'`]*)/g)].map(([, name]) => name),
);

const proven = new Set(conformance.flatMap(leading));
const provenNatively = new Set([...policy, ...integration].flatMap(leading));

function row([number, kind, what, where]) {
  return `| ${padded(number)} | ${kind === "n/a" ? "n.a." : kind} | ${what}${where ? ` (${where})` : ""} |`;
}

/** Writes docs/scenarios.md from the data. */
function table() {
  const count = (kind) => scenarios.filter(([, found]) => found === kind).length;
  return `# SQLAlchemy's pool, scenario by scenario

This page lists what SQLAlchemy's own tests and its documentation ask of a pool, and the behaviour of edgepool. The
numbers are those of a catalogue with gaps. A test that proves a scenario begins with its number. It is in
\`tests/conformance\`. If the scenario is marked *native*, it is in \`tests/policy\` or \`tests/integration\`.

- **kept** (${count("kept")}): as in SQLAlchemy.
- **adapted** (${count("adapted")}): the same intent in JavaScript: promises, signals, tasks instead of threads.
- **fixed** (${count("fixed")}): different on purpose, because SQLAlchemy's behaviour is a defect.
- **n.a.** (${count("n/a")}): does not arise here; the last column gives the reason.

\`node tests/package/scenarios.test.mjs --write\` writes this page from \`tests/conformance/scenarios.mjs\`.

| number | class | what |
| --- | --- | --- |
${scenarios.map(row).join("\n")}
`;
}

const file = join(root, "docs", "scenarios.md");
if (process.argv.includes("--write") || process.env.UPDATE === "1") writeFileSync(file, table());

test("every scenario has one line: a number, a class, and what is promised or why not", () => {
  for (const [number, kind, what, where, ...more] of scenarios) {
    assert.ok(classes.includes(kind), `${number}: ${kind}`);
    assert.ok(typeof what === "string" && what.length > 0 && !/[|\n]/.test(what), `${number}: ${what}`);
    assert.ok(where === undefined || (where === "native" && kind !== "n/a"), `${number}: ${where}`);
    assert.deepEqual(more, [], String(number));
  }
  const numbers = scenarios.map(([number]) => number);
  assert.deepEqual(
    numbers,
    [...new Set(numbers)].toSorted((one, other) => one - other),
    "each number once, in their order",
  );
});

test("every scenario that applies is the beginning of a test's name", () => {
  const unproven = scenarios.filter(
    ([number, kind, , where]) => kind !== "n/a" && !(where === "native" ? provenNatively : proven).has(number),
  );
  assert.deepEqual(
    unproven.map(([number]) => number),
    [],
  );
});

test("every number in a test's name is a scenario that applies", () => {
  const applying = new Set(scenarios.filter(([, kind]) => kind !== "n/a").map(([number]) => number));
  assert.deepEqual(
    [...proven, ...provenNatively].filter((number) => !applying.has(number)),
    [],
  );
  const odd = conformance.filter((name) => /^\d/.test(name) && !/^(\d{3} )+\D/.test(name));
  assert.deepEqual(odd, [], "a name begins with a sentence, or with numbers of three digits, without a colon");
});

test("docs/scenarios.md says what the data says", () => {
  assert.ok(
    existsSync(file) && readFileSync(file, "utf8") === table(),
    "run `node tests/package/scenarios.test.mjs --write`",
  );
});
