// docs/soak.md: its words are here, its figures come from a whole run of main.mjs with --write.

import { cpus } from "node:os";
import { join } from "node:path";
import { ends, kills, works } from "./callers.mjs";
import { crowds, pools, sizes } from "./soak.mjs";

export const documentPath = join(import.meta.dirname, "..", "..", "docs", "soak.md");

const sum = (numbers) => Object.values(numbers).reduce((all, one) => all + one, 0);
const count = (number) => (number ?? 0).toLocaleString("en");

/** The rows of the table: their names, and what each shows of a result. */
export const rows = [
  ["checkouts", ({ tally }) => tally.checkouts],
  ["connections killed", ({ tally }) => sum(tally.kills)],
  ...Object.keys(kills).map((name) => [`– ${name}`, ({ tally }) => tally.kills[name]]),
  ["**slots lost**", () => 0],
  ["**sessions left at the server**", () => 0],
  ["**open transactions passed on**", () => 0],
  ["transactions left open by their callers", ({ tally }) => sum(leftOpen(tally.works))],
  ["connections opened", ({ tally }) => tally.opened],
  ["callers that lost their connection", ({ tally }) => tally.errors["the connection was lost"]],
  ["callers that found no live connection", ({ tally }) => tally.errors["the pool found no live connection"]],
  ["callers that left the queue: aborted, or timed out", ({ tally }) => sum(tally.refused)],
];

function leftOpen(counted) {
  return Object.fromEntries(
    Object.entries(counted).filter(([name]) =>
      /leaves a transaction open|refused in a transaction|killed (in a transaction|during the return)/.test(name),
    ),
  );
}

/** Returns what the document shows of results. */
export function figuresOf(results) {
  return {
    heads: results.map(({ server }) => server),
    cells: rows.map(([, of]) => results.map((result) => count(of(result)))),
    host:
      `with the seed ${results[0].seed} (${results.map(({ version }) => version).join("; ")}; ` +
      `${cpus().length} cores, Node ${process.version})`,
  };
}

export function render({ heads, cells, host }) {
  const lines = [
    ["", ...heads],
    ["---", ...heads.map(() => "---:")],
    ...rows.map(([name], row) => [name, ...cells[row]]),
  ].map((cells) => `| ${cells.join(" | ")} |`);
  const { poolSize, maxOverflow } = sizes;
  const items = (names) => names.map((name) => `  - ${name}`).join("\n");
  return `# 100,000 checkouts with 10,000 kills

An observer kills connections of a pool at its server, while ${crowds.join(" callers, or ")} callers work with it.

${lines.join("\n")}

- The first result that must not be ends the run, which prints the seed and the step.
- Each checkout first asks the server whether a transaction is open. A row that only open transactions insert never
  appears, and transfers keep the sum of all accounts.
- From time to time all callers pause. Then the pool must come to rest, and lend all of its connections at once. The
  server must have as many sessions as the pool has connections. After \`close()\` it has none.
- The pool has ${poolSize} connections, and ${maxOverflow} of overflow. Its options change with each fourth of the run:
${items(Object.keys(pools))}
- What a caller does, beside being killed:
${items([...Object.keys(works), ...Object.keys(ends)])}

Written by \`npm run soak -- --write\` ${host}.
The counts of errors vary between runs.
`;
}
