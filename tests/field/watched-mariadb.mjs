// @ts-check
// One MariaDB for the tests of one file, and an observer of it: which sessions there are, what the pools' connections
// were asked, and whether an error was handled nowhere. Each test runs with every flavour of mysql2.

import assert from "node:assert/strict";
import { after, afterEach, test } from "node:test";
import { promisify } from "node:util";
import { QueuePool } from "edgepool";
import { mysql2 } from "edgepool/dialects/mysql2";
import callbacks from "mysql2";
import promises from "mysql2/promise";
import { until } from "../integration/watched-postgres.mjs";
import { startMariadb } from "./mariadb.mjs";

// A suite has a package.json of its own, so that its tests cannot import the package by its name.
export * from "edgepool";
export { heard, until } from "../integration/watched-postgres.mjs";
export { mysql2 };

/** The dialect without the driver's own report that a connection died: the pool is deaf to it. */
export const deaf = { ...mysql2, onDisconnect: (connection) => mysql2.onDisconnect?.(connection, () => {}) };

/** The dialect without the state of the transaction: every return is reset. */
export const { inTransaction: _inTransaction, ...unsure } = mysql2;

/**
 * @typedef {object} Style
 * @property {(options: any) => Promise<any>} open
 * @property {(connection: any) => any} core
 * @property {(connection: any, method: string, ...given: any[]) => Promise<any>} call
 */

/** @type {Style} */
const withPromises = {
  open: (options) => promises.createConnection(options),
  core: (connection) => connection.connection,
  /** Calls a method of the connection, and answers what it calls back with. */
  call: async (connection, method, ...given) => (await connection[method](...given))?.[0],
};

/** @type {Style} */
const withCallbacks = {
  open: (options) =>
    new Promise((resolve, reject) => {
      const connection = callbacks.createConnection(options);
      connection.connect((error) => (error ? reject(error) : resolve(connection)));
    }),
  core: (connection) => connection,
  call: (connection, method, ...given) =>
    promisify((done) => connection[method](...given, (error, answer) => done(error, answer)))(),
};

/**
 * How programs use mysql2. `more`: options of the connection.
 *
 * @type {Record<string, Style & { more: (ca?: string) => object }>}
 */
const flavours = {
  promises: { ...withPromises, more: () => ({}) },
  callbacks: { ...withCallbacks, more: () => ({}) },
  TLS: { ...withPromises, more: (ca) => ({ ssl: { ca } }) },
  compression: { ...withCallbacks, more: () => ({ compress: true }) },
};

/** Whether an error is what mysql2, its socket or the server says of a session that ended or could not begin. */
export function isDriversError(error) {
  if (error.fatal === true || [1053, 1080, 1152, 1184, 1927].includes(error.errno)) return true;
  return ["ECONNREFUSED", "ECONNRESET", "EPIPE", "PROTOCOL_CONNECTION_LOST"].includes(error.code);
}

/** What a lost session does to its statement. The server sends no packet; its socket ends, or is reset. */
export const isLost = ({ code, fatal }) => fatal === true && ["PROTOCOL_CONNECTION_LOST", "ECONNRESET"].includes(code);

/**
 * Starts a server for the tests of this file, where they find the tables and users of `schema`. Calls `tests` for each
 * flavour, or not at all if there is no MariaDB here.
 *
 * @param {(mariadb: Mariadb) => void} tests
 * @param {string[]} [schema]
 */
export async function onMariadb(tests, schema = []) {
  const server = await startMariadb([], { tls: true });
  if (server === undefined) return;
  const watched = new Mariadb(server);
  await watched.watch();
  await watched.run("CREATE DATABASE attic");
  for (const statement of schema) await watched.run(statement);
  const unhandled = [];
  const note = (error) => void unhandled.push(error);
  process.on("uncaughtExceptionMonitor", note);
  after(async () => {
    await watched.stop();
    process.off("uncaughtExceptionMonitor", note);
    assert.deepEqual(unhandled, [], "an error was handled nowhere: it would have ended the process");
  });
  afterEach(() => watched.closePools());
  for (const name of Object.keys(flavours)) tests(watched.as(name));
}

class Mariadb {
  #server;
  /**
   * What all flavours share.
   *
   * @type {{ admin: any, pools: any[], users: Map<string, Promise<string>> }}
   */
  #shared = { admin: undefined, pools: [], users: new Map() };
  #flavour = flavours.promises;
  #name = "";

  constructor(server) {
    this.#server = server;
  }

