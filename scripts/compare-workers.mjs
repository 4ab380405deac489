// @ts-check
// Sends the same requests to a Worker with pg's own pool at module scope and to one with edgepool, and counts the
// answers. Prints the table, and with --write writes docs/workers-comparison.md.
// tests/integration/workers/comparison.test.mjs compares that document with this script. Needs `npm run build`, and
// takes half a minute.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startPostgres } from "./postgres.mjs";
import { root, say } from "./run.mjs";
import { startWorkerd } from "../tests/integration/workers/workerd.mjs";

export const documentPath = join(root, "docs", "workers-comparison.md");
export const contestants = ["pg.Pool", "edgepool"];
const patienceMs = 1000;

/** Each runs on fresh Workers. A client sends its requests one after another. */
export const scenarios = [
  { title: "30 requests, one after another", clients: [{ path: "/", count: 1 }], requests: 30 },
  { title: "200 requests, 20 at a time", clients: [{ path: "/", count: 20 }], requests: 200 },
  { title: "20 requests that take a while, 4 at a time", clients: [{ path: "/slow", count: 4 }], requests: 20 },
  {
    title: "200 requests to one Durable Object, 6 at a time",
    clients: [{ path: "/object/one/", count: 6 }],
    requests: 200,
  },
  {
    title: "200 requests to the Worker and three Durable Objects, 5 at a time to each",
    clients: ["/", "/object/one/", "/object/two/", "/object/three/"].map((path) => ({ path, count: 5 })),
    requests: 200,
  },
];

/** Counts requests that were answered, that ended as an error of the Worker, and that had no answer in time. */
async function run(workerd, { clients, requests }) {
  const outcome = { answered: 0, failed: 0, silent: 0 };
  let next = 0;
  const client = async (path) => {
    while (next++ < requests) {
      const kind = await workerd.ask(path, { timeoutMs: patienceMs }).then(
        ({ status }) => (status === 200 ? "answered" : "failed"),
        () => "silent",
      );
      outcome[kind]++;
    }
  };
  await Promise.all(clients.flatMap(({ path, count }) => Array.from({ length: count }, () => client(path))));
  return outcome;
}

async function compare() {
  const postgres = await startPostgres({ maxConnections: 300 });
  const { host, port, user, password, database } = postgres.options;
  const results = [];
  try {
    for (const scenario of scenarios) {
      const outcomes = [];
      for (const POOL of contestants) {
        say(`${POOL}: ${scenario.title}`);
        const main = {
          entry: join(root, "tests", "integration", "workers", "comparison-worker.mjs"),
          vars: { POOL, DATABASE_URL: `postgres://${user}:${password}@${host}:${port}/${database}` },
          durableObjects: { HOLDER: "Holder" },
        };
        const workerd = await startWorkerd({ workers: { main } });
        outcomes.push(await run(workerd, scenario).finally(() => workerd.stop()));
      }
      results.push(outcomes);
    }
  } finally {
    await postgres.stop();
  }
  return results;
}

/** Writes the document. `results` has, for each scenario, an outcome of each contestant. */
export function render(results) {
  const cells = ({ answered, failed, silent }) => [answered, failed, silent];
  const rows = scenarios.map(({ title }, index) => `| ${[title, ...results[index].flatMap(cells)].join(" | ")} |`);
  return `# A pool at module scope in Cloudflare Workers

In Workers a socket belongs to the request, or the Durable Object, that opened it. Another pool may lend that socket to
the next request, which then hangs. If nothing can answer the request, the runtime ends it with an error. A request with
a timer, or of a Durable Object, stays silent. edgepool gives each request and each object its own connections.

The table compares the same Worker with two pools at module scope: \`pg\`'s own pool and edgepool. Both have five
connections and otherwise their defaults. Each request makes two queries. *Failed* is an error of the Worker. *Silent*
is no answer within ${patienceMs / 1000} s.

| | pg.Pool: answered | failed | silent | edgepool: answered | failed | silent |
|---|---:|---:|---:|---:|---:|---:|
${rows.join("\n")}

\`node scripts/compare-workers.mjs --write\` writes this page, with workerd and PostgreSQL on one machine.
`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const text = render(await compare());
  if (process.argv.includes("--write")) writeFileSync(documentPath, text);
  console.log(
    text
      .split("\n")
      .filter((line) => line.startsWith("|"))
      .join("\n"),
  );
}
