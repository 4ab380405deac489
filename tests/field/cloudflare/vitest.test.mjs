// @cloudflare/vitest-plugin with each of the two lines that the guide gives.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { linesFor } from "../guide.mjs";
import { layProject } from "../project.mjs";
import { openShop } from "../shop.mjs";

const app = join(import.meta.dirname, "app");
const [withWrangler, withRules] = linesFor("`@cloudflare/vitest-plugin`");
let shop;

before(async () => {
  shop = await openShop();
});

after(() => shop.close());

/** Runs Vitest with these options of the plugin, and checks what it says of the app's tests. */
function runVitest(options, files = {}) {
  const project = layProject("cloudflare", app, {
    ...files,
    "vitest.config.mjs": `
      import { cloudflareTest } from "@cloudflare/vitest-plugin";
      import { defineConfig } from "vitest/config";
      export default defineConfig({ plugins: [cloudflareTest({ ${options} })] });
    `,
  });
  assert.match(project.run("vitest", ["run"]), /Tests +3 passed \(3\)/);
}

test("a Worker's tests run in @cloudflare/vitest-plugin with a wrangler.configPath", () => {
  runVitest(withWrangler, { ".dev.vars": `DATABASE_URL=${shop.url}\n` });
});

test("a Worker's tests run in @cloudflare/vitest-plugin with miniflare options and modules rules", () => {
  const bindings = `bindings: { DATABASE_URL: ${JSON.stringify(shop.url)} }`;
  const worker = `compatibilityDate: "2026-10-01", compatibilityFlags: ["nodejs_compat"], ${bindings}`;
  runVitest(`main: "./worker.mjs", miniflare: { ...{ ${withRules} }.miniflare, ${worker} }`);
});
