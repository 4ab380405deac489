// Turns samples into medians, ratios and the list of targets; prints them and writes bench-workers-results.json. Ratios
// are of medians of one run; beside each target stands the median of the ratios of its rounds: where the two differ,
// something else was running.

import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const file = fileURLToPath(new URL("../../bench-workers-results.json", import.meta.url));

/** The contestants, in the order in which they are shown. */
export const titles = {
  clientPerQuery: "a pg.Client per query",
  clientPerRequest: "a pg.Client per request",
  edgepool: "edgepool at module scope",
  pgbouncer: "a pg.Client per request, through PgBouncer (5)",
  object: "the pool in a Durable Object (5), a call per query",
  batch: "the same, one batch per request",
};

export function report(run) {
  const targets = targetsOf(run);
  for (const queries of new Set(run.results.map((result) => result.queries))) {
    const measured = run.results.filter((result) => result.queries === queries);
    printTable(
      [
        `requests per second, ${queries === 1 ? "one query" : `${queries} queries`} each`,
        ...measured.map(({ clients }) => (clients === 1 ? "1 client" : `${clients} clients`)),
      ],
      Object.keys(measured[0].samples).map((name) => [
        titles[name],
        ...measured.map(({ samples }) => whole(median(samples[name]))),
      ]),
    );
  }
  printTable(
    ["target", "bound", "now", "by round", ""],
    targets.map(({ what, bound, value, byRound, reached }) => [
      what,
      bound,
      value.toFixed(2),
      byRound?.toFixed(2) ?? "",
      reached ? "reached" : "MISSED",
    ]),
  );
  console.log(
    `\nNode ${run.node}, ${run.cpu}, ${run.cores} cores, load ${run.load[0].toFixed(1)}, ` +
      `${run.seconds.toFixed(0)} s${run.quick ? ", --quick" : ""}`,
  );
  writeFileSync(file, `${JSON.stringify({ ...run, targets }, null, 2)}\n`);
  console.log(`written to ${file}`);
}

/** Each target with its bound, and whether it was reached. */
export function targetsOf({ results, mostBackendsOfObject, cost }) {
  const targets = [];
  const atMost = (what, kind, other, bound) => {
    const value = median(cost[kind]) / median(cost[other]);
    const byRound = median(cost[kind].map((sample, round) => sample / cost[other][round]));
    targets.push({ what, value, byRound, bound: `<= ${bound}`, reached: value <= bound });
  };
  if (cost !== undefined) {
    atMost("CPU of a request that connects twice, by an empty one", "/connects", "/empty", 1.5);
    atMost("the same in spans, by empty spans", "/connects-in-spans", "/spans", 1.5);
  }
  const atLeast = (what, { queries, clients }, name, other, bound) => {
    const { samples } = results.find((result) => result.queries === queries && result.clients === clients);
    const value = median(samples[name]) / median(samples[other]);
    const byRound = median(samples[name].map((sample, round) => sample / samples[other][round]));
    targets.push({
      what: `${what}, ${clients === 1 ? "1 client" : `${clients} clients`}`,
      value,
      byRound,
      bound: `>= ${bound}`,
      reached: value >= bound,
    });
  };
  for (const clients of [1, 20, 100])
    atLeast("edgepool by a client per query, 5 queries", { queries: 5, clients }, "edgepool", "clientPerQuery", 3);
  for (const queries of [1, 5]) {
    for (const clients of [1, 20, 100]) {
      atLeast(
        `edgepool by a client per request, ${queries === 1 ? "1 query" : "5 queries"}`,
        { queries, clients },
        "edgepool",
        "clientPerRequest",
        0.9,
      );
    }
  }
  atLeast(
    "the Durable Object by a client per request, 1 query",
    { queries: 1, clients: 20 },
    "object",
    "clientPerRequest",
    5,
  );
  // A run without PgBouncer has nothing to compare these with.
  if (results.every(({ samples }) => samples.pgbouncer !== undefined)) {
    for (const clients of [20, 100]) {
      const to = "by PgBouncer";
      atLeast(`the Durable Object ${to}, 1 query`, { queries: 1, clients }, "object", "pgbouncer", 2);
      atLeast(`the Durable Object ${to}, 5 queries`, { queries: 5, clients }, "object", "pgbouncer", 1);
      atLeast(`one batch per request ${to}, 5 queries`, { queries: 5, clients }, "batch", "pgbouncer", 1.5);
    }
  }
  targets.push({
    what: "backends of the Durable Object, 100 clients",
    value: mostBackendsOfObject,
    byRound: undefined,
    bound: "<= 5",
    reached: mostBackendsOfObject > 0 && mostBackendsOfObject <= 5,
  });
  return targets;
}

export function median(samples) {
  const sorted = samples.toSorted((one, other) => one - other);
  const middle = (sorted.length - 1) / 2;
  return (sorted[Math.floor(middle)] + sorted[Math.ceil(middle)]) / 2;
}

function printTable(head, rows) {
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => row[column].length)));
  const line = (row) =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(Math.max(widths[0], 58)) : cell.padStart(Math.max(widths[column], 10)),
      )
      .join("  ");
  console.log(`\n${line(head)}`);
  for (const row of rows) console.log(line(row));
}

function whole(number) {
  return Math.round(number).toLocaleString("en-US");
}
