// A server that is stopped and started again, under a pool that is idle and under one that is busy.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { NullPool, PoolTimeoutError } from "edgepool";
import { answers, deaf, isDriversError, pidOf, until, WatchedPostgres } from "./watched-postgres.mjs";

const server = new WatchedPostgres();

const counts = (pool) => [pool.size(), pool.checkedIn(), pool.overflow(), pool.checkedOut()];

test("a pool that pings works across a restart while it was idle, and never hands the old connection out", async () => {
  const { pool } = server.pool("pinging", { prePing: true, dialect: deaf });
  const before = await pool.use(async (client) => ({ client, pid: await pidOf(client) }));
  await server.halt();
  await server.resume();
  await pool.use(async (client) => {
    assert.notEqual(client, before.client);
    await answers(client);
  });
  await assert.rejects(before.client.query("SELECT 1"), isDriversError);
  await server.assertNothingLeaks(pool, "pinging");
  await pool.close();
});

test("a pool that listens to its driver works across a restart without a ping", async () => {
  const { pool, swallowed } = server.pool("hearing");
  await pool.use(answers);
  await server.halt();
  await until(() => pool.stats().total === 0, "the connection is dropped");
  await server.resume();
  await pool.use(answers);
  assert.deepEqual(swallowed, []);
  await server.assertNothingLeaks(pool, "hearing");
  await pool.close();
});

test("without either, connect() works after a restart, and the connection fails at its first use", async () => {
  const { pool } = server.pool("failing-at-use", { dialect: deaf });
  await pool.use(answers);
  await server.halt();
  await server.resume();
  const lease = await pool.connect();
  await assert.rejects(answers(lease.connection), isDriversError);
  await lease.invalidate(undefined, { pool: true });
  await pool.use(answers);
  await server.assertNothingLeaks(pool, "failing-at-use");
  await pool.close();
});

test("while the server is stopped, a pool that pings gives the creator's own error, and its counts stay", async () => {
  const { pool } = server.pool("stopped", { prePing: true, dialect: deaf });
  await pool.use(answers);
  await server.halt();
  for (let attempt = 0; attempt < 3; attempt++) {
    await assert.rejects(pool.connect(), { code: "ECONNREFUSED", syscall: "connect" });
    assert.deepEqual(counts(pool), [5, 1, -4, 0]);
  }
  await server.resume();
  await pool.use(answers);
  await server.assertNothingLeaks(pool, "stopped");
  await pool.close();
});

test("a NullPool's connection dies with the server, and the next use opens another", async () => {
  const { pool } = server.pool("null", {}, NullPool);
  await assert.rejects(
    pool.use(async (client) => {
      await client.query("BEGIN");
      await server.halt();
      await client.query("SELECT 1");
    }),
    isDriversError,
  );
  await server.resume();
  await pool.use(answers);
  await server.untilBackends("null", 0);
  await pool.close();
});

test("a backend that crashes ends every session: leases fail, and the pool recovers with the server", async () => {
  const { pool, swallowed } = server.pool("crashed", { poolSize: 3, maxOverflow: 0 });
  await pool.warm();
  const old = await server.backends("crashed");
  const other = assert.rejects(
    pool.use((client) => client.query("SELECT pg_sleep(60)")),
    isDriversError,
  );
  await assert.rejects(
    pool.use(async (client) => {
      await server.crash(client.processID);
      await client.query("SELECT 1");
    }),
    isDriversError,
  );
  await other;
  const pids = await Promise.all(
    [1, 2, 3].map(() => pool.use(async (client) => (await client.query("SELECT pg_sleep(0.01)"), pidOf(client)))),
  );
  assert.equal(
    pids.some((pid) => old.includes(pid)),
    false,
  );
  assert.deepEqual(
    swallowed.filter(({ operation, error }) => operation !== "disconnect" || !isDriversError(error)),
    [],
  );
  await server.assertNothingLeaks(pool, "crashed");
  await pool.close();
  await server.untilBackends("crashed", 0);
});

/**
 * Looks at the server all the time, reconnects while it is down, and answers how many backends of this name it had at
 * most.
 */
async function sentry(name, isOver) {
  let most = 0;
  let looks = 0;
  while (!isOver()) {
    const client = await server.connected({ application_name: "sentry" }).catch(() => undefined);
    client?.on("error", () => {});
    while (client !== undefined && !isOver()) {
      const answer = await client
        .query("SELECT count(*)::int AS count FROM pg_stat_activity WHERE application_name = $1", [name])
        .catch(() => undefined);
      if (answer === undefined) break;
      most = Math.max(most, answer.rows[0].count);
      looks++;
      await delay(1);
    }
    await client?.end().catch(() => {});
    if (!isOver()) await delay(5);
  }
  return { most, looks };
}

test("twenty tasks through ten connections survive a restart: they fail meanwhile and all succeed after", async () => {
  const { pool, swallowed } = server.pool("busy", {
    poolSize: 5,
    maxOverflow: 5,
    prePing: true,
    timeout: "2s",
    driverTimeout: "5s",
  });
  const tasks = Array.from({ length: 20 }, () => ({ done: 0, errors: [] }));
  let isOver = false;
  const watching = sentry("busy", () => isOver);

  async function work(task) {
    while (!isOver) {
      try {
        await pool.use((client) => client.query("SELECT pg_sleep(0.001)"));
        task.done++;
      } catch (error) {
        task.errors.push(error);
        // As callers do: the server is given a moment before it is asked again.
        await delay(5);
      }
    }
  }

  const working = Promise.all(tasks.map(work));
  const allSucceed = (what) => {
    const marks = tasks.map(({ done }) => done + 10);
    return until(() => tasks.every(({ done }, number) => done >= marks[number]), what);
  };
  try {
    await allSucceed("all tasks work");
    assert.deepEqual(
      tasks.flatMap(({ errors }) => errors),
      [],
    );
    await server.halt();
    const marks = tasks.map(({ errors }) => errors.length);
    await until(() => tasks.every(({ errors }, number) => errors.length > marks[number]), "all tasks fail");
    await server.resume();
    await allSucceed("all tasks work again");
    const failed = tasks.flatMap(({ errors }) => errors).length;
    await allSucceed("all tasks go on");
    assert.equal(tasks.flatMap(({ errors }) => errors).length, failed, "once up, nobody fails any more");
  } finally {
    isOver = true;
    await working;
  }

  const { most, looks } = await watching;
  const errors = tasks.flatMap((task) => task.errors);
  assert.deepEqual(
    errors.filter((error) => !isDriversError(error) && !(error instanceof PoolTimeoutError)),
    [],
  );
  assert.deepEqual(
    swallowed.filter(({ error }) => !isDriversError(error)),
    [],
  );
  assert.ok(errors.length >= 20);
  assert.ok(looks > 10 && most > 0 && most <= 10, `${most} backends at most, in ${looks} looks`);
  await server.assertNothingLeaks(pool, "busy");
  await pool.close();
  await server.untilBackends("busy", 0);
  assert.equal(pool.stats().total, 0);
});
