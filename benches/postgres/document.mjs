// @ts-check
// docs/postgres-speed.md: its words are here, its figures come from a run of main.mjs with --write.

import { join } from "node:path";

export const documentPath = join(import.meta.dirname, "..", "..", "docs", "postgres-speed.md");

/** Returns the document for the results of one run. */
export function documentOf(results, { host, rounds, queries, connections }) {
  const rows = results.map(({ tasks, name, bound, ratio, perSecond }) => {
    const speed = Math.round(perSecond).toLocaleString("en-US");
    return `| ${tasks} | ${name} | ${ratio.toFixed(2)} | ${speed} | ${targetOf(bound, ratio)} |`;
  });
  const count = queries.toLocaleString("en-US");
  return `# Speed on PostgreSQL

\`npm run bench:postgres\` measures \`SELECT 1\` over ${connections} connections. With \`-- --write\` it
writes this page. The server runs on the same machine. Rollback safety is on: no open transaction reaches the next
caller.

Each contestant runs ${count} queries in each of ${rounds} rounds, in an order that rotates. A ratio
compares its queries per second with those of pg.Pool in the same round. The table has the median over the rounds:
more is faster.

| tasks | | ratio | queries per second | target |
|---:|---|---:|---:|---|
${rows.join("\n")}

Measured on ${host}.

With [\`pipeline: true\`](guide.md#many-small-queries) several queries share a client. The driver sends
them together, and reads their answers together.
`;
}

function targetOf(bound, ratio) {
  if (bound === undefined) return "";
  return `${bound}: ${ratio >= bound ? "reached" : "MISSED"}`;
}
