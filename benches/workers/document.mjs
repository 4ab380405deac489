// docs/workers-speed-comparison.md: its words are here, its figures come from a whole run of main.mjs with --write. A
// test reads the figures back (tests/package/speed-comparison.test.mjs).

import { join } from "node:path";
import { median, targetsOf, titles } from "./report.mjs";

export const documentPath = join(import.meta.dirname, "..", "..", "docs", "workers-speed-comparison.md");

export const names = Object.values(titles);
/** What the others are compared with. */
const measure = "clientPerRequest";

/**
 * By what was measured: how many times as many requests per second as with a client of pg for each request, and each
 * target with its figure and its bound.
 */
export function figuresOf(measured) {
  const { results, node, cores } = measured;
  const rows = Object.keys(titles).map((name) =>
    results.map(({ samples }) =>
      samples[name] === undefined ? "–" : (median(samples[name]) / median(samples[measure])).toFixed(2),
    ),
  );
  const targets = targetsOf(measured).map(({ what, value, bound }) => [what, value.toFixed(2), bound]);
  return { rows, targets, host: `Node ${node}, ${cores} cores` };
}

/** Whether a figure is within its bound, such as ">= 3". */
export function isReached(figure, bound) {
  const [relation, limit] = bound.split(" ");
  return relation === ">=" ? Number(figure) >= Number(limit) : Number(figure) <= Number(limit);
}

function rowOf([what, figure, bound]) {
  return `| ${what} | ${figure} | ${bound} | ${isReached(figure, bound) ? "reached" : "MISSED"} |`;
}

export function render({ rows, targets, host }) {
  const head = [
    "",
    ...["1 query", "5 queries"].flatMap((queries) =>
      ["1 client", "20 clients", "100 clients"].map((clients) => `${queries}, ${clients}`),
    ),
  ];
  const table = [
    head,
    head.map((_, column) => (column === 0 ? "---" : "---:")),
    ...rows.map((row, place) => [names[place], ...row]),
  ];
  return `# Speed in Cloudflare Workers

The table shows requests per second of a Worker, relative to a Worker with a pg.Client for each request. 2 means twice
as many. The columns give the queries of each request and the number of concurrent clients. The queries do next to
nothing.

${table.map((row) => `| ${row.join(" | ")} |`).join("\n")}

- *edgepool at module scope* opens as many connections as a pg.Client for each request. It saves a connection for each
  query. Its cost beside a bare client is the difference to 1.
- *PgBouncer* and the *Durable Object* keep five connections to the server open. Here both run on the machine of the
  server and the Worker. The hop to a distant object costs its distance. *One batch per request* sends all queries of a
  request together, in a transaction. The object resets the session after each call, PgBouncer in transaction mode does
  not.

## Targets

The CPU is that of the workerd process. Its connections are scripted, so it is all the pool's.

| target | figure | bound | result |
| --- | ---: | ---: | --- |
${targets.map(rowOf).join("\n")}

\`npm run bench:workers -- --write\` writes this page. The figures are medians of one run, in one workerd and
PostgreSQL, in turn (${host}). The figures for one client vary by a tenth between runs.
`;
}
