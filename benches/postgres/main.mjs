// @ts-check
// SELECT 1 over ten connections to a real PostgreSQL, by 20 and by 100 tasks: pg.Pool, and edgepool beside it. All
// contestants run in every round, in an order that rotates. A figure is the median over the rounds of the ratio to
// pg.Pool's query() in the same round: more is faster.
// Options: --rounds=25, --queries=10000, --write.

import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { QueuePool } from "edgepool";
import { clients, Pool } from "edgepool/pg";
import pg from "pg";
import { startPostgres } from "../../scripts/postgres.mjs";
import { inOrder, note } from "../rounds.mjs";
import { median } from "../statistics.mjs";
import { documentOf, documentPath } from "./document.mjs";

const { values: given } = parseArgs({
  options: {
    rounds: { type: "string", default: "25" },
    queries: { type: "string", default: "10000" },
    write: { type: "boolean", default: false },
  },
});
const rounds = Number(given.rounds);
const queries = Number(given.queries);
const connections = 10;

const postgres = await startPostgres();
const options = { ...postgres.options, max: connections };
const pools = {
  theirs: new pg.Pool(options),
  facade: new Pool(options),
  pipeline: new Pool({ ...options, pipeline: true }),
  queue: new QueuePool(clients(postgres.options), { poolSize: connections, maxOverflow: 0, useLifo: true }),
};

const base = "pg.Pool, query()";
/** What each task does with one query, by the contestant's name. */
const contestants = [
  { name: base, run: () => pools.theirs.query("SELECT 1") },
  { name: "edgepool/pg, query()", bound: 1.15, run: () => pools.facade.query("SELECT 1") },
  {
    name: "edgepool, use()",
    bound: 1.15,
    run: () => pools.queue.use((client) => client.query("SELECT 1")),
  },
  { name: "edgepool/pg, query() with pipeline", bound: 1.8, run: () => pools.pipeline.query("SELECT 1") },
];

/** Returns the queries of a second. */
async function speedOf({ run }, tasks) {
  let left = queries;
  const begin = performance.now();
  const task = async () => {
    while (left-- > 0) await run();
  };
  await Promise.all(Array.from({ length: tasks }, task));
  return (queries * 1000) / (performance.now() - begin);
}

const results = [];
for (const tasks of [20, 100]) {
  const samples = new Map(contestants.map(({ name }) => [name, []]));
  for (let round = -2; round < rounds; round++) {
    note(`${tasks} tasks: ${round < 0 ? "warming up" : `round ${round + 1} of ${rounds}`}`);
    const speeds = new Map();
    for (const contestant of inOrder(contestants, round + 2)) {
      speeds.set(contestant.name, await speedOf(contestant, tasks));
    }
    if (round < 0) continue;
    for (const [name, speed] of speeds) samples.get(name).push({ speed, ratio: speed / speeds.get(base) });
  }
  for (const { name, bound } of contestants) {
    const own = samples.get(name);
    results.push({
      tasks,
      name,
      bound,
      ratio: median(own.map(({ ratio }) => ratio)),
      perSecond: median(own.map(({ speed }) => speed)),
    });
  }
}
note("");
await Promise.all([pools.theirs.end(), pools.facade.end(), pools.pipeline.end(), pools.queue.close()]);
await postgres.stop();

const host = `${cpus()[0]?.model ?? "unknown"}, ${cpus().length} cores, Node ${process.versions.node}`;
const document = documentOf(results, { host, rounds, queries, connections });
console.log(document.slice(document.indexOf("| tasks")));
if (given.write) writeFileSync(documentPath, document);
