// docs/coming-from.md has each option and each member of the real pools, read from the packages that are installed, and
// says of each whether the facade has it: same, better, or not offered.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import test from "node:test";
import genericPool from "generic-pool";
import mysql from "mysql2";
import pg from "pg";
import { Pool as TarnPool } from "tarn";
import { root } from "../../scripts/run.mjs";
import { documents } from "./documents.mjs";

const require = createRequire(import.meta.url);
const { tables } = documents.find(({ name }) => name === "docs/coming-from.md");

/** The names that the tables with this first heading have in their first column, and what they say of each. */
function rowsOf(heading) {
  const found = tables.filter(({ header }) => header[0].text === heading && header[1].text.startsWith("edgepool/"));
  assert.equal(found.length, 1, `one table begins with ${heading}`);
  return found[0].rows.map(([first, second]) => ({
    names: [...first.text.matchAll(/`([^`]*)`/g)].map(([, code]) => code.replace(/\(.*\)$/, "").replace(/^.*\./, "")),
    says: second.text,
  }));
}

/** The members of an object and of its classes, without what is private by its name, or the runtime's. */
function membersOf(object, below = Object.prototype) {
  const names = [];
  for (let at = object; at !== null && at !== below; at = Object.getPrototypeOf(at))
    names.push(...Reflect.ownKeys(at).filter((name) => typeof name === "string" && !/^_|^constructor$/.test(name)));
  return [...new Set(names)];
}

const sourceOf = (path) => readFileSync(join(root, "node_modules", path), "utf8");

const { EventEmitter } = require("node:events");
const factory = { create: async () => ({}), destroy: async () => {} };
const generic = genericPool.createPool(factory);
const tarn = new TarnPool({ create() {}, destroy() {}, min: 0, max: 1 });

const mysqlPool = mysql.createPool({});
const ofEmitter = (object) => membersOf(object, EventEmitter.prototype).filter((name) => !(name in new EventEmitter()));

const peers = {
  "pg.Pool": {
    options: [...sourceOf("pg-pool/index.js").matchAll(/options\.(\w+)/g)].map(([, name]) => name),
    members: ofEmitter(new pg.Pool()),
    exports: [],
  },
  mysql2: {
    options: /validOptions = \{([^}]*)\}/
      .exec(sourceOf("mysql2/lib/connection_config.js"))[1]
      .match(/\w+(?=: 1)/g)
      .concat(Object.keys(mysqlPool.config)),
    members: [...ofEmitter(mysqlPool), ...ofEmitter(mysqlPool.promise()).filter((name) => name !== "pool")],
    exports: Object.keys(mysql).filter((name) => name.includes("Pool")),
  },
  tarn: {
    options: /allowedKeys = \{([^}]*)\}/.exec(sourceOf("tarn/dist/Pool.js"))[1].match(/\w+(?=:)/g),
    members: membersOf(tarn),
    exports: Object.keys(require("tarn")).filter((name) => name !== "Pool"),
  },
  "generic-pool": {
    options: membersOf(new (require("generic-pool/lib/PoolOptions.js"))({})).concat(
      membersOf(new (require("generic-pool/lib/PoolDefaults.js"))()),
    ),
    members: ofEmitter(generic),
    exports: Object.keys(genericPool),
  },
};

for (const [peer, { options, members, exports }] of Object.entries(peers)) {
  test(`the table of ${peer} has each of its options and members`, () => {
    assert.ok(options.length > 8 && members.length > 8, `${options.length} options, ${members.length} members`);
    const named = new Set(rowsOf(peer).flatMap(({ names }) => names));
    const missing = [...new Set([...options, ...members, ...exports])].filter((name) => !named.has(name));
    assert.deepEqual(missing, []);
  });

  test(`the table of ${peer} says of each: same, better and how, or not offered and why`, () => {
    for (const { names, says } of rowsOf(peer)) {
      assert.match(says, /^(same|better: .{10}|not offered: .{10})/, names.join(", "));
    }
  });
}
