// Backends that the server kills: while they are idle, in use, being opened and on their way back.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { QueuePool } from "edgepool";
import { pg } from "edgepool/dialects/pg";
import { startProxy } from "./postgres-proxy.mjs";
import { answers, deaf, heard, isDriversError, pidOf, until, WatchedPostgres } from "./watched-postgres.mjs";

const server = new WatchedPostgres();

// ---- while idle

test("backends that are killed while idle are dropped quietly, and the next callers have live ones", async () => {
  const { pool, swallowed, logged } = server.pool("idle", { poolSize: 3, maxOverflow: 0 });
  await pool.warm();
  const killed = await server.backends("idle");
  const dropped = heard(pool, "invalidate", 3);
  await server.kill(...killed);
  await dropped;
  await until(() => pool.stats().total === 0, "every slot is free");
  assert.equal(pool.stats().invalidated, 3);

  const leases = await Promise.all([pool.connect(), pool.connect(), pool.connect()]);
  const pids = await Promise.all(leases.map(({ connection }) => pidOf(connection)));
  assert.equal(
    pids.some((pid) => killed.includes(pid)),
    false,
  );
  await Promise.all(leases.map((lease) => lease.close()));
  assert.deepEqual(swallowed, []);
  assert.deepEqual(logged, []);
  await server.assertNothingLeaks(pool, "idle");
  await pool.close();
});

test("one backend that is killed while idle costs the others nothing", async () => {
  const { pool } = server.pool("one-of-three", { poolSize: 3, maxOverflow: 0 });
  await pool.warm();
  const [killed, ...kept] = await server.backends("one-of-three");
  const dropped = heard(pool, "invalidate");
  await server.kill(killed);
  await dropped;
  await Promise.all([1, 2, 3].map(() => pool.use(answers)));
  await until(() => pool.stats().opened === 4, "the third is open");
  const now = await server.backends("one-of-three");
  assert.deepEqual(
    kept.filter((pid) => now.includes(pid)),
    kept,
  );
  await server.assertNothingLeaks(pool, "one-of-three");
  await pool.close();
});

test("without the driver's event one ping finds the death, and every connection as old is replaced", async () => {
  const { pool, statements } = server.pool("pinged", { poolSize: 3, maxOverflow: 0, dialect: deaf, prePing: true });
  await pool.warm();
  await server.kill(...(await server.backends("pinged")));

  const leases = [await pool.connect(), await pool.connect(), await pool.connect()];
  assert.deepEqual(statements, ["SELECT 1"]);
  for (const { connection } of leases) await answers(connection);
  await Promise.all(leases.map((lease) => lease.close()));
  assert.equal(pool.stats().invalidated, 1);
  assert.equal(pool.stats().recycled, 2);
  await server.assertNothingLeaks(pool, "pinged");
  await pool.close();
});

test("three callers that ping three dead backends at once are all given live ones", async () => {
  const { pool } = server.pool("pinged-at-once", { poolSize: 3, maxOverflow: 0, dialect: deaf, prePing: true });
  await pool.warm();
  await server.kill(...(await server.backends("pinged-at-once")));
  await Promise.all([1, 2, 3, 4, 5, 6].map(() => pool.use(answers)));
  await until(() => pool.stats().opened === 6, "all are replaced");
  await server.assertNothingLeaks(pool, "pinged-at-once");
  await pool.close();
});

test("prePing replaces what was cut silently, also with a query_timeout below pingTimeout", async () => {
  for (const client of [{}, { query_timeout: 150 }]) {
    const proxy = await startProxy(() => server.options.port);
    const { pool } = server.pool("cut", {
      poolSize: 3,
      maxOverflow: 0,
      prePing: true,
      pingTimeout: "500ms",
      client: { port: proxy.port, ...client },
    });
    try {
      await pool.warm();
      proxy.silence();
      for (let caller = 0; caller < 4; caller++) await pool.use(answers);
      assert.ok(pool.stats().opened >= 4);
    } finally {
      await pool.close({ timeout: "1ms" });
      await proxy.close();
    }
  }
});

