// docs/trouble-comparison.md: its words are here, its figures come from a whole run of main.mjs with --write. A test
// reads the figures back (tests/package/speed-comparison.test.mjs).

import { join } from "node:path";
import { contestants, judged, measure } from "./contestants.mjs";
import { scenarios } from "./scenarios.mjs";

export const documentPath = join(import.meta.dirname, "..", "..", "docs", "trouble-comparison.md");

const labels = {
  failed: "failed",
  p99: "p99, ms",
  opened: "opened",
  attempts: "attempts",
  backends: "most sessions",
  answer: "longest until the error, ms",
};

export const pools = contestants.map(({ name }) => name);
/** The bar of each row, and the name of the row. */
export const rows = scenarios.flatMap(({ title, bars }) =>
  bars.map((bar) => ({ bar, name: `${title}: ${labels[bar.of]}` })),
);

/** Returns the cells of each row: the figure of each pool, and the verdict. */
export function figuresOf(results, host) {
  const cells = results.flatMap(({ scenario: { bars }, pools: figures, verdicts }) =>
    bars.map(({ of }, place) => [...pools.map((name) => shown(figures[name][of])), verdict(verdicts[place])]),
  );
  return { cells, host };
}

const shown = (value) => (value === undefined ? "–" : String(value));
export const verdict = (reached) => (reached ? "reached" : "MISSED");

export function render({ cells, host }) {
  const head = ["", ...pools, "bar", ""];
  const table = [
    head,
    head.map((_, column) => (column === 0 ? "---" : "---:")),
    ...rows.map(({ name, bar: { most, mostRatio } }, row) => {
      const bound = mostRatio === undefined ? String(most) : `${mostRatio} × ${measure}`;
      return [name, ...cells[row].slice(0, -1), bound, cells[row].at(-1)];
    }),
  ];
  return `# In trouble, beside other pools

The table shows what callers notice when the server, the network or the program is in trouble. 2,000 callers come at
400 a second, to ten connections of \`pg\`. A caller waits at most five seconds for a connection. Its time counts from
when it was due. The bars are for ${judged}, each the most that is allowed.

${table.map((row) => `| ${row.join(" | ")} |`).join("\n")}

- *pg.Pool* is \`pool.query()\`, which ends a connection after any error. *By hand* is \`connect()\`, and \`release()\`
  in a \`finally\`, as transactions are written.
- *tarn* is set up as knex does it: a client that has reported its loss is not lent again.
- *edgepool* has [the settings for a server in trouble](guide.md#settings-for-a-server-in-trouble). *By default* it has
  only its size.
- PostgreSQL runs on the same machine, behind a proxy that loses, holds and refuses as requested. A lost byte never
  arrives.
- Of the tenth that must fail, the table shows only how long it took until they failed.
- p99 includes the callers that failed. A caller that fails immediately is not a slow one.
- The loop is blocked for 1.5 s. Ten callers come after a quiet time, and a ping takes 100 ms. Or fifty callers wait,
  one second each, behind ten.

Written by \`npm run bench:trouble -- --write\`: medians of three runs, in turn (${host}).
Counts of failed callers vary by chance. A p99 varies by a third between runs.
`;
}
