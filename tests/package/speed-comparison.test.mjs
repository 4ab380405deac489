// Holds the two documents of speed to what the benchmarks write with --write: their words and their contestants, not the
// figures of the run that wrote them.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import * as pools from "../../benches/document.mjs";
import * as workers from "../../benches/workers/document.mjs";

/** The rows of the document's table, without its head, and the machine that it names. */
function read({ documentPath }) {
  const text = readFileSync(documentPath, "utf8");
  const [, , ...rows] = [...text.matchAll(/^\| (.*) \|$/gm)].map(([, row]) => row.split(" | "));
  return { text, rows: rows.map(([name, ...cells]) => ({ name, cells })), host: /in turn \((.+)\)\./.exec(text)?.[1] };
}

for (const [command, document] of [
  ["npm run bench", pools],
  ["npm run bench:workers", workers],
]) {
  test(`the comparison is as \`${command}\` writes it, with every contestant in every scenario`, () => {
    const { text, rows, host } = read(document);
    assert.deepEqual(
      rows.map(({ name }) => name),
      document.names,
    );
    assert.equal(text, document.render({ rows: rows.map(({ cells }) => cells), host }), `run: ${command} -- --write`);
    for (const { name, cells } of rows) for (const cell of cells) assert.match(cell, /^(> )?\d+(\.\d+)?$|^–$/, name);
  });
}
