// The main job: 1,000 transfers between accounts by 100 concurrent tasks, through a pool of 5 + 10 pg clients, one in
// ten aborted on purpose. Proves that no money was lost and that no open transaction reached another task.

import { QueuePool } from "edgepool";
import { pg } from "edgepool/dialects/pg";
import { Client } from "pg";

const transfers = 1000;
const tasks = 100;
const accounts = 50;
const startingBalance = 1000;

class AbortedOnPurpose extends Error {}

/** Runs the job on the PostgreSQL at `options`; answers whether everything held, having said so on `print`. */
export async function runTransfers(options, print = console.log) {
  const admin = await connected(options);
  await admin.query("CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL CHECK (balance >= 0))");
  await admin.query("INSERT INTO accounts SELECT id, $1 FROM generate_series(0, $2) AS id", [
    startingBalance,
    accounts - 1,
  ]);

  let connectionsOpened = 0;
  const pool = new QueuePool(
    async () => {
      connectionsOpened++;
      return connected({ ...options, application_name: "quickstart" });
    },
    { poolSize: 5, maxOverflow: 10, timeout: "30s", dialect: pg, loggingName: "transfers" },
  );

  let mostBackends = 0;
  let isWatching = true;
  const watch = (async () => {
    while (isWatching) {
      mostBackends = Math.max(mostBackends, await countBackends(admin));
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  })();

  const tally = { done: 0, aborted: 0, leftOpen: 0, inherited: 0 };
  const pooledMs = await timed(() => runTasks((number) => pool.use((client) => transfer(client, number, tally))));
  const stats = pool.stats();
  const status = pool.status();
  isWatching = false;
  await watch;
  await pool.close();

  const alone = { done: 0, aborted: 0, leftOpen: 0, inherited: 0 };
  const singleMs = await timed(() =>
    runTasks(async (number) => {
      const client = await connected(options);
      try {
        await transfer(client, number, alone);
      } finally {
        await client.end();
      }
    }, 15),
  );

  const { rows } = await admin.query("SELECT sum(balance)::int AS total, count(*)::int AS accounts FROM accounts");
  const backendsAfter = await countBackends(admin);
  await admin.end();

  const expected = accounts * startingBalance;
  const checks = [
    [
      `${tally.done} transfers committed and ${tally.aborted} aborted on purpose ` +
        `(${tally.leftOpen} of them with the transaction left open)`,
      tally.done + tally.aborted === transfers && tally.aborted === transfers / 10 && tally.leftOpen > 0,
    ],
    [
      `the accounts hold ${rows[0].total}, as in the beginning`,
      rows[0].total === expected && rows[0].accounts === accounts,
    ],
    [`${tally.inherited} tasks received a connection with an open transaction`, tally.inherited === 0],
    [
      `PostgreSQL saw at most ${mostBackends} connections of the pool at once, of ${connectionsOpened} opened in all`,
      mostBackends <= 15 && mostBackends > 0,
    ],
    [
      `${stats.checkouts} checkouts, ${stats.opened} openings, ${stats.used} leases still out`,
      stats.checkouts === transfers && stats.opened === connectionsOpened && stats.used === 0,
    ],
    [`${backendsAfter} connections are open after close()`, backendsAfter === 0],
  ];
  print(`\n${status}`);
  print(`stats: ${JSON.stringify(stats)}`);
  print(
    `time: ${pooledMs.toFixed(0)} ms through the pool, ` +
      `${singleMs.toFixed(0)} ms with one client per transfer (15 at once): ` +
      `${(singleMs / pooledMs).toFixed(1)} times as fast\n`,
  );
  for (const [text, holds] of checks) print(`${holds ? "ok    " : "FAILED"} ${text}`);
  return checks.every(([, holds]) => holds);
}

/** `tasks` at once share the numbers 0 to `transfers` - 1. */
async function runTasks(run, concurrency = tasks) {
  let next = 0;
  const task = async () => {
    while (next < transfers) {
      try {
        await run(next++);
      } catch (error) {
        if (!(error instanceof AbortedOnPurpose)) throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: concurrency }, task));
}

async function transfer(client, number, tally) {
  // The server's own word: a task that inherits an open transaction sees a start that lies before its own statement.
  const { rows } = await client.query(
    "SELECT pg_current_xact_id_if_assigned() IS NOT NULL OR now() <> statement_timestamp() AS inherited",
  );
  if (rows[0].inherited) tally.inherited++;

  const from = number % accounts;
  const to = (number * 7 + 1) % accounts;
  await client.query("BEGIN");
  // In the order of their ids, so that two transfers never wait for each other in a circle.
  for (const id of [from, to].sort((a, b) => a - b))
    await client.query("SELECT balance FROM accounts WHERE id = $1 FOR UPDATE", [id]);
  await client.query("UPDATE accounts SET balance = balance - 1 WHERE id = $1", [from]);
  if (number % 10 === 3) {
    tally.aborted++;
    if (number % 20 === 3) {
      tally.leftOpen++;
      throw new AbortedOnPurpose("left with the transaction open: the pool rolls it back");
    }
    await client.query("ROLLBACK");
    throw new AbortedOnPurpose("rolled back by the task itself");
  }
  await client.query("UPDATE accounts SET balance = balance + 1 WHERE id = $1", [to]);
  await client.query("COMMIT");
  tally.done++;
}

async function connected(options) {
  const client = new Client({ ...options, connectionTimeoutMillis: 10_000 });
  client.on("error", () => {}); // until the pool listens
  await client.connect();
  return client;
}

async function countBackends(admin) {
  const { rows } = await admin.query(
    "SELECT count(*)::int AS count FROM pg_stat_activity WHERE application_name = 'quickstart'",
  );
  return rows[0].count;
}

async function timed(run) {
  const start = performance.now();
  await run();
  return performance.now() - start;
}
