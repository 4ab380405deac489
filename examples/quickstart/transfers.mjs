// Runs 1,000 transfers between accounts by 100 concurrent tasks, through a pool of 5 + 10 pg clients. One in ten is
// aborted on purpose. Proves that no money was lost and that no open transaction reached another task.

import { QueuePool } from "edgepool";
import { clients } from "edgepool/pg";
import { Client } from "pg";

const transfers = 1000;
const tasks = 100;
const accounts = 50;
const startingBalance = 1000;

class AbortedOnPurpose extends Error {}

/** Runs the transfers on the PostgreSQL at `options`, prints the checks, and returns whether all of them hold. */
export async function runTransfers(options, print = console.log) {
  const admin = await connected(options);
  await admin.query("CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL CHECK (balance >= 0))");
  await admin.query("INSERT INTO accounts SELECT id, $1 FROM generate_series(0, $2) AS id", [
    startingBalance,
    accounts - 1,
  ]);

  const pool = new QueuePool(clients({ ...options, application_name: "quickstart" }), {
    poolSize: 5,
    maxOverflow: 10,
    timeout: "30s",
    loggingName: "transfers",
  });

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
      `${tally.done} transfers committed, ${tally.aborted} aborted on purpose ` +
        `(${tally.leftOpen} in an open transaction)`,
      tally.done + tally.aborted === transfers && tally.aborted === transfers / 10 && tally.leftOpen > 0,
    ],
    [
      `the accounts hold ${rows[0].total}, as at the beginning`,
      rows[0].total === expected && rows[0].accounts === accounts,
    ],
    [`${tally.inherited} tasks received a connection with an open transaction`, tally.inherited === 0],
    [
      `PostgreSQL saw at most ${mostBackends} connections of the pool at a time, and ${stats.opened} in total`,
      mostBackends <= 15 && mostBackends > 0,
    ],
    [
      `${stats.checkouts} checkouts, ${stats.opened} openings, ${stats.used} leases still out`,
      stats.checkouts === transfers && stats.opened > 0 && stats.used === 0,
    ],
    [`${backendsAfter} connections are open after close()`, backendsAfter === 0],
  ];
  print(`\n${status}`);
  print(`stats: ${JSON.stringify(stats)}`);
  print(`time through the pool: ${pooledMs.toFixed(0)} ms`);
  print(`time with one client per transfer, 15 at a time: ${singleMs.toFixed(0)} ms`);
  print(`ratio: ${(singleMs / pooledMs).toFixed(1)}\n`);
  for (const [text, holds] of checks) print(`${holds ? "ok    " : "FAILED"} ${text}`);
  return checks.every(([, holds]) => holds);
}

/** Runs `concurrency` tasks, which share the numbers 0 to `transfers` - 1. */
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
  // The server shows it: in an inherited transaction the start is before the task's own statement.
  const { rows } = await client.query(
    "SELECT pg_current_xact_id_if_assigned() IS NOT NULL OR now() <> statement_timestamp() AS inherited",
  );
  if (rows[0].inherited) tally.inherited++;

  const from = number % accounts;
  const to = (number * 7 + 1) % accounts;
  await client.query("BEGIN");
  // Locks accounts in the order of their ids, so that two transfers never deadlock.
  for (const id of [from, to].sort((a, b) => a - b))
    await client.query("SELECT balance FROM accounts WHERE id = $1 FOR UPDATE", [id]);
  await client.query("UPDATE accounts SET balance = balance - 1 WHERE id = $1", [from]);
  if (number % 10 === 3) {
    tally.aborted++;
    if (number % 20 === 3) {
      tally.leftOpen++;
      throw new AbortedOnPurpose("left with an open transaction: the pool rolls it back");
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
  client.on("error", () => {});
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