test("without the driver's event, use() fails once, and a ping finds every other death", async () => {
  const { pool, swallowed } = server.pool("fails-once", { poolSize: 3, maxOverflow: 0, dialect: deaf });
  await pool.warm();
  const killed = await server.backends("fails-once");
  await server.kill(...killed);
  await assert.rejects(pool.use(answers), (error) => isDriversError(error) && pg.isDisconnect(error, {}));
  assert.equal(pool.stats().invalidated, 1);

  const leases = [await pool.connect(), await pool.connect(), await pool.connect()];
  for (const { connection } of leases) assert.equal(killed.includes(await pidOf(connection)), false);
  await Promise.all(leases.map((lease) => lease.close()));
  const { opened, recycled, invalidated } = pool.stats();
  assert.deepEqual({ opened, recycled, invalidated }, { opened: 6, recycled: 0, invalidated: 3 });
  assert.deepEqual(swallowed, []);
  await server.assertNothingLeaks(pool, "fails-once");
  await pool.close();
});

test("without a ping, use() fails once and replaces every connection as old", async () => {
  const dialect = { ...deaf, doPing: undefined };
  const { pool } = server.pool("replaces-all", { poolSize: 3, maxOverflow: 0, dialect });
  await pool.warm();
  await server.kill(...(await server.backends("replaces-all")));
  await assert.rejects(pool.use(answers), isDriversError);
  await Promise.all([1, 2, 3].map(() => pool.use(answers)));
  const { recycled, invalidated } = pool.stats();
  assert.equal(invalidated, 1);
  assert.ok(recycled > 0);
  await server.assertNothingLeaks(pool, "replaces-all");
  await pool.close();
});

// ---- what concerns one connection

test("the end of one session, and a server that only reads, replace that connection alone", async () => {
  const losses = {
    "25P03": async (client) => {
      await client.query("SET idle_in_transaction_session_timeout = 50; BEGIN");
      await delay(200);
      await answers(client);
    },
    "57P05": async (client) => {
      await client.query("SET idle_session_timeout = 50");
      await delay(200);
      await answers(client);
    },
    25006: async (client) => {
      await client.query("SET default_transaction_read_only = on");
      await client.query("CREATE TABLE read_only (id int)");
    },
    "ended by its caller": async (client) => {
      await client.end();
      await answers(client);
    },
  };
  for (const [loss, work] of Object.entries(losses)) {
    const { pool } = server.pool("alone", { poolSize: 3, maxOverflow: 0, driverTimeout: "2s" });
    await pool.warm();
    await assert.rejects(pool.use(work));
    await Promise.all([1, 2, 3].map(() => pool.use((client) => client.query("SELECT pg_sleep(0.01)"))));
    await until(() => pool.stats().opened === 4, `${loss}: one is replaced`);
    const { opened, invalidated } = pool.stats();
    assert.deepEqual([opened, invalidated], [4, 1], loss);
    await pool.close();
  }
});

test("a FATAL error of another connection costs nothing", async () => {
  const { pool } = server.pool("foreign", { poolSize: 2, maxOverflow: 0 });
  await pool.warm();
  await assert.rejects(
    pool.use(async (client) => {
      await answers(client);
      await server.connected({ database: "nowhere" });
    }),
    { code: "3D000", severity: "FATAL" },
  );
  await Promise.all([1, 2].map(() => pool.use(answers)));
  assert.deepEqual([pool.stats().opened, pool.stats().invalidated], [2, 0]);
  await pool.close();
});

// ---- in use

test("a backend that is killed under a query fails its own caller with the server's error", async () => {
  const { pool } = server.pool("under-a-query", { poolSize: 2, maxOverflow: 0 });
  const other = await pool.connect();
  const pid = await pidOf(other.connection);
  const failing = pool.use((client) => client.query("SELECT pg_sleep(60)"));
  const running = "SELECT pid FROM pg_stat_activity WHERE application_name = 'under-a-query' AND state = 'active'";
  await until(async () => (await server.run(running)).length === 1, "the query runs");
  const [{ pid: killed }] = await server.run(running);
  const failed = assert.rejects(failing, { code: "57P01", severity: "FATAL" });
  await server.kill(killed);
  await failed;

  assert.equal(await pidOf(other.connection), pid);
  await other.close();
  assert.equal(pool.stats().invalidated, 1);
  await pool.use(answers);
  await server.assertNothingLeaks(pool, "under-a-query");
  await pool.close();
});

test("a backend that is killed between two queries of a transaction fails the next query", async () => {
  await server.run("CREATE TABLE between_two (id int)");
  const { pool, swallowed } = server.pool("between-two", { poolSize: 1, maxOverflow: 0 });
  await assert.rejects(
    pool.use(async (client) => {
      await client.query("BEGIN");
      await client.query("INSERT INTO between_two VALUES (1)");
      const reported = heard(pool, "error");
      await server.kill(await pidOf(client));
      await reported;
      await client.query("COMMIT");
    }),
    isDriversError,
  );
  assert.deepEqual(
    swallowed.map(({ operation }) => operation),
    ["disconnect"],
  );
  assert.ok(isDriversError(swallowed[0].error));
  assert.deepEqual(await server.run("SELECT * FROM between_two"), []);
  await pool.use(answers);
  assert.equal(pool.stats().opened, 2);
  await server.assertNothingLeaks(pool, "between-two");
  await pool.close();
});

