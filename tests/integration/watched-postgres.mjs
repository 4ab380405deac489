// @ts-check
// One embedded PostgreSQL for the tests of one file, and an observer of it: which backends there are, what the
// pools' clients were asked, and whether an error was handled nowhere.

import assert from "node:assert/strict";
import { after, afterEach, before } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { QueuePool } from "edgepool";
import { pg } from "edgepool/dialects/pg";
import { Client } from "pg";
import { startPostgres } from "../../scripts/postgres.mjs";

/** The dialect without the driver's own word that a connection died: the pool is deaf to it. */
export const { onDisconnect: _onDisconnect, ...deaf } = pg;

/** The dialect without the driver's word about transactions: every return is reset. */
export const { inTransaction: _inTransaction, ...unsure } = pg;

/** Asks until the answer is true, for ten seconds at most. */
export async function until(condition, what) {
  const end = Date.now() + 10_000;
  while (!(await condition())) {
    if (Date.now() > end) assert.fail(`not within ten seconds: ${what}`);
    await delay(5);
  }
}

/** The next `count` firings of an event of a pool. */
export function heard(pool, event, count = 1) {
  let fired = 0;
  pool.on(event, () => void fired++);
  return until(() => fired >= count, `${count} of the event ${event}`);
}

/** Whether an error is what a pg client, its socket or the server says of a session that ended or could not begin. */
export function isDriversError(error) {
  if (error.severity === "FATAL" || /^57P0[1-5]$/.test(error.code)) return true;
  if (["ECONNREFUSED", "ECONNRESET", "EPIPE"].includes(error.code)) return true;
  return /^(Connection terminated|Client has encountered a connection error|Client was closed)/.test(error.message);
}

export class WatchedPostgres {
  #postgres;
  #admin;
  #pools = [];
  #unheard = [];

  /**
   * For the tests of this file, from its first to its last; `schema` is what they find there. `log` receives the
   * server's own lines.
   */
  constructor(schema = "", { log = (_lines) => {} } = {}) {
    const hear = (error) => void this.#unheard.push(error);
    before(async () => {
      process.on("uncaughtExceptionMonitor", hear);
      this.#postgres = await startPostgres({ log });
      await this.#watch();
      await this.run(schema);
    });
    // Those of a test that failed: they must not fail the next one.
    afterEach(async () => {
      await Promise.all(this.#pools.splice(0).map((pool) => pool.close({ timeout: "1ms" })));
    });
    after(async () => {
      await this.#admin.end();
      await this.#postgres.stop();
      process.off("uncaughtExceptionMonitor", hear);
      assert.deepEqual(this.#unheard, [], "an error got past everybody: it would have ended the process");
    });
  }

  async #watch() {
    this.#admin = await this.connected({ application_name: "admin" });
    this.#admin.on("error", () => {});
  }

  /** How its clients reach it. */
  get options() {
    return this.#postgres.options;
  }

  async connected(options = {}) {
    const client = new Client({ ...this.#postgres.options, ...options });
    await client.connect();
    return client;
  }

  /** Shuts the server down under its clients. */
  async halt() {
    await this.#postgres.halt();
  }

  /** Lets it end when its clients have left, those of the pools: the observer leaves at once. */
  async retire() {
    await this.#admin.end();
    await this.#postgres.retire();
  }

  /** Starts it again, on the same port and data. */
  async resume() {
    await this.#postgres.resume();
    await this.#watch();
  }

  /** One backend is killed as no server expects it: the server ends every session and recovers. */
  async crash(pid) {
    process.kill(pid, "SIGKILL");
    // Whatever it says until then, it is not up before it takes connections again after having refused this one.
    await until(
      () =>
        this.#admin.query("SELECT 1").then(
          () => false,
          () => true,
        ),
      "the server has noticed",
    );
    await until(
      () =>
        this.#watch().then(
          () => true,
          () => false,
        ),
      "the server has recovered",
    );
  }

  /** Runs a statement beside all pools. */
  async run(text, parameters) {
    const { rows } = await this.#admin.query(text, parameters);
    return rows;
  }

  /**
   * A pool whose backends bear its name; with every statement that its clients were given, every error that it
   * swallowed, every warning that it logged, and how many creators ran at once.
   */
  pool(name, options = {}, Kind = QueuePool) {
    const statements = [];
    const swallowed = [];
    const logged = [];
    const creators = { now: 0, most: 0 };
    const creator = async () => {
      const client = new Client({ ...this.#postgres.options, application_name: name, ...options.client });
      // A server that ends the session at once is reported before the pool can listen; a deaf pool never listens.
      const startled = () => {};
      client.on("error", startled);
      creators.most = Math.max(creators.most, ++creators.now);
      await client.connect().finally(() => creators.now--);
      if (options.dialect?.onDisconnect !== undefined || options.dialect === undefined)
        setImmediate(() => client.off("error", startled));
      const query = client.query.bind(client);
      client.query = (text, ...rest) => (statements.push(text), query(text, ...rest));
      options.prepare?.(client);
      return client;
    };
    const log = (message) => void logged.push(message);
    const { client: _client, prepare: _prepare, ...given } = options;
    const pool = new Kind(creator, {
      dialect: pg,
      loggingName: name,
      logger: { debug() {}, info() {}, warn: log, error: log },
      ...given,
    });
    this.#pools.push(pool);
    pool.on("error", (error, { operation }) => void swallowed.push({ operation, error }));
    return { pool, statements, swallowed, logged, creators };
  }

  /** The process ids of the backends of the pool of this name. */
  async backends(name) {
    const rows = await this.run("SELECT pid FROM pg_stat_activity WHERE application_name = $1 ORDER BY pid", [name]);
    return rows.map(({ pid }) => pid);
  }

  /** The server ends backends in its own time. */
  untilBackends(name, count) {
    return until(async () => (await this.backends(name)).length === count, `${count} backends of ${name}`);
  }

  /** Kills backends, and waits until the server has. */
  async kill(...pids) {
    await this.run("SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) AS pid", [pids]);
    await until(
      async () => (await this.run("SELECT 1 FROM pg_stat_activity WHERE pid = ANY($1::int[])", [pids])).length === 0,
      `the end of ${pids}`,
    );
  }

  /** No slot without a backend, no backend without a slot, and no caller that waits or holds one. */
  async assertNothingLeaks(pool, name) {
    // An opening goes on after its caller was served by a connection that came back.
    await until(() => pool.stats().opening === 0, "no opening is under way");
    // What was terminated is closed in its own time.
    await until(() => pool.stats().closing === 0, "nothing is being closed any more");
    const { used, opening, waiting, idle, total, leaked, detached } = pool.stats();
    assert.deepEqual(
      { used, opening, waiting, leaked, detached, busy: total - idle },
      { used: 0, opening: 0, waiting: 0, leaked: 0, detached: 0, busy: 0 },
    );
    await this.untilBackends(name, total);
  }
}

/** The process id of a client's backend, as the server has it. */
export async function pidOf(client) {
  const { rows } = await client.query("SELECT pg_backend_pid() AS pid");
  return rows[0].pid;
}

/** A statement that every client can answer, in every state but a failed transaction. */
export async function answers(client) {
  const { rows } = await client.query("SELECT 7 AS seven");
  assert.equal(rows[0].seven, 7);
}
