// examples/browsers: a pool of browsers, in headless Chromium.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { browserPool, titleOf } from "../../examples/browsers/browsers.mjs";
import { chromium as findChromium } from "../../scripts/setup.mjs";

const executablePath = findChromium();
const silent = { debug() {}, info() {}, warn() {}, error() {} };
const pool = browserPool(() => chromium.launch({ executablePath }), { size: 1, logger: silent });
after(() => pool.close());

test("the example prints the titles in order, and ends by itself", () => {
  const program = fileURLToPath(new URL("../../examples/browsers/main.mjs", import.meta.url));
  const printed = execFileSync(process.execPath, [program, executablePath], { encoding: "utf8", timeout: 60_000 });
  assert.match(printed, /^Page 1, Page 2, .*, Page 12\n12 leases of 2 browsers\n$/);
});

test("what a caller leaves open in a browser is closed at its return", async () => {
  const left = await pool.use(async (browser) => {
    const context = await browser.newContext();
    await context.addCookies([{ name: "session", value: "mine", url: "http://localhost" }]);
    return context.newPage();
  });
  const open = await pool.use((browser) => browser.contexts().length);
  assert.deepEqual([open, left.isClosed(), pool.stats().opened], [0, true, 1]);
});

test("an error of a page costs no browser", async () => {
  await assert.rejects(titleOf(pool, "http://127.0.0.1:1/"), /ERR_/);
  assert.equal(await titleOf(pool, "data:text/html,<title>next</title>"), "next");
  assert.equal(pool.stats().opened, 1);
});

test("a browser that crashes is replaced, idle or in use", async () => {
  const session = await pool.use((browser) => browser.newBrowserCDPSession());
  await session.send("Browser.crash").catch(() => {});
  assert.equal(await titleOf(pool, "data:text/html,<title>idle</title>"), "idle");
  const crashing = pool.use(async (browser) => {
    const page = await browser.newPage();
    const session = await browser.newBrowserCDPSession();
    void session.send("Browser.crash").catch(() => {});
    await page.evaluate(() => new Promise(() => {}));
  });
  await assert.rejects(crashing, /closed/);
  assert.equal(await titleOf(pool, "data:text/html,<title>in use</title>"), "in use");
  assert.equal(pool.stats().opened, 3);
});
