// A server that is stopped or killed and started again, under a pool that is idle and under one that is busy.

import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { deaf, isDriversError, NullPool, onMariadb, PoolTimeoutError, until } from "../watched-mariadb.mjs";

await onMariadb((mariadb) => {
  const { test, pool: pooled, query, idOf, answers } = mariadb;
  const counts = (pool) => [pool.size(), pool.checkedIn(), pool.overflow(), pool.checkedOut()];

  test("a pool that pings works across a restart while it was idle, and never lends the old connection", async () => {
    const { pool } = pooled("pinging", { prePing: true, dialect: deaf });
    const before = await pool.use(async (connection) => ({ connection, id: await idOf(connection) }));
    await mariadb.halt();
    await mariadb.resume();
    await pool.use(async (connection) => {
      assert.notEqual(connection, before.connection);
      await answers(connection);
    });
    await mariadb.assertNothingLeaks(pool, "pinging");
    await pool.close();
  });

  test("a pool that listens to its driver works across a restart without a ping", async () => {
    const { pool, swallowed } = pooled("hearing");
    await pool.use(answers);
    await mariadb.halt();
    await until(() => pool.stats().total === 0, "the connection is dropped");
    await mariadb.resume();
    await pool.use(answers);
    assert.deepEqual(swallowed, []);
    await mariadb.assertNothingLeaks(pool, "hearing");
    await pool.close();
  });

  test("without either, connect() works after a restart, and the connection fails at its first use", async () => {
    const { pool } = pooled("failing-at-use", { dialect: deaf });
    await pool.use(answers);
    await mariadb.halt();
    await mariadb.resume();
    const lease = await pool.connect();
    await assert.rejects(answers(lease.connection), isDriversError);
    await lease.invalidate(undefined, { pool: true });
    await pool.use(answers);
    await mariadb.assertNothingLeaks(pool, "failing-at-use");
    await pool.close();
  });

  test("of a stopped server a pool that pings gives the creator's error, and keeps its counts", async () => {
    const { pool } = pooled("stopped", { prePing: true, dialect: deaf });
    await pool.use(answers);
    await mariadb.halt();
    for (let attempt = 0; attempt < 3; attempt++) {
      await assert.rejects(pool.connect(), { code: "ECONNREFUSED" });
      assert.deepEqual(counts(pool), [5, 1, -4, 0]);
    }
    await mariadb.resume();
    await pool.use(answers);
    await mariadb.assertNothingLeaks(pool, "stopped");
    await pool.close();
  });

  test("with openRetry callers wait out a restart", async () => {
    const { pool } = pooled("waiting", { poolSize: 2, maxOverflow: 0, openRetry: true, deadline: "20s" });
    await pool.use(answers);
    await mariadb.halt();
    const waiting = Array.from({ length: 10 }, () => pool.use(answers));
    await until(() => pool.stats().waiting + pool.stats().opening >= 10, "they wait");
    await mariadb.resume();
    await Promise.all(waiting);
    await mariadb.assertNothingLeaks(pool, "waiting");
    await pool.close();
  });

  test("a NullPool's connection dies with the server, and the next use opens another", async () => {
    const { pool } = pooled("null", {}, NullPool);
    await assert.rejects(
      pool.use(async (connection) => {
        await query(connection, "BEGIN");
        await mariadb.halt();
        await query(connection, "SELECT 1");
      }),
      isDriversError,
    );
    await mariadb.resume();
    await pool.use(answers);
    await mariadb.untilSessions("null", 0);
    await pool.close();
  });

  test("a server that crashes ends every session: leases fail, and the pool recovers with the server", async () => {
    const { pool, swallowed } = pooled("crashed", { poolSize: 3, maxOverflow: 0 });
    await pool.warm();
    const other = assert.rejects(
      pool.use((connection) => query(connection, "SELECT SLEEP(60)")),
      isDriversError,
    );
    await assert.rejects(
      pool.use(async (connection) => {
        await mariadb.halt("SIGKILL");
        await query(connection, "SELECT 1");
      }),
      isDriversError,
    );
    await other;
    await mariadb.resume();
    await Promise.all([1, 2, 3].map(() => pool.use((connection) => query(connection, "SELECT SLEEP(0.01)"))));
    assert.deepEqual(
      swallowed.filter(({ operation, error }) => operation !== "disconnect" || !isDriversError(error)),
      [],
    );
    await mariadb.assertNothingLeaks(pool, "crashed");
    await pool.close();
    await mariadb.untilSessions("crashed", 0);
  });

  /**
   * Looks at the server all the time, reconnects while it is down, and answers how many sessions of this name it had at
   * most.
   */
  async function sentry(name, isOver) {
    let most = 0;
    let looks = 0;
    while (!isOver()) {
      const count = await mariadb.sessions(name).then(
        ({ length }) => length,
        () => undefined,
      );
      if (count !== undefined) looks++;
      most = Math.max(most, count ?? 0);
      await delay(count === undefined ? 5 : 1);
    }
    return { most, looks };
  }

  test("twenty tasks through ten connections survive a restart, and fail only while it is down", async () => {
    const { pool, swallowed } = pooled("busy", {
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
          await pool.use((connection) => query(connection, "SELECT SLEEP(0.001)"));
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
      await mariadb.halt();
      const marks = tasks.map(({ errors }) => errors.length);
      await until(() => tasks.every(({ errors }, number) => errors.length > marks[number]), "all tasks fail");
      await mariadb.resume();
      await allSucceed("all tasks work again");
      const failed = tasks.flatMap(({ errors }) => errors).length;
      await allSucceed("all tasks go on");
      assert.equal(tasks.flatMap(({ errors }) => errors).length, failed, "once up, no task fails any more");
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
    assert.ok(looks > 10 && most > 0 && most <= 10, `${most} sessions at most, in ${looks} looks`);
    await mariadb.assertNothingLeaks(pool, "busy");
    await pool.close();
    await mariadb.untilSessions("busy", 0);
    assert.equal(pool.stats().total, 0);
  });
});
