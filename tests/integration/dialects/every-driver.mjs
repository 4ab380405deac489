// Every driver that a dialect is for, with a real connection of it, and what else a creator may return by mistake.

import { setTimeout } from "node:timers/promises";
import { DatabaseSync } from "node:sqlite";
import { PGlite } from "@electric-sql/pglite";
import sqlite3InitModule from "@sqlite.org/sqlite-wasm";
import BetterSqlite3 from "better-sqlite3";
import { QueuePool } from "edgepool";
import { betterSqlite3 } from "edgepool/dialects/better-sqlite3";
import { libsql } from "edgepool/dialects/libsql";
import { mysql2 } from "edgepool/dialects/mysql2";
import { nodeSqlite } from "edgepool/dialects/node-sqlite";
import { pg } from "edgepool/dialects/pg";
import { pglite } from "edgepool/dialects/pglite";
import { sqliteWasm } from "edgepool/dialects/sqlite-wasm";
import { Pool as PgPool } from "edgepool/pg";
import genericPool from "generic-pool";
import Libsql from "libsql";
import mysql from "mysql2";
import mysqlPromise from "mysql2/promise";
import { Client, Pool } from "pg";
import { Pool as TarnPool } from "tarn";
import { startPostgres } from "../../../scripts/postgres.mjs";
import { startScriptedMysql } from "./scripted-mysql.mjs";

// It prints every error to the console, too.
const { error } = console;
console.error = () => {};
const sqlite3 = await sqlite3InitModule();
console.error = error;

/** Whatever errors come before. */
const seen = (emitter, event) => new Promise((resolve) => emitter.once(event, resolve));

/**
 * Starts what the drivers need. `drivers`: each with its dialect, the name of the entry of that, the words for its
 * connection in an error, `open`, and how its end is seen: `end` is a promise, `isClosed` is asked. `pools`: each with
 * its words, `make`, and `hasEnded`.
 */
export async function everyDriver() {
  const [postgres, server] = await Promise.all([startPostgres(), startScriptedMysql()]);
  const drivers = [
    {
      entry: "pg",
      dialect: pg,
      label: "a Client of pg",
      async open() {
        const client = new Client(postgres.options);
        await client.connect();
        return client;
      },
      end: (client) => seen(client, "end"),
    },
    {
      entry: "mysql2",
      dialect: mysql2,
      label: "a Connection of mysql2",
      open: () => mysqlPromise.createConnection(server.options),
      end: ({ connection }) => seen(connection.stream, "close"),
    },
    {
      entry: "mysql2",
      dialect: mysql2,
      label: "a Connection of mysql2",
      open: () => mysql.createConnection(server.options),
      end: ({ stream }) => seen(stream, "close"),
    },
    {
      entry: "pglite",
      dialect: pglite,
      label: "a PGlite",
      open: () => PGlite.create(),
      isClosed: ({ closed }) => closed,
      async end(database) {
        while (!database.closed) await setTimeout(5);
      },
    },
    {
      entry: "better-sqlite3",
      dialect: betterSqlite3,
      label: "a Database of better-sqlite3",
      open: () => new BetterSqlite3(":memory:"),
      isClosed: ({ open }) => !open,
    },
    {
      entry: "node-sqlite",
      dialect: nodeSqlite,
      label: "a DatabaseSync of node:sqlite",
      open: () => new DatabaseSync(":memory:"),
      isClosed: ({ isOpen }) => !isOpen,
    },
    {
      entry: "libsql",
      dialect: libsql,
      label: "a Database of libsql",
      open: () => new Libsql(":memory:"),
      isClosed: ({ open }) => !open,
    },
    {
      entry: "sqlite-wasm",
      dialect: sqliteWasm(sqlite3),
      label: "a DB of sqlite-wasm",
      open: () => new sqlite3.oo1.DB(":memory:"),
      isClosed: (database) => !database.isOpen(),
    },
  ];
  const resources = { create: () => ({}), destroy() {} };
  const pools = [
    { label: "a Pool of pg", make: () => new Pool(postgres.options), hasEnded: ({ ended }) => ended },
    { label: "a Pool of pg", make: () => new PgPool(postgres.options), hasEnded: ({ ended }) => ended },
    { label: "a pool of mysql2", make: () => mysql.createPool(server.options), hasEnded: ({ _closed }) => _closed },
    {
      label: "a pool of mysql2",
      make: () => mysqlPromise.createPool(server.options),
      hasEnded: ({ pool }) => pool._closed,
    },
    {
      label: "a pool of generic-pool",
      make: () => genericPool.createPool({ ...resources, create: async () => ({}) }),
      hasEnded: ({ _draining }) => _draining,
    },
    {
      label: "a Pool of tarn",
      make: () => new TarnPool({ ...resources, min: 0, max: 1 }),
      hasEnded: ({ destroyed }) => destroyed,
    },
    { label: "a pool of edgepool", make: () => new QueuePool(() => ({})), hasEnded: ({ closed }) => closed },
  ];
  return { drivers, pools, postgres, stop: () => Promise.all([postgres.stop(), server.stop()]) };
}
