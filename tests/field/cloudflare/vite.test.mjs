// @cloudflare/vite-plugin without any configuration for the package.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { layProject } from "../project.mjs";
import { openShop } from "../shop.mjs";

const app = join(import.meta.dirname, "app");
let shop;
let project;

before(async () => {
  shop = await openShop();
  project = layProject("cloudflare", app, { ".dev.vars": `DATABASE_URL=${shop.url}\n` });
});

after(() => shop.close());

test("vite dev serves a Worker with a pool at module scope, and a Durable Object with one", async () => {
  const server = await project.serve("vite", (port) => ["dev", "--port", port]);
  try {
    await shop.visitPool(server, 2, "/object");
    await shop.visitWorker(server);
    assert.doesNotMatch(server.log, /edgepool:|error/i);
  } finally {
    await server.stop();
  }
});

test("vite preview serves what vite build makes of it", async () => {
  assert.doesNotMatch(project.run("vite", ["build"]), /warning|error/i);
  const server = await project.serve("vite", (port) => ["preview", "--port", port]);
  try {
    await shop.visitPool(server, 2, "/object");
    await shop.visitWorker(server);
    assert.doesNotMatch(server.log, /edgepool:|error/i);
  } finally {
    await server.stop();
  }
});
