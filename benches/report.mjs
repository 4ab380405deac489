// Turns samples into medians, ratios and targets, prints them, and writes bench-results.json. A ratio is a contestant's
// median by edgepool's in the same run: 12 x means that edgepool is twelve times as fast. Beside each target stands the
// ratio of the lower quartiles: if the two differ, the machine was busy with something else.

import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { contestants } from "./adapters.mjs";
import { acts, growthBars, sizes } from "./growth.mjs";
import { startBar } from "./start.mjs";
import { median, quantile } from "./statistics.mjs";
import { printTable, whole } from "./table.mjs";
import { judgeGrowth, judgeSpeed, judgeStart, targetName } from "./targets.mjs";

const file = fileURLToPath(new URL("../bench-results.json", import.meta.url));

/** Adds to the results what follows from them. */
export function report(results) {
  for (const { outcomes } of results.scenarios) summarize(outcomes);
  results.waiterGrowth = waiterGrowthOf(results.scenarios);
  results.targets = judgeSpeed(results);
  for (const scenario of results.scenarios) printScenario(scenario);
  if (Object.keys(results.bytes).length > 0) printBytes(results.bytes);
  if (results.waiterGrowth !== undefined) printWaiterGrowth(results.waiterGrowth);
  if (results.growth !== undefined) printGrowth((results.growth = judgeGrowth(results.growth)));
  if (results.start !== undefined) printStart(results.start, (results.startTargets = judgeStart(results.start)));
  if (results.targets.length > 0) printTargets(results.targets);
  write(results);
}

/** Reports a run with --beside, which has printed its table. */
export function reportBeside(results) {
  const range = ([least, most]) => `${least.toFixed(2)}–${most.toFixed(2)}`;
  printTable(
    ["time by that of the other build", "ns/op", "ratio", "processes", "bound", "", "noise", "processes"],
    results.beside.map(({ title, p25, ratio, range: own, bar, reached, noise, noiseRange }) => [
      title,
      whole(p25),
      ratio.toFixed(3),
      range(own),
      `<= ${bar}`,
      reached ? "reached" : "MISSED",
      noise.toFixed(3),
      range(noiseRange),
    ]),
  );
  console.log(
    "noise: a copy of this build by this build, in the same rounds; processes: the least and the most of them",
  );
  write(results);
}

function write(results) {
  const { node, cpu, cores, load, seconds, quick } = results;
  const run = `load ${load[0].toFixed(1)}, ${seconds.toFixed(0)} s${quick ? ", --quick" : ""}`;
  console.log(`\n${cpu}, ${cores} cores, Node ${node}, ${run}`);
  writeFileSync(file, `${JSON.stringify(results, null, 2)}\n`);
  console.log(`written to ${file}`);
}

/** Adds median, p25 and the ratio to edgepool. For a contestant that was stopped, its limit stands for all three. */
function summarize(outcomes) {
  for (const outcome of Object.values(outcomes)) {
    outcome.median = outcome.slowerThan ?? median(outcome.samples);
    outcome.p25 = outcome.slowerThan ?? quantile(outcome.samples, 0.25);
  }
  for (const outcome of Object.values(outcomes)) outcome.ratio = outcome.median / outcomes.edgepool.median;
}

/** Returns how much dearer a waiter is among 100,000 than among 1,000. */
function waiterGrowthOf(measured) {
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

function printWaiterGrowth(growth) {
  printTable(
    ["(e) growth of (c) from 1,000 to 100,000", "times", "by floor's"],
    Object.entries(growth).map(([name, { growth: times, atLeast }]) => {
      const sign = atLeast ? "> " : "";
      return [name, `${sign}${times.toFixed(2)}`, `${sign}${(times / growth.floor.growth).toFixed(2)}`];
    }),
  );
}

function printGrowth(growth) {
  printTable(
    [
      `growth from ${whole(sizes.small)} to ${whole(sizes.large)}`,
      "ms",
      "ms",
      `<= ${growthBars.time}`,
      "bytes each",
      `<= ${growthBars.memory}`,
      "lost",
      "",
    ],
    growth.map(({ id, room, small, large, stopped, unprepared, times, bytes, memory, lost, reached }) => [
      `${acts.find((act) => act.id === id).title} (${room})`,
      small.toFixed(3),
      unprepared ? "–" : `${stopped ? "> " : ""}${large.toFixed(1)}`,
      unprepared ? "–" : `${stopped ? "> " : ""}${times.toFixed(0)}`,
      bytes.small === undefined ? "–" : whole(bytes.small),
      memory?.toFixed(2) ?? "–",
      whole(lost),
      reached ? "reached" : "MISSED",
    ]),
  );
}

function printStart(start, targets) {
  const names = Object.keys(start);
  printTable(
    ["start: import, first pool, first lease", "CPU ms", "peak MB"],
    names.map((name) => [name, start[name].cpuMs.toFixed(1), (start[name].peakBytes / 1e6).toFixed(1)]),
  );
  for (const { what, value, reached } of targets)
    console.log(`${what} by pg-pool's: ${value.toFixed(2)}, <= ${startBar}: ${reached ? "reached" : "MISSED"}`);
}

function printTargets(targets) {
  printTable(
    ["target", "bound", "now", "by p25", "best peer", ""],
    targets.map(({ bound, value, byP25, best, reached, ...target }) => [
      targetName(target),
      `<= ${bound}`,
      value.toFixed(2),
      byP25.toFixed(2),
      Number.isFinite(best) ? best.toFixed(1) : "–",
      reached ? "reached" : "MISSED",
    ]),
  );
}
