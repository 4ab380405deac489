// docs/drivers.md says what the dialects do: their names, their creators, the versions of their drivers, their members,
// and what they say of errors.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { QueuePool } from "edgepool";
import { clients } from "edgepool/pg";
import { walkTokens } from "marked";
import { root } from "../../../scripts/run.mjs";
import { documents } from "../../package/documents.mjs";
import { everyDriver } from "./every-driver.mjs";
import { silent } from "./sqlite.mjs";

const { drivers, scope, stop } = await everyDriver();
after(stop);

const read = (...path) => JSON.parse(readFileSync(join(root, ...path), "utf8"));
const { exports, devDependencies } = read("package.json");
const document = documents.find(({ name }) => name === "docs/drivers.md");

/** The tables of the document with a row for each dialect, by their second heading. */
const tables = Object.fromEntries(
  document.tables
    .filter(({ header: [first] }) => first.text === "dialect")
    .map(({ header, rows }) => [
      header[1].text,
      new Map(rows.map(([first, ...cells]) => [/^`(\w+)(\(\))?`$/.exec(first.text)[1], cells])),
    ]),
);

function codeIn(cell) {
  const codes = [];
  walkTokens(cell.tokens, (token) => token.type === "codespan" && codes.push(token.text));
  return codes;
}

/** By the name under which it is exported: the dialect, and what opens its connections. */
const dialects = new Map();
for (const { entry, dialect, needsServer } of drivers) {
  const names = Object.keys(await import(`edgepool/dialects/${entry}`)).filter((name) => name !== "default");
  assert.equal(names.length, 1, entry);
  if (!dialects.has(names[0])) dialects.set(names[0], { entry, dialect, needsServer });
}

test("every table has a row for each dialect of the package, and no other", () => {
  const entries = Object.keys(exports).filter((name) => name.startsWith("./dialects/"));
  assert.deepEqual(
    entries.filter((name) => ![...dialects.values()].some(({ entry }) => name === `./dialects/${entry}`)),
    [],
    "every-driver.mjs has a driver for each dialect",
  );
  assert.equal(Object.keys(tables).length, 5);
  for (const [heading, rows] of Object.entries(tables))
    assert.deepEqual([...rows.keys()], [...dialects.keys()], heading);
});