test("a lease whose backend was killed unnoticed is returned, and the next caller has a live one", async () => {
  const { pool } = server.pool("unnoticed", { poolSize: 1, maxOverflow: 0 });
  const lease = await pool.connect();
  const next = pool.connect();
  await lease.connection.query("BEGIN");
  const reported = heard(pool, "error");
  await server.kill(await pidOf(lease.connection));
  await reported;
  await lease.close();
  await answers((await next).connection);
  await (await next).close();
  await server.assertNothingLeaks(pool, "unnoticed");
  await pool.close();
});

test("in a transaction and without the driver's event: no rollback, and the next caller has a new one", async () => {
  const { pool, swallowed } = server.pool("unheard", { poolSize: 1, maxOverflow: 0, dialect: deaf });
  const lease = await pool.connect();
  const next = pool.connect();
  await lease.connection.query("BEGIN");
  await server.kill(await pidOf(lease.connection));
  await lease.close();
  await answers((await next).connection);
  await (await next).close();
  assert.deepEqual(
    swallowed.map(({ operation }) => operation),
    ["reset"],
  );
  await server.assertNothingLeaks(pool, "unheard");
  await pool.close();
});

test("a detached connection whose backend is killed fails its caller's next query, and nothing else", async () => {
  const { pool, swallowed } = server.pool("detached", { poolSize: 1, maxOverflow: 0 });
  const lease = await pool.connect();
  await lease.detach();
  await server.kill(await pidOf(lease.connection));
  await assert.rejects(answers(lease.connection), isDriversError);
  await pool.use(answers);
  await lease.close();
  assert.deepEqual(swallowed, []);
  assert.equal(pool.stats().invalidated, 0);
  await server.assertNothingLeaks(pool, "detached");
  await pool.close();
});

/** Kills the backends of this name as soon as so many of them sleep. */
async function killSleepers(name, count) {
  const sleepers = () =>
    server.run("SELECT pid FROM pg_stat_activity WHERE application_name = $1 AND wait_event = 'PgSleep'", [name]);
  await until(async () => (await sleepers()).length === count, `${count} sleep`);
  await server.kill(...(await server.backends(name)));
}

test("callers that wait in the queue are served in their order when the backend before them is killed", async () => {
  const { pool } = server.pool("queue", { poolSize: 1, maxOverflow: 0 });
  const holder = assert.rejects(
    pool.use((client) => client.query("SELECT pg_sleep(60)")),
    { code: "57P01" },
  );
  const served = [];
  const waiters = Array.from({ length: 8 }, (_, number) =>
    pool.use(async (client) => {
      served.push(number);
      await answers(client);
    }),
  );
  assert.equal(pool.stats().waiting, 8);
  await killSleepers("queue", 1);
  await Promise.all([holder, ...waiters]);
  assert.deepEqual(served, [0, 1, 2, 3, 4, 5, 6, 7]);
  assert.equal(pool.stats().invalidated, 1);
  await server.assertNothingLeaks(pool, "queue");
  await pool.close();
});

test("when every backend is killed at once, no waiter fails, however many there are", async () => {
  const { pool } = server.pool("queue-of-many", { poolSize: 2, maxOverflow: 1 });
  const holders = [1, 2, 3].map(() =>
    assert.rejects(
      pool.use((client) => client.query("SELECT pg_sleep(60)")),
      { code: "57P01" },
    ),
  );
  const waiters = Array.from({ length: 50 }, () => pool.use(answers));
  assert.equal(pool.stats().waiting, 50);
  await killSleepers("queue-of-many", 3);
  await Promise.all([...holders, ...waiters]);
  assert.equal(pool.stats().invalidated, 3);
  await server.assertNothingLeaks(pool, "queue-of-many");
  await pool.close();
});

// ---- being opened, and on the way back

