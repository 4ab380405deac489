// Every driver that a dialect is for, with a real connection of it, and what else a creator may return by mistake.

import { DatabaseSync } from "node:sqlite";
import { PGlite } from "@electric-sql/pglite";
import sqlite3InitModule from "@sqlite.org/sqlite-wasm";
import BetterSqlite3 from "better-sqlite3";
import { QueuePool } from "edgepool";
import { betterSqlite3 } from "edgepool/dialects/better-sqlite3";
import { ioredis } from "edgepool/dialects/ioredis";
import { libsql } from "edgepool/dialects/libsql";
import { mariadb } from "edgepool/dialects/mariadb";
import { mysql2 } from "edgepool/dialects/mysql2";
import { nodeSqlite } from "edgepool/dialects/node-sqlite";
import { pg } from "edgepool/dialects/pg";
import { pglite } from "edgepool/dialects/pglite";
import { redis } from "edgepool/dialects/redis";
import { sqliteWasm } from "edgepool/dialects/sqlite-wasm";
import { tedious } from "edgepool/dialects/tedious";
import { Pool as PgPool } from "edgepool/pg";
import genericPool from "generic-pool";
import { Cluster, Redis } from "ioredis";
import Libsql from "libsql";
import { createConnection as connectMariadb, createPool as createMariadbPool } from "mariadb";
import mysql from "mysql2";
import mysqlPromise from "mysql2/promise";
import { Client, Pool } from "pg";
import { createClient, createClientPool } from "redis";
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

/** The same database, with an end of its own: opening one takes a second. */
function closable(database) {
  let closed = false;
  const own = { close: async () => void (closed = true) };
  return new Proxy(database, {
    get(target, key) {
      if (key === "closed") return closed;
      const value = own[key] ?? Reflect.get(target, key);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/**
 * Starts what the drivers need. `drivers`: each with its dialect, the name of the entry of that, the words for its
 * connection in an error, `open`, and how its end is seen: `end` is a promise, `isClosed` is asked. `pools`: each with
 * its words, `make`, and `hasEnded`. `needsServer`: the field tests have one, and here it is not open. Without `open`
 * the driver is not here.
 */
export async function everyDriver() {
  const [postgres, server, shared] = await Promise.all([startPostgres(), startScriptedMysql(), PGlite.create()]);
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
      entry: "mariadb",
      dialect: mariadb,
      label: "a Connection of mariadb",
      open: () => connectMariadb(server.options),
      isClosed: (connection) => !connection.isValid(),
    },
    {
      entry: "pglite",
      dialect: pglite,
      label: "a PGlite",
      open: () => closable(shared),
      isClosed: ({ closed }) => closed,
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
    {
      entry: "ioredis",
      dialect: ioredis,
      label: "a Redis of ioredis",
      needsServer: true,
      open: () => new Redis({ lazyConnect: true }),
      isClosed: ({ status }) => status === "end",
    },
    {
      entry: "redis",
      dialect: redis,
      label: "a client of redis",
      needsServer: true,
      open: () => createClient(),
      isClosed: ({ isOpen }) => !isOpen,
    },
    // The driver is only in the field tests: it brings thirty packages along.
    { entry: "tedious", dialect: tedious, label: "a Connection of tedious", needsServer: true, open: undefined },
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
      label: "a pool of mariadb",
      make: () => createMariadbPool({ ...server.options, minimumIdle: 0 }),
      hasEnded: ({ closed }) => closed,
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
    { label: "a pool of redis", make: () => createClientPool(), hasEnded: ({ isClosing }) => isClosing },
    {
      label: "a Cluster of ioredis",
      make: () => new Cluster([{ host: "127.0.0.1" }], { lazyConnect: true }),
      hasEnded: ({ status }) => status === "end",
    },
    { label: "a pool of edgepool", make: () => new QueuePool(() => ({})), hasEnded: ({ closed }) => closed },
  ];
  /** What the creators of docs/drivers.md name, by dialect. */
  const path = ":memory:";
  const { user, password, host, port, database } = postgres.options;
  const scope = {
    pg: { url: `postgres://${user}:${password}@${host}:${port}/${database}` },
    mysql2: { mysql: mysqlPromise, url: server.options },
    mariadb: { mariadb: { createConnection: connectMariadb }, options: server.options },
    pglite: { PGlite, dataDir: undefined },
    betterSqlite3: { Database: BetterSqlite3, path },
    nodeSqlite: { DatabaseSync, path },
    libsql: { Database: Libsql, path },
    sqliteWasm: { sqlite3, path },
  };
  return { drivers, pools, postgres, scope, stop: () => Promise.all([postgres.stop(), server.stop(), shared.close()]) };
}
