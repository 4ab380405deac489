// wrangler without any configuration for the package.

import assert from "node:assert/strict";
import { cpSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { startWorkerd } from "../../integration/workers/workerd.mjs";
import { layProject } from "../project.mjs";
import { openShop } from "../shop.mjs";

const app = join(import.meta.dirname, "app");
let shop;

before(async () => {
  shop = await openShop();
});

after(() => shop.close());

test("wrangler dev serves a Worker with a pool at module scope, and a Durable Object with one", async () => {
  const project = layProject("cloudflare", app, { ".dev.vars": `DATABASE_URL=${shop.url}\n` });
  const server = await project.serve("wrangler", (port) => ["dev", "--port", port]);
  try {
    await shop.visitPool(server, 2, "/object");
    await shop.visitWorker(server);
    assert.doesNotMatch(server.log, /edgepool:|error/i);
  } finally {
    await server.stop();
  }
});

test("what wrangler deploy --dry-run builds runs in workerd", async () => {
  const project = layProject("cloudflare", app);
  const output = project.run("wrangler", ["deploy", "--dry-run", "--outdir", "built"]);
  assert.doesNotMatch(output, /warning|error/i);
  const built = join(project.folder, "built");
  const bundle = (folder) => {
    for (const name of readdirSync(built).filter((name) => !/\.(md|map)$/.test(name)))
      cpSync(join(built, name), join(folder, name === "worker.js" ? "main.js" : name));
  };
  const workerd = await startWorkerd({
    workers: {
      shop: { bundle, vars: { DATABASE_URL: shop.url }, durableObjects: { DATABASE: "Database" } },
    },
  });
  const server = { ask: (path) => workerd.ask(path).then(({ body }) => body) };
  try {
    await shop.visitPool(server, 2, "/object");
    await shop.visitWorker(server);
  } finally {
    await workerd.stop();
  }
});
