// The recipe for mysql2 in docs/durable-objects.md, as it stands there, in workerd against a scripted MySQL server.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { startScriptedMysql } from "../dialects/scripted-mysql.mjs";
import { until } from "../watched-postgres.mjs";
import { startWorkerd } from "./workerd.mjs";

const [, chapter] = readFileSync(new URL("../../../docs/durable-objects.md", import.meta.url), "utf8").split(
  "## Other drivers\n",
);
const recipe = [...chapter.split("\n## ")[0].matchAll(/```js\n(.*?)```/gs)].map(([, code]) => code).join("\n");

const source = `
import { PoolObject, poolOf } from "edgepool/durable-object";
import { mysql2 } from "edgepool/dialects/mysql2";
import { createConnection } from "mysql2/promise";

${recipe}

export class Database extends PoolObject {
  constructor(ctx, env) {
    const open = () => createConnection({ ...env.MYSQL, disableEval: true });
    super(ctx, env, open, { dialect: mysql2, poolSize: 1, runQuery, readRows });
  }
}

const all = async (rows) => {
  const list = [];
  for await (const row of rows) list.push(row);
  return list;
};

export default {
  async fetch(request, env) {
    const pool = poolOf(env.DATABASE);
    if (request.url.endsWith("/cut"))
      return Response.json(await all(pool.stream("HANG")).catch(({ code }) => code));
    const text = "SELECT 7 AS id";
    const lease = await pool.lease();
    const inLease = await all(lease.stream(text));
    const left = lease.stream(text);
    await left.next();
    await left.return();
    const afterwards = await lease.query(text);
    await lease.release();
    return Response.json({
      query: await pool.query(text),
      list: (await pool.query({ text, rowMode: "array" })).rows,
      changed: await pool.query("UPDATE numbers SET id = 7"),
      batch: (await pool.batch([text, "DELETE FROM numbers"])).map(({ rows }) => rows),
      failed: await pool.query("FAIL 1064").catch(({ message, errno }) => ({ message, errno })),
      stream: await all(pool.stream(text)),
      streamOfLists: await all(pool.stream({ text, rowMode: "array" })),
      failedStream: await all(pool.stream("FAIL 1064")).catch(({ errno }) => errno),
      inLease,
      afterwards: afterwards.rows,
    });
  },
};`;

describe("mysql2 in a Durable Object, with the recipe of the documentation", () => {
  let server;
  let workerd;

  before(async () => {
    server = await startScriptedMysql();
    const worker = { source, durableObjects: { DATABASE: "Database" }, vars: { MYSQL: server.options } };
    workerd = await startWorkerd({ workers: { main: worker } });
  });

  after(async () => {
    await workerd.stop();
    await server.stop();
  });

  test("queries, batches and streams give rows, as objects or as arrays, on one connection", async () => {
    const { body } = await workerd.ask("/");
    const rows = [{ id: 7 }];
    assert.deepEqual(body, {
      query: { rows, rowCount: 1, fields: [] },
      list: [[7]],
      changed: { rows: [], rowCount: 0, fields: [] },
      batch: [rows, []],
      failed: { message: "scripted", errno: 1064 },
      stream: rows,
      streamOfLists: [[7]],
      failedStream: 1064,
      inLease: rows,
      afterwards: rows,
    });
    assert.equal(server.sessions.length, 1);
  });

  test("a stream whose connection is lost rejects", async () => {
    const answer = workerd.ask("/cut");
    await until(() => server.sessions.at(-1).received.includes("HANG"), "the statement has come");
    server.sessions.at(-1).end();
    assert.equal((await answer).body, "PROTOCOL_CONNECTION_LOST");
  });
});