for (const [name, { dialect, needsServer }] of dialects) {
  test(`the creator of ${name} opens what its dialect takes, with the options beside it`, async () => {
    // A function, and options of the pool.
    const [code, options = "poolSize: 5"] = codeIn(tables.creator.get(name)[0]).filter((code) =>
      /^(\(|async|clients|poolSize)/.test(code),
    );
    const names = { ...scope[name], clients };
    const creator = new Function(...Object.keys(names), `return ${code}`)(...Object.values(names));
    const given = new Function(`return { ${options} }`)();
    assert.equal(typeof creator, "function");
    if (needsServer) return;
    const pool = new QueuePool(creator, { dialect, logger: silent, ...given });
    assert.equal(await pool.use((connection) => dialect.doCheck(connection)), undefined);
    await pool.close();
  });

  test(`the versions of ${name} are those of the tests`, () => {
    const [, { text: newest }, { text: oldest }] = tables.creator.get(name);
    const [, driver, version] = /^(\S+) (\S+)$/.exec(newest);
    if (driver === "Node") {
      assert.equal(`v${version}`, process.version);
      assert.equal(oldest, version);
      return;
    }
    const versions = versionsOf(driver);
    assert.deepEqual([oldest, version], [versions[0], versions.at(-1)]);
  });

  test(`what is said of a return, of work and of an end is what the members of ${name} make of it`, () => {
    const [clean, , session] = tables["with no transaction open"].get(name);
    assert.equal(/^(sends|runs) nothing$/.test(clean.text), dialect.inTransaction !== undefined, "inTransaction");
    assert.equal(session.text !== "none", dialect.doResetSession !== undefined, "doResetSession");
    const [busy, stuck, timeout] = tables.busy.get(name);
    assert.equal(busy.text + stuck.text !== "––", dialect.isBusy !== undefined, "isBusy");
    assert.equal(timeout.text.includes("cancels"), dialect.doCancel !== undefined, "doCancel");
    const [, terminate] = tables.close.get(name);
    assert.equal(terminate.text.includes("slot waits"), dialect.keepsSlotUntilClosed === true, "keepsSlotUntilClosed");
  });
}

/** The versions of a driver that the suites install, from the oldest on. */
function versionsOf(driver) {
  const field = join(root, "tests", "field");
  const pinned = readdirSync(field, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && readdirSync(join(field, entry.name)).includes("package.json"))
    .flatMap(({ name }) => Object.entries(read("tests", "field", name, "package.json").dependencies ?? {}));
  const versions = [...pinned, ...Object.entries(devDependencies)].flatMap(([name, version]) => {
    const [, original, aliased] = /^npm:(.+)@(.+)$/.exec(version) ?? [undefined, name, version];
    return original === driver && !name.endsWith("-older") ? [aliased] : [];
  });
  const numbersOf = (version) => version.split(/[.-]/).map(Number);
  return [...new Set(versions)].toSorted((a, b) => {
    const [left, right] = [numbersOf(a), numbersOf(b)];
    const place = left.findIndex((number, at) => number !== right[at]);
    return place < 0 ? 0 : left[place] - right[place];
  });
}

/**
 * What a connection is while a statement of it fails, once its socket has failed, and at rest; and the driver's error
 * for a text of the document.
 */
const ofErrors = {
  pg: {
    atWork: { readyForQuery: false, _queryable: true, _ending: false },
    failed: { readyForQuery: false, _queryable: false, _ending: false },
    atRest: { readyForQuery: true, _queryable: true, _ending: false },
    errorOf: (text) =>
      /^[A-Z]+$/.test(text)
        ? { severity: text }
        : /^\w{5}$/.test(text)
          ? { severity: /^(57|25P)/.test(text) ? "FATAL" : "ERROR", code: text }
          : { message: text },
    socket: { code: "ECONNRESET" },
  },
  mysql2: {
    atWork: { _fatalError: null, _protocolError: null, stream: { destroyed: false } },
    failed: { _fatalError: {}, _protocolError: null, stream: { destroyed: true } },
    atRest: { _fatalError: null, _protocolError: null, stream: { destroyed: false } },
    errorOf: (text) =>
      /^\d+$/.test(text) ? { errno: Number(text), message: text === "1290" ? "--read-only" : "" } : { code: text },
    socket: { fatal: true, code: "ECONNRESET" },
  },
  mariadb: {
    atWork: { isValid: () => true },
    failed: { isValid: () => false },
    atRest: { isValid: () => true },
    errorOf: (text) => ({ errno: Number(text), message: text === "1290" ? "--read-only" : "" }),
    socket: { fatal: true, code: "ER_SOCKET_UNEXPECTED_CLOSE" },
  },
  ioredis: {
    atWork: { status: "ready", commandQueue: { length: 1 }, offlineQueue: { length: 0 } },
    failed: { status: "end", manuallyClosing: false },
    atRest: { status: "ready", commandQueue: { length: 0 }, offlineQueue: { length: 0 } },
    errorOf: ofRedis,
    socket: { message: "Connection is closed." },
  },
  tedious: { atWork: { closed: false }, errorOf: (text) => ({ code: text }) },
  redis: { atWork: { isReady: true }, errorOf: ofRedis },
  pglite: { errorOf: (text) => (/^[A-Z]+$/.test(text) ? { severity: text } : { message: text }) },
  betterSqlite3: { Class: TypeError },
  libsql: { Class: TypeError },
  nodeSqlite: { errorOf: (text) => ({ message: text, code: "ERR_INVALID_STATE" }) },
};

function ofRedis(text) {
  return { message: /^[A-Z]+$/.test(text) ? `${text} as Redis says` : text };
}

function ofSqlite(text) {
  return { name: "SQLite3Error", ...(/^[A-Z_]+$/.test(text) ? { code: text } : { message: text }) };
}

function thrown(Class, properties) {
  return Object.assign(new Class(properties.message), properties);
}

for (const [name, { dialect }] of dialects) {
  test(`the errors of ${name} mean what the document says`, () => {
    const { atWork = {}, failed, atRest, socket, errorOf = ofSqlite, Class = Error } = ofErrors[name] ?? {};
    const cells = tables["others, too"].get(name);
    const answers = [true, "connection", false];
    for (const [column, cell] of cells.entries())
      for (const text of codeIn(cell))
        assert.equal(dialect.isDisconnect(thrown(Class, errorOf(text)), atWork), answers[column], text);
    if (socket === undefined) return;
    assert.match(cells[0].text, /a socket that failed/);
    assert.equal(dialect.isDisconnect(thrown(Error, socket), failed), true);
    assert.match(cells[2].text, /any error of another (client|connection)/);
    assert.equal(dialect.isDisconnect(thrown(Error, socket), atRest), false);
  });
}
