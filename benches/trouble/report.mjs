// Turns the runs of a scenario into figures for each pool, their ratios and the verdict of each bar, and prints them.

import { median, quantile } from "../statistics.mjs";
import { printTable } from "../table.mjs";
import { judged, measure } from "./contestants.mjs";

/**
 * Of each run. Times are milliseconds since the caller was due, the failed callers included; `answer` is the longest of
 * those that must fail.
 */
export const columns = ["failed", "p50", "p99", "opened", "attempts", "backends", "answer"];

function figuresOfRun({ outcomes, ...counts }) {
  const others = outcomes.filter(({ expected }) => !expected);
  const times = others.map(({ ms }) => ms);
  const answers = outcomes.filter(({ expected }) => expected).map(({ ms }) => ms);
  return {
    ...counts,
    failed: others.filter(({ error }) => error !== undefined).length,
    p50: times.length > 0 ? median(times) : undefined,
    p99: times.length > 0 ? quantile(times, 0.99) : undefined,
    answer: answers.length > 0 ? Math.max(...answers) : undefined,
  };
}

/** Rounded as it is shown, so that a verdict follows from what is shown. */
function medianOf(values) {
  const known = values.filter((value) => value !== undefined);
  return known.length > 0 ? Math.round(median(known) * 10) / 10 : undefined;
}

/** Returns the medians by pool, with the figures of each round and the errors by name, and the verdicts. */
export function summarize(scenario, runs) {
  const pools = Object.fromEntries(
    Object.entries(runs).map(([name, ofRounds]) => {
      const rounds = ofRounds.map(figuresOfRun);
      const medians = columns.map((column) => [column, medianOf(rounds.map((run) => run[column]))]);
      return [name, { ...Object.fromEntries(medians), rounds, codes: codesOf(ofRounds) }];
    }),
  );
  return { scenario, pools, verdicts: scenario.bars.map((bar) => judge(bar, pools)) };
}

function codesOf(runs) {
  const codes = {};
  for (const { error } of runs.flatMap(({ outcomes }) => outcomes))
    if (error !== undefined) codes[error] = (codes[error] ?? 0) + 1;
  return codes;
}

/** Returns undefined if a pool that the bar needs did not run. */
function judge({ of, most, mostRatio }, { [judged]: own, [measure]: other }) {
  if (own === undefined || (mostRatio !== undefined && other === undefined)) return undefined;
  return isReached(own[of], other?.[of], { most, mostRatio });
}

export function isReached(own, other, { most, mostRatio }) {
  return own <= (most ?? mostRatio * other);
}

const shown = (value) => (value === undefined ? "–" : String(value < 100 ? value : Math.round(value)));

/** Returns a figure, and in brackets its ratio to the other pool's. */
function cell(value, other) {
  if (value === undefined || other === undefined || other === 0) return shown(value);
  return `${shown(value)} (${(value / other).toFixed(2)})`;
}

/** Prints the table of a scenario, its bars, and with `codes` the errors and what each round showed. */
export function printScenario({ scenario, pools, verdicts }, { codes }) {
  printTable(
    [scenario.title, ...columns],
    Object.entries(pools).map(([name, figures]) => [
      name,
      ...columns.map((column) => cell(figures[column], name === measure ? undefined : pools[measure]?.[column])),
    ]),
  );
  for (const [place, { of, most, mostRatio }] of scenario.bars.entries()) {
    if (verdicts[place] === undefined) continue;
    const bound = mostRatio === undefined ? most : `${mostRatio} of ${measure}'s`;
    console.log(`${of} at most ${bound}: ${verdicts[place] ? "reached" : "MISSED"}`);
  }
  if (codes) for (const [name, figures] of Object.entries(pools)) printDetails(name, figures);
}

function printDetails(name, { codes, rounds }) {
  const errors = Object.entries(codes).map(([error, count]) => `${error} ${count}`);
  console.log(`${name}: ${errors.join(", ") || "no error"}`);
  for (const column of [...columns, "cancels"]) {
    const values = rounds.map((round) => round[column] && Math.round(round[column] * 10) / 10);
    if (values.some((value) => value !== values[0] || column === "cancels"))
      console.log(`  ${column}: ${values.map(shown).join(", ")}`);
  }
}
