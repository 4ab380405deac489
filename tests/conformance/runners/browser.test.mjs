// @ts-check
// Runs the conformance suite in headless Chromium, bundled as for a browser.

import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { chromium } from "playwright-core";
import { chromium as findChromium } from "../../../scripts/setup.mjs";
import { bundle, report } from "./bundle.mjs";

const entry = `
  import * as topics from "topics";
  import { runAll } from "./suite.mjs";
  globalThis.report = runAll(topics);
`;

test("the conformance suite in headless Chromium", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "edgepool-browser-"));
  await bundle({ entry, outdir: folder, conditions: ["browser"] });
  const server = createServer((request, response) => {
    const isScript = request.url === "/main.js";
    response.setHeader("content-type", isScript ? "text/javascript" : "text/html");
    response.end(
      isScript
        ? readFileSync(join(folder, "main.js"))
        : '<!doctype html><script type="module" src="/main.js"></script>',
    );
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  const browser = await chromium.launch({
    executablePath: findChromium(),
    args: [
      "--no-sandbox",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--no-first-run",
      "--disable-gpu",
    ],
  });
  try {
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${port}/`);
    await page.waitForFunction(() => globalThis.report !== undefined);
    const results = await page.evaluate(() => globalThis.report);
    await report(t, results);
  } finally {
    await browser.close();
    server.close();
    rmSync(folder, { recursive: true, force: true });
  }
});
