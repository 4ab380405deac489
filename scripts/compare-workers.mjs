// @ts-check
// Sends the same requests to a Worker with pg's own pool at module scope and to one with edgepool, and counts answers.
// Prints the table. With --write it writes docs/workers-comparison.md, which
// tests/integration/workers/comparison.test.mjs checks. Needs `npm run build`. It takes half a minute.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startPostgres } from "./postgres.mjs";
import { root, say } from "./run.mjs";
import { startWorkerd } from "../tests/integration/workers/workerd.mjs";

export const documentPath = join(root, "docs", "workers-comparison.md");
export const contestants = ["pg.Pool", "edgepool"];
const patienceMs = 1000;

/** Each runs on new Workers: a number of requests by a number of clients, one after another for each client. */
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

/** Counts the requests that were answered, failed as an error of the Worker, or had no answer in time. */
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

/** Returns the document. `results` has the outcome of each contestant, for each scenario. */
export function render(results) {
  const cells = ({ answered, failed, silent }) => [answered, failed, silent];
  const rows = scenarios.map(({ title }, index) => `| ${[title, ...results[index].flatMap(cells)].join(" | ")} |`);
  return `# A pool at module scope in Cloudflare Workers

In Workers a socket belongs to the request, or the Durable Object, that opened it. A pool that does not know that hands
the socket to the next request, which then hangs. The runtime ends such a request with an error. A request that a timer
keeps alive, or one of a Durable Object, stays silent. edgepool gives each of them connections of its own.

The table shows the same Worker with each pool at module scope: \`pg\`'s own and edgepool, both of five connections and
otherwise with their defaults. Each request makes two queries. *Failed* is an error of the Worker, *silent* is no answer
within ${patienceMs / 1000} s.

| | pg.Pool: answered | failed | silent | edgepool: answered | failed | silent |
|---|---:|---:|---:|---:|---:|---:|
${rows.join("\n")}

Written by \`node scripts/compare-workers.mjs --write\`, in workerd and on a PostgreSQL of the machine that ran it.
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
