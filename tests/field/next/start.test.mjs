// next build and next start: routes on Node, and routes and middleware in the edge runtime, without any configuration
// for the package.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { layProject } from "../project.mjs";
import { openShop } from "../shop.mjs";

const route = join(import.meta.dirname, "edge", "app", "edge", "route.js");
const edge = 'export const runtime = "edge";';
let shop;

before(async () => {
  shop = await openShop();
});

after(() => shop.close());

for (const [bundler, flags] of Object.entries({ Turbopack: [], webpack: ["--webpack"] })) {
  test(`a route on Node that ${bundler} built serves from the connections of its pool`, async () => {
    const project = layProject("next", join(import.meta.dirname, "shop"));
    project.run("next", ["build", ...flags]);
    const server = await project.serve("next", (port) => ["start", "--port", port], { DATABASE_URL: shop.url });
    try {
      await shop.visitPool(server, 2);
    } finally {
      await server.stop();
    }
  });

  test(`a route and a middleware in the edge runtime that ${bundler} built have rows`, async () => {
    // Next.js 16.4.6 fails to build any route of the edge runtime with webpack: findings/next-webpack-edge-route.sh.
    const files = bundler === "webpack" ? { "app/edge/route.js": readFileSync(route, "utf8").replace(edge, "") } : {};
    const project = layProject("next", join(import.meta.dirname, "edge"), files);
    project.run("next", ["build", ...flags]);
    const server = await project.serve("next", (port) => ["start", "--port", port]);
    try {
      const response = await server.fetch("/edge");
      assert.equal(response.headers.get("x-rows"), "SELECT 'middleware',SELECT 'slim'");
      assert.deepEqual(await response.json(), [{ text: "SELECT 'route'" }]);
    } finally {
      await server.stop();
    }
  });
}
