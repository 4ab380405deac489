// @ts-check
// SELECT 1 on a real MariaDB with mysql2. First one task on a pool of one connection: edgepool, and edgepool with a
// ROLLBACK at each return, as it had until it read the status of the answers; on the loopback, and behind a round trip
// of 2 ms. Then 20 and 100 tasks over ten connections: mysql2's own pool, and edgepool beside it. All contestants of a
// comparison run in every round, in an order that rotates. A figure is the median over the rounds of the ratio to the
// first contestant in the same round: more is faster.
// Options: --rounds=15, --queries=5000, --write.

import { fork } from "node:child_process";
import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";
import { QueuePool } from "edgepool";
import { mysql2 } from "edgepool/dialects/mysql2";
import { createPool } from "edgepool/mysql2";
import * as facade from "edgepool/mysql2/promise";
import callbacks from "mysql2";
import promises from "mysql2/promise";
import { startMariadb } from "../../tests/field/mariadb.mjs";
import { inOrder, note } from "../rounds.mjs";
import { median } from "../statistics.mjs";
import { documentOf, documentPath } from "./document.mjs";

const { values: given } = parseArgs({
  options: {
    rounds: { type: "string", default: "15" },
    queries: { type: "string", default: "5000" },
    write: { type: "boolean", default: false },
  },
});
const rounds = Number(given.rounds);
const queries = Number(given.queries);
const connections = 10;
const roundTripMs = 2;

const server = await startMariadb();
if (server === undefined) process.exit(1);
const { options } = server;

/** Returns the port of the same server, behind the round trip. */
const far = fork(join(import.meta.dirname, "far.mjs"), [String(options.port), String(roundTripMs / 2)]);
const farPort = await new Promise((resolve) => far.once("message", resolve));

const one = { poolSize: 1, maxOverflow: 0 };
const many = { poolSize: connections, maxOverflow: 0, useLifo: true };
/** Each return sends a ROLLBACK, and no packet is looked at. */
const before = { ...mysql2, inTransaction: undefined, onDisconnect: undefined };
const text = "SELECT 1";

/** A pool of connections of promises. */
function queueOf(options, settings) {
  return new QueuePool(
    async () => {
      const connection = await promises.createConnection(options);
      return connection.on("error", () => {});
    },
    { dialect: mysql2, ...settings },
  );
}

const theirs = {
  promises: promises.createPool({ ...options, connectionLimit: connections }),
  callbacks: callbacks.createPool({ ...options, connectionLimit: connections }),
};
const ours = {
  promises: facade.createPool({ ...options, connectionLimit: connections }),
  callbacks: createPool({ ...options, connectionLimit: connections }),
};
const queues = [];
const use = (options, settings) => {
  const pool = queueOf(options, settings);
  queues.push(pool);
  return () => pool.use((connection) => connection.query(text));
};
const calling = (pool) => () => promisify((done) => pool.query(text, done))();

/** The contestants of each comparison, the first of which is compared with. `queries` are those of a round. */
const comparisons = [
  ...[
    { where: "the loopback", to: options, bound: 1.6, queries },
    { where: `a round trip of ${roundTripMs} ms`, to: { ...options, port: farPort }, bound: 2, queries: 100 },
  ].map(({ where, to, bound, queries: count }) => ({
    what: `1 task, 1 connection, ${where}`,
    tasks: 1,
    queries: count,
    contestants: [
      { name: "edgepool, a ROLLBACK at each return", run: use(to, { ...one, dialect: before }) },
      { name: "edgepool, use()", bound, run: use(to, one) },
    ],
  })),
  ...[20, 100].flatMap((tasks) => [
    {
      what: `${tasks} tasks, promises`,
      tasks,
      queries,
      contestants: [
        { name: "mysql2's pool, query()", run: () => theirs.promises.query(text) },
        { name: "edgepool/mysql2/promise, query()", bound: 1.1, run: () => ours.promises.query(text) },
        { name: "edgepool, use()", bound: 1.1, run: use(options, many) },
      ],
    },
    {
      what: `${tasks} tasks, callbacks`,
      tasks,
      queries,
      contestants: [
        { name: "mysql2's pool, query()", run: calling(theirs.callbacks) },
        { name: "edgepool/mysql2, query()", bound: 1.1, run: calling(ours.callbacks) },
      ],
    },
  ]),
];

/** Returns the queries of a second. */
async function speedOf({ run }, { tasks, queries: count }) {
  let left = count;
  const begin = performance.now();
  const task = async () => {
    while (left-- > 0) await run();
  };
  await Promise.all(Array.from({ length: tasks }, task));
  return (count * 1000) / (performance.now() - begin);
}

const results = [];
for (const comparison of comparisons) {
  const { what, contestants } = comparison;
  const samples = new Map(contestants.map(({ name }) => [name, []]));
  for (let round = -2; round < rounds; round++) {
    note(`${what}: ${round < 0 ? "warming up" : `round ${round + 1} of ${rounds}`}`);
    const speeds = new Map();
    for (const contestant of inOrder(contestants, round + 2))
      speeds.set(contestant.name, await speedOf(contestant, comparison));
    if (round < 0) continue;
    const base = speeds.get(contestants[0].name);
    for (const [name, speed] of speeds) samples.get(name).push({ speed, ratio: speed / base });
  }
  for (const { name, bound } of contestants) {
    const own = samples.get(name);
    const ratio = median(own.map((sample) => sample.ratio));
    results.push({ what, name, bound, ratio, perSecond: median(own.map(({ speed }) => speed)) });
  }
}
note("");
await Promise.all([...queues.map((pool) => pool.close()), theirs.promises.end(), ours.promises.end()]);
await Promise.all([theirs.callbacks, ours.callbacks].map((pool) => promisify(pool.end).call(pool)));
far.kill();
await server.stop();

const host = `${cpus()[0]?.model ?? "unknown"}, ${cpus().length} cores, Node ${process.versions.node}`;
const document = documentOf(results, { host, rounds, queries, connections });
console.log(document.slice(document.indexOf("| what")));
if (given.write) writeFileSync(documentPath, document);
