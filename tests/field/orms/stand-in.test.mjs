// Every library on pg.Pool, when edgepool's pool stands in for the package pg-pool, on which pg.Pool is built.

import assert from "node:assert/strict";
import { test } from "node:test";
import { layApp } from "./app.mjs";
import { consumers } from "./consumers.mjs";
import { testConsumer } from "./promises.mjs";

const { load } = layApp({ standIn: true });
const { default: pg } = await load("node_modules/pg/esm/index.mjs");
const onPgPool = consumers.filter(({ name }) => name !== "knex-tarn");
const modules = await Promise.all(onPgPool.map(({ name }) => load(`${name}.mjs`)));
const { openOwn } = await load("mikro-orm.mjs");

test("pg.Pool is edgepool's", () => {
  assert.ok("queuePool" in pg.Pool.prototype);
});

for (const [at, { open }] of modules.entries()) testConsumer(onPgPool[at], (options) => open(pg.Pool, options));

const own = { name: "mikro-orm-own", title: "MikroORM on its own pool", transacts: true, streams: true };
testConsumer(own, openOwn);