  /** The same server, with connections of that flavour. */
  as(name) {
    const other = new Mariadb(this.#server);
    other.#shared = this.#shared;
    other.#flavour = flavours[name];
    other.#name = name;
    return other;
  }

  /** The name of the flavour. */
  get flavour() {
    return this.#name;
  }

  /** Adds a test of this flavour. */
  test = (name, run) => test(`${this.#name}: ${name}`, run);

  // ---- the server

  async watch() {
    this.#shared.admin = await promises.createConnection(this.#server.options);
    this.#shared.admin.on("error", () => {});
  }

  async stop() {
    await this.#shared.admin.end().catch(() => {});
    await this.#server.stop();
  }

  /** Those of a test that failed: they must not fail the next one. */
  async closePools() {
    await Promise.all(this.#shared.pools.splice(0).map((pool) => pool.close({ timeout: "1ms" })));
  }

  /** Shuts the server down under its clients, or kills it. */
  async halt(signal) {
    await this.#server.halt(signal);
  }

  /** Starts it again, on the same port and data. */
  async resume() {
    await this.#server.resume();
    await this.watch();
  }

  /** Runs a statement beside all pools. */
  async run(statement, values) {
    const [rows] = await this.#shared.admin.query(statement, values);
    return rows;
  }

  /** The sessions of the pool of this name, by their ids. */
  async sessions(name) {
    const rows = await this.run("SELECT id FROM information_schema.processlist WHERE user = ? ORDER BY id", [
      this.#userOf(name),
    ]);
    return rows.map(({ id }) => id);
  }

  /** How many sessions of the pool of this name are in SLEEP(). */
  async sleepers(name) {
    const rows = await this.run(
      "SELECT id FROM information_schema.processlist WHERE user = ? AND state = 'User sleep'",
      [this.#userOf(name)],
    );
    return rows.length;
  }

  /** The server ends sessions in its own time. */
  untilSessions(name, count) {
    return until(async () => (await this.sessions(name)).length === count, `${count} sessions of ${name}`);
  }

  /** Kills sessions, and waits until the server has. */
  async kill(...ids) {
    for (const id of ids) await this.run(`KILL ${id}`);
    await until(
      async () => (await this.run("SELECT id FROM information_schema.processlist WHERE id IN (?)", [ids])).length === 0,
      `the end of ${ids}`,
    );
  }

  // ---- its connections

  #userOf = (name) => `${this.#name} ${name}`;

  /** Each pool has a user of its own, by which its sessions are found. */
  #userFor(name, limits) {
    const user = this.#userOf(name);
    const { users } = this.#shared;
    if (!users.has(user)) users.set(user, this.#createUser(user, limits));
    return users.get(user);
  }

  async #createUser(user, limits) {
    await this.run(`CREATE USER ?@'%' IDENTIFIED BY 'pool' ${limits}`, [user]);
    await this.run("GRANT ALL ON shop.* TO ?@'%'", [user]);
    await this.run("GRANT ALL ON attic.* TO ?@'%'", [user]);
    return user;
  }

  /** Opens a connection beside all pools. */
  open = (options = {}) =>
    this.#flavour.open({ ...this.#server.options, ...this.#flavour.more(this.#server.ca), ...options });

  /** mysql2's connection of callbacks, which is the one that works. */
  core = (connection) => this.#flavour.core(connection);

  /** Calls a method of a connection in the manner of the flavour. */
  call = (connection, method, ...given) => this.#flavour.call(connection, method, ...given);

  query = (connection, ...given) => this.call(connection, "query", ...given);

  /** The id of a connection's session, as the server has it. */
  idOf = async (connection) => (await this.query(connection, "SELECT CONNECTION_ID() AS id"))[0].id;

  /** Asks what every connection can answer. */
  answers = async (connection) => assert.equal((await this.query(connection, "SELECT 7 AS seven"))[0].seven, 7);

  /** Whether the server has a transaction open for this connection. Asks in a statement that begins none. */
  isInTransaction = async (connection) => (await this.query(connection, "SELECT @@in_transaction AS one"))[0].one === 1;

  /**
   * Makes a pool whose sessions are of a user of this name. Also returns every statement that its connections were
   * given, every error that it swallowed, every warning that it logged, and how many creators ran at once. The options
   * `connection`, `limits` and `prepare` are of the connections: their options, their user, and what is done to each.
   *
   * @param {string} name
   * @param {any} [options]
   * @param {any} [Kind]
   */
  pool = (name, options = {}, Kind = QueuePool) => {
    const { connection: more, limits = "", prepare, ...given } = options;
    const statements = [];
    const swallowed = [];
    const logged = [];
    const creators = { now: 0, most: 0 };
    const creator = async () => {
      const user = await this.#userFor(name, limits);
      creators.most = Math.max(creators.most, ++creators.now);
      const connection = await this.open({ user, ...more }).finally(() => creators.now--);
      const core = this.core(connection);
      for (const method of ["query", "execute", "ping"]) {
        const own = core[method];
        core[method] = function (...asked) {
          statements.push(method === "ping" ? method : (asked[0].sql ?? asked[0]));
          return own.apply(this, asked);
        };
      }
      await prepare?.(connection);
      return connection;
    };
    const log = (message) => void logged.push(message);
    const pool = new Kind(creator, {
      dialect: mysql2,
      loggingName: name,
      logger: { debug() {}, info() {}, warn: log, error: log },
      ...given,
    });
    this.#shared.pools.push(pool);
    pool.on("error", (error, { operation }) => void swallowed.push({ operation, error }));
    return { pool, statements, swallowed, logged, creators };
  };

  /** No slot without a session, no session without a slot, and no caller that waits or holds one. */
  async assertNothingLeaks(pool, name) {
    // An opening goes on after its caller was served by a connection that came back.
    await until(() => pool.stats().opening === 0, "no opening is under way");
    // What was terminated is closed in its own time.
    await until(() => pool.stats().closing === 0, "no closing is under way");
    const { used, opening, waiting, idle, total, leaked, detached } = pool.stats();
    assert.deepEqual(
      { used, opening, waiting, leaked, detached, busy: total - idle },
      { used: 0, opening: 0, waiting: 0, leaked: 0, detached: 0, busy: 0 },
    );
    await this.untilSessions(name, total);
  }
}
