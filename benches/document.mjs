// docs/speed-comparison.md: its words are here, its figures come from a whole run of main.mjs with --write. A test
// reads the figures back (tests/package/speed-comparison.test.mjs), so that the document is never of another form than
// this.

import { join } from "node:path";
import { contestants } from "./adapters.mjs";

export const documentPath = join(import.meta.dirname, "..", "docs", "speed-comparison.md");

/** The scenarios that are shown, in the words of a user. */
export const columns = [
  { id: "a", title: "checkout and return" },
  { id: "use", title: "with `use()`" },
  { id: "b", title: "1,000 tasks on 10 connections" },
  { id: "c1000", title: "1,000 waiters" },
  { id: "c", title: "100,000 waiters" },
  { id: "d", title: "every second one cancelled" },
];

/** The rows, with edgepool first and what is no pool to choose last. */
export const names = [
  "edgepool",
  ...["peer", "floor"].flatMap((kind) =>
    contestants.filter((contestant) => contestant.kind === kind).map(({ name }) => name),
  ),
];

/** What the document shows of a run: for each row a ratio of every column, and the bytes of a waiter. */
export function figuresOf({ scenarios, bytes, node, cores }) {
  const ratioOf = (name, id) => {
    const outcome = scenarios.find((scenario) => scenario.id === id).outcomes[name];
    if (outcome === undefined) return "–";
    const digits = outcome.ratio < 9.95 ? 1 : 0;
    return `${outcome.slowerThan === undefined ? "" : "> "}${outcome.ratio.toFixed(digits)}`;
  };
  const rows = names.map((name) => [
    ...columns.map(({ id }) => ratioOf(name, id)),
    String(Math.round(bytes[name].total)),
  ]);
  return { rows, host: `Node ${node}, ${cores} cores` };
}

export function render({ rows, host }) {
  const head = ["", ...columns.map(({ title }) => title), "bytes a waiter"];
  const table = [
    head,
    head.map((_, column) => (column === 0 ? "---" : "---:")),
    ...rows.map((row, place) => [names[place], ...row]),
  ];
  return `# Speed, beside other pools

The table shows the time of each pool relative to edgepool. 6 means that edgepool is six times as fast. Connections cost
nothing here, and no query runs, so only the pool is measured. With a database a query takes far longer than any pool.

${table.map((row) => `| ${row.join(" | ")} |`).join("\n")}

- *Checkout and return*: one caller at a time, which always finds a connection. *Waiters*: this many queue behind ten
  connections, then all are served in turn. *Cancelled*: by a signal, or by a time-out if a pool has no signals.
- *twin* is edgepool's hot path in plain JavaScript, in one file. The difference to it is the cost of WebAssembly.
- *floor* lends the raw connection in order of arrival and does nothing else, not even time-outs. Neither is a pool for
  programs.
- – means that the pool lacks the feature. > means that the run was stopped after 20 seconds.

\`npm run bench -- --write\` writes this page. The figures are medians of one run, in one process, in turn (${host}).
Times vary by a factor of two between machines, ratios by a tenth or two between runs.
`;
}
