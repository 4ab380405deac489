// Holds the two documents of speed to what the benchmarks write with --write: their words, their contestants and their
// verdicts, not the figures of the run that wrote them.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import * as pools from "../../benches/document.mjs";
import { growthBars } from "../../benches/growth.mjs";
import { startBar } from "../../benches/start.mjs";
import * as workers from "../../benches/workers/document.mjs";

/** Returns the text, the rows of each of its tables without the head, and the machine that it names. */
function read({ documentPath }) {
  const text = readFileSync(documentPath, "utf8");
  const tables = [...text.matchAll(/(?:^\|.*\n)+/gm)].map(([table]) => {
    const [, , ...rows] = table.trim().split("\n");
    return rows.map((row) => row.slice(2, -2).split(" | ")).map(([name, ...cells]) => ({ name, cells }));
  });
  return { text, tables, host: /in turn \((.+)\)\./.exec(text)?.[1] };
}

const cellsOf = (rows) => rows.map(({ cells }) => cells);
const namesOf = (rows) => rows.map(({ name }) => name);
const verdict = (reached) => (reached ? "reached" : "MISSED");

function assertNumbers(rows) {
  for (const { name, cells } of rows) for (const cell of cells) assert.match(cell, /^(> )?\d+(\.\d+)?$|^–$/, name);
}

/** Returns the tables of the comparison with other pools, by name. */
function readPools() {
  const { text, tables, host } = read(pools);
  return { text, host, ...Object.fromEntries(Object.keys(pools.tables).map((id, place) => [id, tables[place]])) };
}

test("the comparison is as `npm run bench` writes it, with every contestant in every scenario", () => {
  const { text, host, ...tables } = readPools();
  for (const [id, { names }] of Object.entries(pools.tables)) assert.deepEqual(namesOf(tables[id]), names);
  const figures = Object.fromEntries(Object.entries(tables).map(([id, rows]) => [id, cellsOf(rows)]));
  assert.equal(text, pools.render({ ...figures, host }), "run: npm run bench -- --write");
  assertNumbers(tables.speed);
});

test("the comparison names the processor, its cores and the version of Node", () => {
  assert.match(readPools().host, /^\S.*, \d+ cores, Node v\d+\.\d+\.\d+$/);
});

test("every target beside the floor is shown as reached or as missed, as its figures say", () => {
  for (const { name, cells } of readPools().targets) {
    const [value, bound, result, best] = cells;
    assert.equal(result, verdict(Number(value) <= Number(bound)), name);
    assert.match(best, /^\d+\.\d$|^–$/, name);
  }
});

test("every act of the growth is shown as reached or as missed, as its figures say", () => {
  for (const { name, cells } of readPools().growth) {
    const [small, large, times, memory, lost, result] = cells;
    assert.match(small, /^\d+(\.\d\d)? ms$/, name);
    assert.match(large, /^(> )?\d+(\.\d\d)? ms$|^–$/, name);
    assert.match(memory, /^\d+\.\d\d$|^–$/, name);
    const isWithin = Number(times) <= growthBars.time && !(Number(memory) > growthBars.memory);
    assert.equal(result, verdict(isWithin && lost === "0"), name);
  }
});

test("what the start costs is shown as reached or as missed, as its figures say", () => {
  const rows = readPools().start;
  for (const { name, cells } of rows.slice(0, -1)) {
    assert.match(cells[0], /^\d+\.\d ms$/, name);
    assert.match(cells[1], /^\d+\.\d MB$/, name);
  }
  for (const cell of rows.at(-1).cells) {
    const [value, result] = cell.split(", ");
    assert.equal(result, verdict(Number(value) <= startBar));
  }
});

test("the comparison is as `npm run bench:workers` writes it, with every contestant in every scenario", () => {
  const {
    text,
    tables: [rows],
    host,
  } = read(workers);
  assert.deepEqual(namesOf(rows), workers.names);
  assert.equal(text, workers.render({ rows: cellsOf(rows), host }), "run: npm run bench:workers -- --write");
  assertNumbers(rows);
});
