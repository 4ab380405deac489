// The servers of the soak, each with its driver: what a caller sends, and what an observer on a connection of its own
// kills, counts and finds.

import { createRequire } from "node:module";
import { mysql2 } from "edgepool/dialects/mysql2";
import { pg } from "edgepool/dialects/pg";
import mysql from "mysql2/promise";
import { Client } from "pg";
import { startPostgres } from "../../scripts/postgres.mjs";
import { startMariadb } from "../field/mariadb.mjs";
import { isDriversError } from "../integration/watched-postgres.mjs";
import { accounts } from "./callers.mjs";

const versionOf = (name) => createRequire(import.meta.url)(`${name}/package.json`).version;

const tables = [
  "CREATE TABLE accounts (id INT PRIMARY KEY, balance INT NOT NULL)",
  "CREATE TABLE leaks (step INT NOT NULL)",
  `INSERT INTO accounts VALUES ${Array.from({ length: accounts.count }, (_, id) => `(${id}, ${accounts.balance})`)}`,
];

const ignore = () => {};

/** Runs one act after the other. */
function inTurn() {
  let last = Promise.resolve();
  return (act) => {
    const answer = last.then(act);
    last = answer.catch(ignore);
    return answer;
  };
}

async function postgres() {
  const server = await startPostgres();
  const connect = async (name) => {
    const client = new Client({ ...server.options, application_name: name });
    client.on("error", ignore);
    await client.connect();
    return client;
  };
  const admin = await connect("observer");
  const turn = inTurn();
  const ask = (text) => turn(async () => (await admin.query(text)).rows);
  for (const text of tables) await ask(text);
  const [{ version }] = await ask("SELECT current_setting('server_version') AS version");
  const mine = "FROM pg_stat_activity WHERE application_name = 'soak'";
  return {
    name: "PostgreSQL",
    version: `PostgreSQL ${version.split(" ")[0]}, pg ${versionOf("pg")}`,
    dialect: pg,
    open: () => connect("soak"),
    idOf: ({ processID }) => processID,
    query: (client, text) => client.query(text),
    /** A time-out of the driver, for a statement that takes longer. */
    late: (client) => client.query({ text: "SELECT pg_sleep(0.1)", query_timeout: 10 }),
    sleep: (client) => client.query("SELECT pg_sleep(0.1)"),
    /** Begins a transaction and does not await it. */
    abandon: (client, text) => void client.query(`BEGIN; ${text}`).catch(ignore),
    /** Returns whether a transaction was open when the caller came. */
    async isOpen(client) {
      const { rows } = await client.query(
        "SELECT now() <> statement_timestamp() OR pg_current_xact_id_if_assigned() IS NOT NULL AS open",
      );
      return rows[0].open;
    },
    isInTransaction: ({ code }) => code === "25P02",
    isLoss: isDriversError,
    isTimeout: ({ message }) => message === "Query read timeout",
    isCancel: ({ code }) => code === "57014",
    isFailure: ({ code }) => code === "42P01" || code === "25P02",
    async kill(id) {
      return (await ask(`SELECT pg_terminate_backend(pid) ${mine} AND pid = ${id}`)).length > 0;
    },
    cancel: (id) => ask(`SELECT pg_cancel_backend(pid) ${mine} AND pid = ${id}`),
    sessions: async () => (await ask(`SELECT pid ${mine}`)).length,
    inTransaction: async () => (await ask(`SELECT pid ${mine} AND xact_start IS NOT NULL`)).length,
    ask,
    async stop() {
      await admin.end();
      await server.stop();
    },
  };
}

async function mariadb() {
  const server = await startMariadb(["--max-connections=200"]);
  if (server === undefined) return undefined;
  const admin = await mysql.createConnection({ ...server.options, user: "root", password: "" });
  const turn = inTurn();
  const ask = (text) => turn(async () => (await admin.query(text))[0]);
  for (const text of tables) await ask(text);
  const [{ version }] = await ask("SELECT VERSION() AS version");
  const mine = `FROM information_schema.processlist WHERE user = '${server.options.user}'`;
  /** Returns whether the server knew the session. */
  const order = async (text) => {
    try {
      await ask(text);
      return true;
    } catch (error) {
      if (error.errno === 1094) return false;
      throw error;
    }
  };
  return {
    name: "MariaDB",
    version: `MariaDB ${version.split("-")[0]}, mysql2 ${versionOf("mysql2")}`,
    dialect: mysql2,
    open: () => mysql.createConnection(server.options),
    idOf: ({ threadId }) => threadId,
    query: (connection, text) => connection.query(text),
    late: (connection) => connection.query({ sql: "SELECT SLEEP(0.1)", timeout: 10 }),
    sleep: (connection) => connection.query("SELECT SLEEP(0.1)"),
    abandon(connection, text) {
      connection.query("BEGIN").catch(ignore);
      connection.query(text).catch(ignore);
    },
    async isOpen(connection) {
      const [[{ open }]] = await connection.query("SELECT @@in_transaction AS open");
      return Number(open) === 1;
    },
    isInTransaction: () => false,
    isLoss: ({ fatal, code, errno, message }) =>
      fatal === true ||
      errno === 1927 ||
      ["PROTOCOL_CONNECTION_LOST", "ECONNRESET", "EPIPE"].includes(code) ||
      /closed state/.test(message),
    isTimeout: ({ code }) => code === "PROTOCOL_SEQUENCE_TIMEOUT",
    isCancel: ({ errno }) => errno === 1317,
    isFailure: ({ errno }) => errno === 1146,
    kill: (id) => order(`KILL CONNECTION ${id}`),
    cancel: (id) => order(`KILL QUERY ${id}`),
    sessions: async () => (await ask(`SELECT id ${mine}`)).length,
    inTransaction: async () =>
      (await ask(`SELECT trx_id FROM information_schema.innodb_trx WHERE trx_mysql_thread_id IN (SELECT id ${mine})`))
        .length,
    ask,
    async stop() {
      await admin.end();
      await server.stop();
    },
  };
}

/** By the option --server. Each returns undefined if its server is not here. */
export const servers = { postgres, mariadb };
