// @ts-check
// docs/guide.md, "Frameworks": the lines of configuration that it gives, for the tests that use them.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../scripts/run.mjs";

/**
 * Returns the code in the second cell of the table's row for this framework.
 *
 * @param {string} framework
 * @returns {string[]}
 */
export function linesFor(framework) {
  const [, section] = /\n## Frameworks\n([^]*?)\n## /.exec(readFileSync(join(root, "docs", "guide.md"), "utf8")) ?? [];
  const row = section?.split("\n").find((line) => line.startsWith(`| ${framework}`));
  assert.ok(row, `the guide's table of frameworks has no row of ${framework}`);
  return [...row.split(" | ")[1].matchAll(/`([^`]+)`/g)].map(([, code]) => code);
}
