// Holds the documents of the benchmarks to what these write with --write: their words, their contestants and their
// verdicts, not the figures of the run that wrote them. Holds the guide to the settings that a benchmark measures.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import * as trouble from "../../benches/trouble/document.mjs";
import { isReached } from "../../benches/trouble/report.mjs";
import { recommended } from "../../benches/trouble/settings.mjs";
import * as pools from "../../benches/document.mjs";
import { growthBars } from "../../benches/growth.mjs";
import { startBar } from "../../benches/start.mjs";
import * as workers from "../../benches/workers/document.mjs";
import * as soak from "../soak/document.mjs";
import { documents } from "./documents.mjs";

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
    tables: [rows, shown],
    host,
  } = read(workers);
  assert.deepEqual(namesOf(rows), workers.names);
  const targets = shown.map(({ name, cells: [figure, bound] }) => [name, figure, bound]);
  assert.equal(text, workers.render({ rows: cellsOf(rows), targets, host }), "run: npm run bench:workers -- --write");
  assertNumbers(rows);
});

test("the comparison is as `npm run bench:trouble` writes it, with every pool in every scenario", () => {
  const {
    text,
    tables: [rows],
    host,
  } = read(trouble);
  assert.deepEqual(
    namesOf(rows),
    trouble.rows.map(({ name }) => name),
  );
  const cells = cellsOf(rows).map((row) => row.toSpliced(-2, 1)); // without the bar
  assert.equal(text, trouble.render({ cells, host }), "run: npm run bench:trouble -- --write");
  assertNumbers(rows.map(({ name, cells }) => ({ name, cells: cells.slice(0, trouble.pools.length) })));
});

test("docs/soak.md is as `npm run soak` writes it, of a whole run that lost, left and passed on nothing", () => {
  const {
    text,
    tables: [rows],
  } = read(soak);
  assert.deepEqual(
    namesOf(rows),
    soak.rows.map(([name]) => name),
  );
  const [, heads] = /^\|  \| (.+) \|$/m.exec(text);
  const [, host] = /--write` ([^]+)\.\nThe counts of errors/.exec(text);
  const figures = { heads: heads.split(" | "), cells: cellsOf(rows), host };
  assert.equal(text, soak.render(figures), "run: npm run soak -- --write");
  for (const { name, cells } of rows) {
    const least = { checkouts: 100_000, "connections killed": 10_000 }[name] ?? 0;
    for (const cell of cells) assert.ok(Number(cell.replaceAll(",", "")) >= least, name);
    if (name.startsWith("**")) assert.deepEqual(cells, ["0", "0"], name);
  }
});

test("every bar of the trouble is shown as reached or as missed, as its figures say", () => {
  const [table] = read(trouble).tables;
  for (const [place, { name, cells }] of table.entries()) {
    const figure = (pool) => Number(cells[trouble.pools.indexOf(pool)]);
    assert.equal(
      cells.at(-1),
      verdict(isReached(figure("edgepool"), figure("pg.Pool"), trouble.rows[place].bar)),
      name,
    );
  }
});

test("the guide recommends the settings that `npm run bench:trouble` measures", () => {
  const { blocks } = documents.find(({ name }) => name === "docs/guide.md");
  const settings = Object.entries(recommended).map(([name, value]) => `  ${name}: ${JSON.stringify(value)},`);
  assert.ok(
    blocks.some(({ text }) => settings.every((line) => text.includes(line))),
    settings.join("\n"),
  );
});
