// npm run bench:workers: how many requests per second a Worker answers, by how it comes by its connections. All in one
// workerd, on one PostgreSQL, in turn: in every round each contestant runs once, in an order that rotates and
// alternates its direction. Medians are compared, within one run.
//
// Options: --quick (fewer and shorter rounds), --pgbouncer=PATH (without it, PgBouncer is left out), --write (a whole
// run becomes docs/workers-speed-comparison.md).

import { writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Client } from "pg";
import { startPostgres } from "../../scripts/postgres.mjs";
import { startWorkerd } from "../../tests/integration/workers/workerd.mjs";
import { measureCost } from "./cost.mjs";
import { documentPath, figuresOf, render } from "./document.mjs";
import { startPgBouncer } from "./pgbouncer.mjs";
import { report } from "./report.mjs";

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    pgbouncer: { type: "string" },
    write: { type: "boolean", default: false },
  },
});
if (options.write && (options.quick || options.pgbouncer === undefined))
  throw new Error("--write wants a whole run: without --quick, with PgBouncer");
const rounds = options.quick ? 3 : 9;
const roundMs = options.quick ? 300 : 500;
const contestants = [
  "clientPerQuery",
  "clientPerRequest",
  "edgepool",
  ...(options.pgbouncer === undefined ? [] : ["pgbouncer"]),
  "object",
  "batch",
];
const scenarios = [1, 5].flatMap((queries) => [1, 20, 100].map((clients) => ({ queries, clients })));

const postgres = await startPostgres({ maxConnections: 500 });
const bouncer = options.pgbouncer === undefined ? undefined : await startPgBouncer(options.pgbouncer, postgres.options);
const { host, port, user, password, database } = postgres.options;
const urlAt = (port) => `postgres://${user}:${password}@${host}:${port}/${database}`;
const main = {
  entry: join(import.meta.dirname, "worker.mjs"),
  vars: { DATABASE_URL: urlAt(port), BOUNCER_URL: urlAt(bouncer?.port ?? port) },
  durableObjects: { DATABASE: "Database" },
};
const workerd = await startWorkerd({ workers: { main } });
const admin = new Client(postgres.options);
await admin.connect();

const started = performance.now();
try {
  const results = [];
  for (const scenario of scenarios) results.push({ ...scenario, samples: await inTurn(scenario) });
  const measured = {
    date: new Date().toISOString(),
    node: process.version,
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    load: loadavg(),
    quick: options.quick,
    seconds: (performance.now() - started) / 1000,
    cost: await measureCost({ rounds: options.quick ? 5 : 25, requests: 600 }),
    mostBackendsOfObject: await mostBackends("object", ["object", "batch"]),
    results,
  };
  report(measured);
  if (options.write) writeFileSync(documentPath, render(figuresOf(measured)));
} finally {
  await admin.end();
  await workerd.stop();
  await bouncer?.stop();
  await postgres.stop();
}

/** Requests per second of every round, by contestant. */
async function inTurn(scenario) {
  const samples = Object.fromEntries(contestants.map((name) => [name, []]));
  for (let round = -1; round < rounds; round++) {
    note(
      `${scenario.clients} clients, ${scenario.queries} queries: ` +
        (round < 0 ? "warming up" : `round ${round + 1} of ${rounds}`),
    );
    for (const name of inOrder(round + 1)) {
      const perSecond = await measure(name, scenario);
      if (round >= 0) samples[name].push(perSecond);
      await untilClientsHaveEnded();
    }
  }
  note("");
  return samples;
}

/** Rotates the contestants, so that each of them follows each other one at some time. */
function inOrder(round) {
  const first = (round >> 1) % contestants.length;
  const rotated = [...contestants.slice(first), ...contestants.slice(0, first)];
  return round % 2 === 0 ? rotated : rotated.toReversed();
}

async function measure(name, { queries, clients }) {
  const expected = (queries * (queries + 1)) / 2;
  const start = performance.now();
  let answered = 0;
  const client = async () => {
    while (performance.now() - start < roundMs) {
      const { status, body } = await workerd.ask(`/${name}?queries=${queries}`);
      if (status !== 200 || body !== expected) throw new Error(`${name} answered ${status}: ${JSON.stringify(body)}`);
      answered++;
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  return (answered * 1000) / (performance.now() - start);
}

/** What one contestant leaves to the server must not be the next one's burden. */
async function untilClientsHaveEnded() {
  const ended = `SELECT count(*)::int AS count FROM pg_stat_activity
    WHERE application_name IN ('client', 'edgepool') AND client_port IS NOT NULL`;
  while ((await admin.query(ended)).rows[0].count > (bouncer === undefined ? 0 : 5))
    await new Promise((resolve) => setTimeout(resolve, 5));
}

/** The most backends of one name while these contestants run, unmeasured, with the most clients. */
async function mostBackends(applicationName, names) {
  let most = 0;
  let isWatching = true;
  const watch = (async () => {
    while (isWatching) {
      const { rows } = await admin.query(
        "SELECT count(*)::int AS count FROM pg_stat_activity WHERE application_name = $1",
        [applicationName],
      );
      most = Math.max(most, rows[0].count);
    }
  })();
  for (const name of names) await measure(name, { queries: 1, clients: 100 });
  isWatching = false;
  await watch;
  return most;
}

/** Prints one line of progress on a terminal. */
function note(text) {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}
