// The package edgepool-pg-pool: installed by npm's overrides, it is what pg's own pool is built on.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { root } from "../../scripts/run.mjs";
import { WatchedPostgres } from "./watched-postgres.mjs";

const server = new WatchedPostgres();
const { devDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
let folder;

const npm = (args, cwd) => execFileSync("npm", args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
const pack = (cwd) => JSON.parse(npm(["pack", "--json", "--pack-destination", folder], cwd))[0].filename;

before(() => {
  folder = mkdtempSync(join(tmpdir(), "edgepool-override-"));
  const [edgepool, standIn] = [pack(root), pack(join(root, "packages", "pg-pool"))];
  const manifest = {
    private: true,
    type: "module",
    dependencies: { pg: devDependencies.pg, edgepool: `file:${edgepool}` },
    overrides: { "pg-pool": `file:${standIn}` },
  };
  writeFileSync(join(folder, "package.json"), JSON.stringify(manifest));
  npm(["install", "--no-audit", "--no-fund", "--prefer-offline"], folder);
});

after(() => rmSync(folder, { recursive: true, force: true }));

/** What a program of the folder prints. */
function run(name, source) {
  writeFileSync(join(folder, name), source);
  const { stdout, stderr } = spawnSync(process.execPath, [join(folder, name)], { encoding: "utf8", timeout: 20_000 });
  assert.equal(stderr, "");
  return stdout.trim().split("\n");
}

test("pg.Pool is one of edgepool, whichever way it is loaded, and pg-native is not needed", () => {
  const config = JSON.stringify(server.options);
  const body = `
    (async () => {
      const pool = new pg.Pool({ ...${config}, max: 1 });
      console.log(typeof pool.queuePool, pool instanceof pg.Pool, pool.Client === pg.Client, pg.native);
      const { rows } = await pool.query("SELECT 1 AS one");
      const client = await pool.connect();
      await client.query("BEGIN");
      client.release();
      const { rows: after } = await pool.query("SELECT pg_current_xact_id_if_assigned() AS xid");
      console.log(rows[0].one, after[0].xid, pool.totalCount);
      await pool.end();
    })();
  `;
  const said = ["object true true null", "1 null 1"];
  assert.deepEqual(run("esm.mjs", `import pg from "pg";${body}`), said);
  assert.deepEqual(run("cjs.cjs", `const pg = require("pg");${body}`), said);
});

test("pg-pool itself is the class, with the names that programs take from it", () => {
  const asks = `
    const pool = new Pool(${JSON.stringify(server.options)});
    console.log(Pool === Pool.Pool, Pool === Pool.default, Pool.name, pool.Client.name);
    pool.query("SELECT 1 AS one").then(({ rows }) => (console.log(rows[0].one), pool.end()));
  `;
  const said = ["true true Pool Client", "1"];
  assert.deepEqual(run("pool.cjs", `const Pool = require("pg-pool");${asks}`), said);
  assert.deepEqual(run("pool.mjs", `import Pool from "pg-pool";${asks}`), said);
});

test("the Pool of edgepool/pg is a pg.Pool there, too", () => {
  const source = `
    import pg from "pg";
    import Base from "pg-pool";
    import { Pool } from "edgepool/pg";
    const pool = new Pool();
    console.log(pool instanceof pg.Pool, pool instanceof Base, pool instanceof Pool, pool.Client === pg.Client);
  `;
  assert.deepEqual(run("both.mjs", source), ["true true true true"]);
});