test("a session that has ended before the pool has its client is replaced for its caller", async () => {
  let opened = 0;
  class Kind extends QueuePool {
    constructor(creator, options) {
      const open = async () => {
        const client = await creator();
        client.on("error", () => {});
        if (++opened > 1) return client;
        client.connection.stream.destroy();
        await new Promise((resolve) => client.once("end", resolve));
        return client;
      };
      super(open, options);
    }
  }
  const { pool, logged } = server.pool("stillborn", { poolSize: 1, maxOverflow: 0 }, Kind);
  await pool.use(answers);
  assert.equal(opened, 2);
  assert.deepEqual(logged, []);
  await server.assertNothingLeaks(pool, "stillborn");
  await pool.close();
});

test("a backend that is killed while a connect listener uses it fails that caller, and the slot is back", async () => {
  const { pool } = server.pool("opening", { poolSize: 1, maxOverflow: 0 });
  pool.on(
    "connect",
    async (client) => {
      const pid = await pidOf(client);
      await Promise.all([client.query("SELECT pg_sleep(60)"), server.kill(pid)]);
    },
    { once: true },
  );
  const failing = pool.use(answers);
  const waiting = pool.use(answers);
  await assert.rejects(failing, { code: "57P01" });
  await waiting;
  await server.assertNothingLeaks(pool, "opening");
  await pool.close();
});

test("a backend that is killed under its ROLLBACK costs no caller an error: the pool opens another", async () => {
  const { pool, statements, swallowed } = server.pool("on-the-way-back", {
    poolSize: 1,
    maxOverflow: 0,
    dialect: deaf,
  });
  pool.on("reset", async (client) => server.kill(client.processID), { once: true });
  await pool.use((client) => client.query("BEGIN"));
  await pool.use(answers);
  assert.deepEqual(statements, ["BEGIN", "ROLLBACK", "SELECT 7 AS seven"]);
  assert.deepEqual(
    swallowed.map(({ operation }) => operation),
    ["reset"],
  );
  assert.ok(isDriversError(swallowed[0].error));
  await server.assertNothingLeaks(pool, "on-the-way-back");
  await pool.close();
});

test("a pool whose backends were all killed closes in peace", async () => {
  const { pool, swallowed } = server.pool("closing", { poolSize: 3, maxOverflow: 0, dialect: deaf });
  await pool.warm();
  const lease = await pool.connect();
  await server.kill(...(await server.backends("closing")));
  const closed = pool.close();
  await lease.close();
  await closed;
  assert.deepEqual(swallowed, []);
  await server.untilBackends("closing", 0);
});

// ---- all at once

test("twenty tasks under fifty kills lose no money, no slot and no backend", async () => {
  await server.run("CREATE TABLE accounts AS SELECT id, 1000 AS balance FROM generate_series(0, 9) AS id");
  const { pool, swallowed } = server.pool("storm", { poolSize: 3, maxOverflow: 2, timeout: "20s" });
  let kills = 0;
  let isOver = false;
  let transfers = 0;
  const errors = [];

  async function transfer(from, to) {
    await pool.use(async (client) => {
      await client.query("BEGIN");
      await client.query("UPDATE accounts SET balance = balance - 1 WHERE id = $1", [Math.min(from, to)]);
      await client.query("UPDATE accounts SET balance = balance + 1 WHERE id = $1", [Math.max(from, to)]);
      await client.query("COMMIT");
    });
    transfers++;
  }

  async function task(number) {
    for (let round = 1; !isOver || round < 20; round++) {
      try {
        await transfer((number + round) % 10, (number + 3 * round + 1) % 10);
      } catch (error) {
        errors.push(error);
        // As callers do; and were every caller refused at once, nothing else would have a turn.
        await delay(1);
      }
    }
  }

  async function assassin() {
    for (; kills < 50; kills++) {
      await until(async () => (await server.backends("storm")).length > 0, "a backend");
      await server.run(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE application_name = 'storm' ORDER BY random() LIMIT 1`,
      );
    }
  }

  await Promise.all([
    assassin().finally(() => (isOver = true)),
    ...Array.from({ length: 20 }, (_, number) => task(number)),
  ]);
  assert.deepEqual(
    errors.filter((error) => !isDriversError(error)),
    [],
  );
  assert.deepEqual(
    swallowed.filter(({ error }) => !isDriversError(error)),
    [],
  );
  assert.ok(errors.length <= 50, `${errors.length} errors of 50 kills`);
  assert.ok(transfers >= 20 * 19 - 50);
  assert.deepEqual(await server.run("SELECT sum(balance)::int AS sum FROM accounts"), [{ sum: 10_000 }]);
  await Promise.all([1, 2, 3, 4, 5].map(() => pool.use(answers)));
  await server.assertNothingLeaks(pool, "storm");
  await pool.close();
  await server.untilBackends("storm", 0);
});
