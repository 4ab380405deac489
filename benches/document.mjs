// docs/speed-comparison.md: its words are here, its figures come from a whole run of main.mjs with --write. A test
// reads the figures back (tests/package/speed-comparison.test.mjs), so that the document always has the form that is
// written here.

import { join } from "node:path";
import { contestants } from "./adapters.mjs";
import { acts, growthBars } from "./growth.mjs";
import { programs, startBar } from "./start.mjs";
import { speedTargets, targetName } from "./targets.mjs";

export const documentPath = join(import.meta.dirname, "..", "docs", "speed-comparison.md");

/** The scenarios that are shown, in the words of a user. */
const columns = [
  { id: "a", title: "checkout and return" },
  { id: "use", title: "with `use()`" },
  { id: "b", title: "1,000 tasks on 10 connections" },
  { id: "c1000", title: "1,000 waiters" },
  { id: "c", title: "100,000 waiters" },
  { id: "d", title: "every second one cancelled" },
];

/** Edgepool comes first; the floors, which are no pools to choose, come last. */
const names = [
  "edgepool",
  ...["peer", "floor"].flatMap((kind) =>
    contestants.filter((contestant) => contestant.kind === kind).map(({ name }) => name),
  ),
];

const startTotal = `edgepool by pg-pool, at most ${startBar}`;

/** By table: its head, and the first cells of its rows. */
export const tables = {
  speed: { head: ["", ...columns.map(({ title }) => title), "bytes a waiter"], names },
  targets: {
    head: ["", "edgepool", "at most", "", "the best peer"],
    names: speedTargets.map(targetName),
  },
  growth: {
    head: ["", "1,000", "100,000", "ratio", "ratio of the bytes of each", "closes lost", ""],
    names: acts.flatMap(({ title, rooms }) => rooms.map((room) => `${title} (${room})`)),
  },
  start: { head: ["", "CPU", "memory"], names: [...programs, startTotal] },
};

/** Returns what the document shows of a run: the cells of each table without the first column, and the machine. */
export function figuresOf({ scenarios, bytes, targets, growth, start, startTargets, node, cpu, cores }) {
  return {
    speed: names.map((name) => [
      ...columns.map(({ id }) => ratioCell(scenarios.find((scenario) => scenario.id === id).outcomes[name])),
      String(Math.round(bytes[name].total)),
    ]),
    targets: targets.map(({ value, bound, reached, best }) => [
      value.toFixed(2),
      String(bound),
      verdict(reached),
      Number.isFinite(best) ? best.toFixed(1) : "–",
    ]),
    growth: growth.map(({ small, large, stopped, unprepared, times, memory, lost, reached }) => [
      milliseconds(small),
      unprepared ? "–" : `${stopped ? "> " : ""}${milliseconds(large)}`,
      unprepared ? "–" : `${stopped ? "> " : ""}${times.toFixed(0)}`,
      memory?.toFixed(2) ?? "–",
      String(lost),
      verdict(reached),
    ]),
    start: [
      ...programs.map((name) => [
        `${start[name].cpuMs.toFixed(1)} ms`,
        `${(start[name].peakBytes / 1e6).toFixed(1)} MB`,
      ]),
      startTargets.map(({ value, reached }) => `${value.toFixed(2)}, ${verdict(reached)}`),
    ],
    host: `${cpu}, ${cores} cores, Node ${node}`,
  };
}

function ratioCell(outcome) {
  if (outcome === undefined) return "–";
  return `${outcome.slowerThan === undefined ? "" : "> "}${outcome.ratio.toFixed(outcome.ratio < 9.95 ? 1 : 0)}`;
}

const milliseconds = (ms) => `${ms < 10 ? ms.toFixed(2) : Math.round(ms)} ms`;
const verdict = (reached) => (reached ? "reached" : "MISSED");

export function render({ host, ...figures }) {
  const table = (id) => {
    const { head, names } = tables[id];
    const rows = [
      head,
      head.map((_, column) => (column === 0 ? "---" : "---:")),
      ...figures[id].map((cells, row) => [names[row], ...cells]),
    ];
    return rows.map((row) => `| ${row.join(" | ")} |`).join("\n");
  };
  return `# Speed, beside other pools

The table shows the time of each pool relative to edgepool. 6 means that edgepool is six times as fast. The connections
are fakes that cost nothing, and no caller sends a query. With a database, a query takes far longer than any pool.

${table("speed")}

- *Checkout and return*: one caller at a time, and a connection is always idle. *Waiters*: this many callers queue for
  ten connections, then all are served in turn. *Cancelled*: by a signal, or by a time-out if the pool supports no
  signals.
- *twin* is edgepool's hot path in plain JavaScript, in one file. The difference between edgepool and the twin is the
  cost of Rust in WebAssembly. *floor* lends the raw connection in order of arrival and does nothing else: it has no
  time-outs. Neither is a pool to choose.
- – means that the pool lacks the feature; > means that it was stopped after 20 seconds.

## Beside the floor

The floor is the limit of what a pool with promises can do. The targets are therefore multiples of the floor, not of a
peer. The last column shows the best peer in the same unit: no pool can beat that peer by more. The floor cannot
cancel, so the row before the last compares with the twin. The last row compares two calls of edgepool.

${table("targets")}

## Growth

The table shows the time of one act with 1,000 and with 100,000 connections or scopes. *policy* is the Rust code alone,
compiled natively. *package* is edgepool in Node. For 100 times as many, the targets are ${growthBars.time} times the
time and ${growthBars.memory} times the bytes of each. No close may be lost. > means that it was stopped after
20 seconds. – means that making the connections or scopes took more than 200 seconds, or that nothing was measured.

${table("growth")}

## Start

Each program imports a pool, creates it, and takes one lease. The table shows its CPU time and its peak memory, less
those of an empty program. The figures are medians of 15 runs.

${table("start")}

Written by \`npm run bench -- --write\`: medians of one run, in turn (${host}).
Times move by a factor of two between machines, ratios by a tenth or two between runs.
`;
}
