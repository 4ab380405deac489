// Runs worker.mjs as wrangler would, on an embedded PostgreSQL, with 60 requests, 20 at a time. Ends with exit code 0
// only if every answer was correct, no backend served two requests, and none was left over. Needs `npm run build`.

import { join } from "node:path";
import { Client } from "pg";
import { startWorkerdOnPostgres } from "../../../tests/integration/workers/workerd.mjs";

const requests = 60;
const atOnce = 20;

const entry = join(import.meta.dirname, "worker.mjs");
const { postgres, workerd, stop } = await startWorkerdOnPostgres({ workers: { shop: { entry } } });
try {
  const admin = new Client(postgres.options);
  await admin.connect();
  await admin.query("CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL)");
  await admin.query("CREATE TABLE orders (customer int NOT NULL, item text NOT NULL)");
  await admin.query("INSERT INTO customers SELECT id, 'customer ' || id FROM generate_series(1, $1) AS id", [requests]);
  await admin.query("INSERT INTO orders SELECT id, item FROM customers, unnest('{bread,tea}'::text[]) AS item");

  const answers = [];
  let next = 1;
  const client = async () => {
    for (let id = next++; id <= requests; id = next++) answers.push({ id, ...(await workerd.ask(`/?customer=${id}`)) });
  };
  const start = performance.now();
  await Promise.all(Array.from({ length: atOnce }, client));
  const ms = performance.now() - start;

  const right = answers.filter(
    ({ id, status, body }) => status === 200 && body.name === `customer ${id}` && body.orders.join() === "bread,tea",
  );
  const backends = new Set(right.map(({ body }) => body.backend));
  const left = await backendsLeft(admin);
  await admin.end();
  const wrong = answers.find((answer) => !right.includes(answer));
  const checks = [
    [
      `${right.length} of ${requests} requests were answered correctly, ${atOnce} at a time, in ${ms.toFixed(0)} ms`,
      right.length === requests,
    ],
    [`${backends.size} backends served them, each one request`, backends.size === requests],
    [`${left} backends were still open a moment later`, left === 0],
  ];
  for (const [text, holds] of checks) console.log(`${holds ? "ok    " : "FAILED"} ${text}`);
  if (wrong !== undefined) console.log(`a wrong answer: ${JSON.stringify(wrong)}`);
  process.exitCode = checks.every(([, holds]) => holds) ? 0 : 1;
} finally {
  await stop();
}

/** Returns the number of backends without the admin's, when there are none or after two seconds. */
async function backendsLeft(admin) {
  for (const end = Date.now() + 2000; ;) {
    const { rows } = await admin.query(
      "SELECT count(*)::int AS count FROM pg_stat_activity WHERE client_addr IS NOT NULL AND pid <> pg_backend_pid()",
    );
    if (rows[0].count === 0 || Date.now() > end) return rows[0].count;
  }
}
