// @ts-check
// docs/mariadb-speed.md: its words are here, its figures come from a run of main.mjs with --write.

import { join } from "node:path";

export const documentPath = join(import.meta.dirname, "..", "..", "docs", "mariadb-speed.md");

/** Returns the document for the results of one run. */
export function documentOf(results, { host, rounds, queries, connections }) {
  const rows = results.map(({ what, name, bound, ratio, perSecond }) => {
    const speed = Math.round(perSecond).toLocaleString("en-US");
    return `| ${what} | ${name} | ${ratio.toFixed(2)} | ${speed} | ${targetOf(bound, ratio)} |`;
  });
  return `# Speed on MariaDB

\`npm run bench:mariadb\` measures \`SELECT 1\` with mysql2. With \`-- --write\` it writes this page. The
server runs on the same machine. Rollback safety of edgepool is on: no open transaction reaches the next caller.
mysql2's own pool does not reset by default: there the next caller is inside the transaction.

The contestants of a comparison run ${queries.toLocaleString("en-US")} queries in each of ${rounds} rounds, in an order
that rotates. Behind the round trip they run 100. A ratio compares queries per second with those of the first contestant
in the same round. The table has the median over the rounds: more is faster. Pools for 20 and 100 tasks have
${connections} connections.

| what | contestant | ratio | queries per second | target |
|---|---|---:|---:|---|
${rows.join("\n")}

Measured on ${host}.

A clean return [sends nothing](drivers.md#the-transaction-state-of-mysql2). \`use()\` calls mysql2's connections of
promises, which note a stack at each call. \`edgepool/mysql2/promise\` [does not](coming-from.md#mysql2).
`;
}

function targetOf(bound, ratio) {
  if (bound === undefined) return "";
  return `${bound}: ${ratio >= bound ? "reached" : "MISSED"}`;
}
