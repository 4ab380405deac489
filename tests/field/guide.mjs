// @ts-check
// What the tables of docs/ give to the tests that use it.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../scripts/run.mjs";

const read = (document) => readFileSync(join(root, "docs", document), "utf8");

/**
 * Returns the rows of the first table of a document, each a list of its cells.
 *
 * @param {string} document
 */
export function rowsOf(document) {
  const [, , ...rows] = read(document)
    .split("\n")
    .filter((line) => line.startsWith("|"));
  return rows.map((row) => row.slice(2, -2).split(" | "));
}

/**
 * Returns the code in the second cell of the guide's row for this framework.
 *
 * @param {string} framework
 * @returns {string[]}
 */
export function linesFor(framework) {
  const [, section] = /\n## Frameworks\n([^]*?)\n## /.exec(read("guide.md")) ?? [];
  const row = section?.split("\n").find((line) => line.startsWith(`| ${framework}`));
  assert.ok(row, `the guide's table of frameworks has no row of ${framework}`);
  return [...row.split(" | ")[1].matchAll(/`([^`]+)`/g)].map(([, code]) => code);
}
