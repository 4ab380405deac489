// @ts-check
// One app for every version of Nitro, on its preset for Workers.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { layProject } from "./project.mjs";
import { openShop } from "./shop.mjs";

/**
 * Defines the test of a suite that has one version of Nitro.
 *
 * @param {string} suite
 * @param {{ program: string, config: (options: string) => string, lines: string[] }} nitro its program; its
 *   configuration from the options; the lines among them that the guide gives
 */
export function testNitro(suite, { program, config, lines }) {
  let shop;

  before(async () => {
    shop = await openShop();
  });

  after(() => shop.close());

  test(`what ${suite} builds for Workers serves from one pool at module scope`, async () => {
    const own = 'compatibilityDate: "2026-10-01", preset: "cloudflare_module", cloudflare: { deployConfig: true }';
    const project = layProject(suite, join(import.meta.dirname, "nitro-app"), {
      "nitro.config.ts": config([own, ...lines].join(", ")),
    });
    const output = project.run(program, ["build"]);
    assert.doesNotMatch(output, /edgepool_bg\.js|unwasm/, "a warning about the WebAssembly");
    const variable = ["--var", `DATABASE_URL:${shop.url}`];
    const server = await project.serve("wrangler", (port) => ["--cwd", ".output", "dev", "--port", port, ...variable]);
    try {
      await shop.visitWorker(server);
      assert.doesNotMatch(server.log, /edgepool:/);
    } finally {
      await server.stop();
    }
  });
}
