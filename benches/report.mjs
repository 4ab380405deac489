// Turns samples into medians, ratios and the list of targets; prints them and writes bench-results.json. Ratios are of
// medians of one run: a contestant's time by edgepool's, so 12 x means that edgepool is twelve times as fast. The same of
// the lower quartiles stands beside each target: where the two differ, something else was running.

import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { contestants } from "./adapters.mjs";

const file = fileURLToPath(new URL("../bench-results.json", import.meta.url));
const peers = contestants.filter(({ kind }) => kind === "peer").map(({ name }) => name);

export function report(results) {
  for (const { outcomes } of results.scenarios) summarize(outcomes);
  const growth = growthOf(results.scenarios);
  const targets = targetsOf(results, growth);
  for (const scenario of results.scenarios) printScenario(scenario);
  if (Object.keys(results.bytes).length > 0) printBytes(results.bytes);
  if (growth !== undefined) printGrowth(growth);
  printTargets(targets);
  console.log(
    `\nNode ${results.node}, ${results.cpu}, ${results.cores} cores, load ${results.load[0].toFixed(1)}, ${results.seconds.toFixed(0)} s${results.quick ? ", --quick" : ""}`,
  );
  writeFileSync(file, `${JSON.stringify({ ...results, growth, targets }, null, 2)}\n`);
  console.log(`written to ${file}`);
}

/** Adds median, p25 and the ratio to edgepool; of who was stopped, what it was slower than stands for all three. */
function summarize(outcomes) {
  for (const outcome of Object.values(outcomes)) {
    outcome.median = outcome.slowerThan ?? quantile(outcome.samples, 0.5);
    outcome.p25 = outcome.slowerThan ?? quantile(outcome.samples, 0.25);
  }
  for (const outcome of Object.values(outcomes)) outcome.ratio = outcome.median / outcomes.edgepool.median;
}

function quantile(samples, q) {
  const sorted = samples.toSorted((one, other) => one - other);
  const place = (sorted.length - 1) * q;
  const below = sorted[Math.floor(place)];
  return below + (sorted[Math.ceil(place)] - below) * (place % 1);
}

/** How much dearer a waiter is among 100,000 than among 1,000. */
function growthOf(measured) {
  const small = measured.find(({ id }) => id === "c1000")?.outcomes;
  const large = measured.find(({ id }) => id === "c")?.outcomes;
  if (small === undefined || large === undefined) return undefined;
  return Object.fromEntries(
    Object.keys(small).map((name) => [
      name,
      { growth: large[name].median / small[name].median, atLeast: large[name].slowerThan !== undefined },
    ]),
  );
}

function targetsOf({ scenarios, bytes }, growth) {
  const list = [];
  const outcomesOf = (id) => scenarios.find((scenario) => scenario.id === id)?.outcomes;
  const check = (what, value, byP25, bound, atLeast) =>
    list.push({
      what,
      value,
      byP25,
      bound: `${atLeast ? ">=" : "<="} ${bound}`,
      reached: atLeast ? value >= bound : value <= bound,
    });
  const fasterThanPeers = (id, bound) => {
    const outcomes = outcomesOf(id);
    if (outcomes === undefined) return;
    const [best] = peers
      .filter((name) => outcomes[name] !== undefined)
      .toSorted((one, other) => outcomes[one].median - outcomes[other].median);
    check(
      `(${id}) times as fast as the fastest peer, ${best}`,
      outcomes[best].ratio,
      outcomes[best].p25 / outcomes.edgepool.p25,
      bound,
      true,
    );
  };
  const closeTo = (id, name, bound) => {
    const outcomes = outcomesOf(id);
    if (outcomes === undefined) return;
    check(
      `(${id}) time by that of the ${name}`,
      1 / outcomes[name].ratio,
      outcomes.edgepool.p25 / outcomes[name].p25,
      bound,
      false,
    );
  };
  fasterThanPeers("a", 8);
  closeTo("a", "twin", 1.1);
  closeTo("a", "floor", 2);
  closeTo("steps", "floor", 3);
  fasterThanPeers("b", 3.5);
  closeTo("b", "floor", 1.2);
  fasterThanPeers("c", 4);
  if (bytes.edgepool !== undefined) check("(c) bytes per waiter", bytes.edgepool.total, undefined, 280, false);
  if (growth !== undefined)
    check("(e) growth by that of the floor", growth.edgepool.growth / growth.floor.growth, undefined, 1.2, false);
  fasterThanPeers("d", 4);
  return list;
}

function printScenario({ title, outcomes }) {
  printTable(
    [title, "ns/op", "p25", "ratio"],
    contestants
      .filter(({ name }) => outcomes[name] !== undefined)
      .map(({ name }) => {
        const { median, p25, ratio, slowerThan, apart } = outcomes[name];
        if (slowerThan !== undefined) return [name, `> ${whole(median)}`, "stopped", `> ${ratio.toFixed(1)} x`];
        return [name, whole(median), apart ? "apart" : whole(p25), `${ratio.toFixed(2)} x`];
      }),
  );
}

function printBytes(bytes) {
  printTable(
    ["(c) bytes per waiter, without the harness's 8", "total", "JS", "wasm"],
    Object.entries(bytes).map(([name, { total, js, wasm }]) => [name, whole(total), whole(js), whole(wasm)]),
  );
}

function printGrowth(growth) {
  printTable(
    ["(e) growth of (c) from 1,000 to 100,000", "times", "by floor's"],
    Object.entries(growth).map(([name, { growth: times, atLeast }]) => {
      const sign = atLeast ? "> " : "";
      return [name, `${sign}${times.toFixed(2)}`, `${sign}${(times / growth.floor.growth).toFixed(2)}`];
    }),
  );
}

function printTargets(targets) {
  printTable(
    ["target", "bound", "now", "by p25", ""],
    targets.map(({ what, bound, value, byP25, reached }) => [
      what,
      bound,
      value.toFixed(2),
      byP25?.toFixed(2) ?? "",
      reached ? "reached" : "MISSED",
    ]),
  );
}

function printTable(head, rows) {
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => row[column].length)));
  widths[0] = Math.max(widths[0], 56);
  const line = (row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(Math.max(widths[column], 10))))
      .join("  ");
  console.log(`\n${line(head)}`);
  for (const row of rows) console.log(line(row));
}

function whole(number) {
  return Math.round(number).toLocaleString("en-US");
}
