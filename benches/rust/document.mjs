// @ts-check
// docs/rust-speed.md: its words are here, its figures come from a run of scripts/bench-rust.mjs with --write.

import { join } from "node:path";
import { median } from "../statistics.mjs";

export const documentPath = join(import.meta.dirname, "..", "..", "docs", "rust-speed.md");

/** @typedef {{ name: string, alone: number[], together: number[] }} Result */

/** What must be reached, each against another contestant of the same run. */
const targets = [
  { of: "native", by: "deadpool, with time-outs", act: "alone", title: "one caller", bound: 0.3 },
  { of: "native", by: "deadpool, with time-outs", act: "together", title: "1,000 tasks", bound: 0.6 },
  { of: "wasm", by: "deadpool", act: "alone", title: "one caller, in WebAssembly", bound: 0.6 },
];

/** Returns each target with its figure: a median over the rounds, each round against the same round of the other. */
export function judge(results) {
  return targets.map(({ of, by, act, title, bound }) => {
    const find = (name) => results[of].find((result) => result.name === name)[act];
    const others = find(by);
    const figure = median(find("edgepool").map((own, round) => own / others[round]));
    return { title: `${title}: edgepool by ${by}`, bound, figure, isReached: figure <= bound };
  });
}

/** Returns the rows of one target, in nanoseconds. */
export function rowsOf(/** @type {Result[]} */ results) {
  return results.map(({ name, alone, together }) => [name, median(alone).toFixed(0), median(together).toFixed(0)]);
}

const table = (rows) => rows.map((row) => `| ${row.join(" | ")} |`).join("\n");

/** Returns the document for the results of one run. */
export function documentOf(results, { host, rounds, cycles }) {
  const judged = judge(results).map(({ title, bound, figure, isReached }) => [
    title,
    figure.toFixed(2),
    `<= ${bound}`,
    isReached ? "reached" : "MISSED",
  ]);
  return `# Speed in Rust

\`npm run bench:rust\` measures a checkout and a return of the crate, on one thread and without I/O. With \`-- --write\`
it writes this page. Each pool has 10 connections. *One caller* lends and returns, one after the other. *1,000 tasks*
hold each connection for a turn of the others. The figures are medians over ${rounds} rounds of
${cycles.toLocaleString("en-US")} cycles, in an order that rotates.

Natively, on tokio, in nanoseconds:

| pool | one caller | 1,000 tasks |
| --- | ---: | ---: |
${table(rowsOf(results.native))}

In WebAssembly under Node, in nanoseconds:

| pool | one caller | 1,000 tasks |
| --- | ---: | ---: |
${table(rowsOf(results.wasm))}

- *edgepool* has its time-outs, as it has by default.
- *deadpool* has none, and *with time-outs* it has its three, of 30 s each. In WebAssembly those panic, and so does bb8.
- *bb8* has its time-out, and tests no connection at its checkout.
- deadpool and bb8 are \`Send\`, and edgepool is not: it needs no lock.
- A pool that crosses requests of Workers costs more under contention: each caller that waits has a promise.

| target | figure | bound | result |
| --- | ---: | ---: | --- |
${table(judged)}

Measured on ${host}.
`;
}
