// What a dialect says of a connection that it cannot use: at the first checkout, by name.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { QueuePool } from "edgepool";
import { sqliteWasm } from "edgepool/dialects/sqlite-wasm";
import { Client } from "pg";
import { everyDriver } from "./every-driver.mjs";
import { silent } from "./sqlite.mjs";

const { drivers, pools, postgres, stop } = await everyDriver();
after(stop);

const dialects = [...new Map(drivers.map((driver) => [driver.dialect, driver])).values()];

/** What the first checkout of a pool with this connection and dialect rejects with. */
async function refusalOf(dialect, connection) {
  const pool = new QueuePool(() => connection, { dialect, logger: silent, resetOnReturn: "none" });
  try {
    await (await pool.connect()).close();
  } catch (error) {
    return error;
  } finally {
    await pool.close();
  }
  throw new Error("the connection was not refused");
}

for (const { entry, dialect, label } of dialects) {
  test(`the dialect of ${entry} names the connection of every other driver, and closes it`, async () => {
    for (const other of drivers) {
      if (other.dialect === dialect || other.open === undefined) continue;
      const connection = await other.open();
      const end = other.end?.(connection);
      const { name, message } = await refusalOf(dialect, connection);
      assert.deepEqual(
        [name, message],
        ["TypeError", `dialect "${dialect.name}" was given ${other.label}; use edgepool/dialects/${other.entry}`],
      );
      await end;
      assert.ok(other.isClosed?.(connection) ?? true, other.label);
    }
  });

  test(`the dialect of ${entry} names every pool, and leaves it to its other users`, async () => {
    for (const { label: words, make, hasEnded } of pools) {
      const pool = make();
      const { message } = await refusalOf(dialect, pool);
      assert.equal(message, `dialect "${dialect.name}" was given ${words}; the creator must return ${label}`);
      assert.ok(!hasEnded(pool), words);
      await (pool.end ?? pool.close ?? pool.drain ?? pool.destroy ?? pool.disconnect).call(pool);
    }
  });

  test(`the dialect of ${entry} says what it was given instead of a connection`, async () => {
    let ended = 0;
    const needed = /^(an object|a function) without \w+\(\); the creator must return /;
    for (const [given, words] of [
      ["postgres://host/db", "string postgres://host/db; the creator must return "],
      [42, "number 42; the creator must return "],
      [{}, needed],
      [() => {}, needed],
      // As knex, Sequelize and others have it, for all of their users.
      [Object.assign(() => {}, { destroy: () => ended++, close: () => ended++ }), needed],
      [{ connection: null }, needed],
    ]) {
      const { message } = await refusalOf(dialect, given);
      const [, rest] = message.split(`dialect "${dialect.name}" was given `);
      if (typeof words === "string") assert.equal(rest, words + label);
      else assert.match(rest, words);
    }
    assert.equal(ended, 0, "what it does not know is left to its other users");
  });
}

for (const { entry, dialect, label, open } of drivers.filter(({ needsServer }) => !needsServer)) {
  test(`the dialect of ${entry} takes ${label}, wrapped, subclassed or instrumented`, async () => {
    const connection = await open();
    /** Calls of the original, so that private fields and native classes are in their place. */
    const proxy = (handler = {}) =>
      new Proxy(connection, {
        get(target, key) {
          const value = Reflect.get(target, key);
          return typeof value === "function" ? value.bind(target) : value;
        },
        ...handler,
      });
    const methods = ["query", "exec", "rollback", "close", "isOpen", "isValid"].filter((name) => name in connection);
    const wrapper = Object.fromEntries(methods.map((name) => [name, (...given) => connection[name](...given)]));
    const traced = proxy({ has: (target, key) => key === "tracer" || Reflect.has(target, key) });
    // Of a native class, and of one with private fields, an heir cannot be used.
    const heirs = /^(pg|mysql2)$/.test(entry) ? [Object.create(connection)] : [];
    for (const given of [connection, proxy(), traced, wrapper, ...heirs])
      assert.equal(dialect.doCheck(given), undefined);
    const pool = new QueuePool(() => connection, { dialect, logger: silent });
    await pool.use(() => {});
    await pool.close();
  });
}

for (const { entry, dialect, open, isClosed } of drivers.filter(({ label }) => /Database|DB|PGlite/.test(label))) {
  test(`the dialect of ${entry} refuses a database that is closed`, async () => {
    const database = await open();
    await database.close();
    assert.ok(isClosed(database));
    const { message } = await refusalOf(dialect, database);
    assert.match(message, /^dialect ".+" was given a (Database|DatabaseSync|DB|PGlite) that is (closed|not open); /);
  });
}

test("the dialect of pg refuses a Client that was never connected, and warns of one that is connecting", async () => {
  const { dialect } = drivers.find(({ entry }) => entry === "pg");
  const { message } = await refusalOf(dialect, new Client());
  assert.equal(message, 'dialect "pg" was given a Client that is not connected; the creator must await its connect()');
  const warnings = [];
  const hasty = (client = new Client(postgres.options)) => (void client.connect(), client);
  const logger = { ...silent, warn: (message) => warnings.push(message) };
  const pool = new QueuePool(() => hasty(), { dialect, logger, loggingName: "hasty" });
  await Promise.all(Array.from({ length: 3 }, () => pool.use((client) => client.query("SELECT 1"))));
  await pool.close();
  assert.deepEqual(warnings, [
    "pool hasty: the creator returns a Client of pg that is not connected yet; it must await connect()",
  ]);
});

for (const { entry, dialect, label, open } of dialects.filter(({ needsServer, open }) => needsServer && open)) {
  test(`the dialect of ${entry} refuses ${label} that was never connected`, async () => {
    const { message } = await refusalOf(dialect, open());
    const [, what] = label.split(" ");
    assert.match(
      message,
      new RegExp(`^dialect "${entry}" was given a ${what} that is not connected; the creator must `),
    );
  });
}

/** A member that came with the oldest version of the tests, by dialect. */
const members = {
  pg: "_ended",
  mysql2: "_isMariaDB",
  pglite: "copyToFS",
  "better-sqlite3": "explain",
  "node-sqlite": "isTransaction",
  libsql: "interrupt",
};

for (const [entry, member] of Object.entries(members)) {
  test(`the dialect of ${entry} names a driver that is older than its tests, and warns of no wrapper`, async () => {
    const { dialect, open } = drivers.find((driver) => driver.entry === entry);
    const connection = await open();
    const without = (target) =>
      new Proxy(Object.create(null), {
        has: (_, key) => key !== member && key in target,
        get(_, key) {
          const value = target[key];
          if (key === "connection" && entry === "mysql2") return without(value);
          return typeof value === "function" ? value.bind(target) : value;
        },
      });
    assert.match(
      dialect.doCheck(without(connection)),
      /^this (pg|mysql2|PGlite|better-sqlite3|node:sqlite|libsql) is older than (that of Node )?[\d.]+, the oldest /,
    );
    const pool = new QueuePool(() => connection, { dialect, logger: silent });
    await pool.warm(1);
    await pool.close();
  });
}

test("the dialect of sqlite-wasm names a module that is older than its tests", () => {
  const { dialect, open } = drivers.find(({ entry }) => entry === "sqlite-wasm");
  const old = sqliteWasm({ capi: { sqlite3_libversion_number: () => 3_053_004 } });
  assert.match(old.doCheck(open()), /^this sqlite-wasm is older than 3\.54, /);
  assert.equal(dialect.doCheck(open()), undefined);
});
