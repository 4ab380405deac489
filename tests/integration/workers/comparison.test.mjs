// Holds docs/workers-comparison.md to what scripts/compare-workers.mjs writes: its words and its requests, not how the
// peer did in the run that wrote it.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { contestants, documentPath, render, scenarios } from "../../../scripts/compare-workers.mjs";

const text = readFileSync(documentPath, "utf8");

/** A row's title, and for each contestant what was answered, failed and silent. */
const row = /^\| ([^|]+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$/gm;
const rows = [...text.matchAll(row)].map(([, title, ...numbers]) => ({ title, numbers: numbers.map(Number) }));
const outcomes = rows.map(({ numbers }) =>
  contestants.map((_, index) => {
    const [answered, failed, silent] = numbers.slice(3 * index);
    return { answered, failed, silent };
  }),
);

test("the comparison of pools in Workers is as its script writes it, with every request accounted for", () => {
  assert.deepEqual(
    rows.map(({ title }) => title),
    scenarios.map(({ title }) => title),
  );
  assert.equal(text, render(outcomes), "run: node scripts/compare-workers.mjs --write");
  for (const [index, { requests, title }] of scenarios.entries()) {
    for (const { answered, failed, silent } of outcomes[index])
      assert.equal(answered + failed + silent, requests, title);
  }
});

test("the comparison shows edgepool answering every request", () => {
  for (const [index, { requests }] of scenarios.entries())
    assert.deepEqual(outcomes[index][contestants.indexOf("edgepool")], { answered: requests, failed: 0, silent: 0 });
});
