// Requests of wrangler dev that are entered many times, beside other traffic: each has the backend that it had before.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { root } from "../../../scripts/run.mjs";
import { layProject } from "../project.mjs";
import { openShop } from "../shop.mjs";

let shop;
let server;

before(async () => {
  shop = await openShop();
  const app = join(import.meta.dirname, "entered");
  const project = layProject("cloudflare", app, { ".dev.vars": `DATABASE_URL=${shop.url}\n` });
  server = await project.serve("wrangler", (port) => ["dev", "--port", port]);
});

after(async () => {
  await server?.stop();
  await shop.close();
});

/** Runs something while other requests use the pool. */
async function besideOthers(run) {
  let isOver = false;
  const other = async () => {
    while (!isOver) await server.ask("/other");
  };
  const others = Promise.all(Array.from({ length: 4 }, other));
  try {
    return await run();
  } finally {
    isOver = true;
    await others;
  }
}

/** One backend for each, and none for two of them. */
function assertApart(answers) {
  const firsts = answers.map(([first]) => first);
  assert.deepEqual(
    answers,
    answers.map(({ length }, place) => Array.from({ length }, () => firsts[place])),
  );
  assert.equal(new Set(firsts).size, answers.length);
}

test("a request with a span for each query has one backend", async () => {
  assertApart(await besideOthers(() => Promise.all(Array.from({ length: 8 }, () => server.ask("/spans")))));
});

test("each of twenty WebSockets of Hono has one backend for all of its messages", async () => {
  assertApart(await besideOthers(() => server.ask("/sockets?clients=20&messages=6")));
});

test("Hono serves edgepool/inspect, the page and its stream", async () => {
  const [, mount] = /`(app\.get\("\/pools", .+)`/.exec(readFileSync(join(root, "docs", "inspect.md"), "utf8")) ?? [];
  assert.ok(readFileSync(join(import.meta.dirname, "entered", "worker.mjs"), "utf8").includes(mount), mount);
  const ask = (path, headers = {}) => fetch(`${server.address}${path}`, { headers });
  assert.equal((await ask("/pools")).status, 401);
  const headers = { authorization: "Bearer the token of the tests" };
  assert.match(await (await ask("/pools", headers)).text(), /<!doctype html>/);
  const reader = (await ask("/pools?events", headers)).body.getReader();
  const first = new TextDecoder().decode((await reader.read()).value);
  assert.equal(JSON.parse(/^data: (.*)$/m.exec(first)[1]).pools[0].stats.max, 2);
  await reader.cancel();
});

test("a Workflow has one backend in all of its steps", async () => {
  const output = await besideOthers(async () => {
    const id = await server.ask("/order");
    for (let attempt = 0; attempt < 300; attempt++) {
      const { status, output, error } = await server.ask(`/order/${id}`);
      if (status === "complete") return output;
      assert.notEqual(status, "errored", JSON.stringify(error));
      await delay(100);
    }
    throw new Error("the Workflow does not end");
  });
  assert.equal(output.length, 12);
  assertApart([output]);
});
