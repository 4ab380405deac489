// OpenNext for Cloudflare with the line that the guide gives for Turbopack.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { linesFor } from "../guide.mjs";
import { layProject } from "../project.mjs";
import { openShop } from "../shop.mjs";

const [line] = linesFor("OpenNext");
let shop;

before(async () => {
  shop = await openShop();
});

after(() => shop.close());

test("what OpenNext builds of a Next.js app serves in Workers from one pool at module scope", async () => {
  const project = layProject("next", join(import.meta.dirname, "shop"), {
    "next.config.mjs": `export default { ${line} };`,
    ".dev.vars": `DATABASE_URL=${shop.url}\n`,
  });
  project.run("opennextjs-cloudflare", ["build"]);
  const server = await project.serve("opennextjs-cloudflare", (port) => ["preview", "--port", port]);
  try {
    await shop.visitWorker(server);
    assert.doesNotMatch(server.log, /edgepool:/);
  } finally {
    await server.stop();
  }
});
