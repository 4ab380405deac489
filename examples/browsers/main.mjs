// Reads the titles of twelve pages with two browsers. Needs playwright-core and a Chromium.
// node examples/browsers/main.mjs [<path of Chromium>]

import { chromium } from "playwright-core";
import { browserPool, titleOf } from "./browsers.mjs";

const executablePath = process.argv[2] ?? "/usr/bin/chromium";
const pool = browserPool(() => chromium.launch({ executablePath }));
const urls = Array.from({ length: 12 }, (_, number) => `data:text/html,<title>Page ${number + 1}</title>`);
try {
  console.log((await Promise.all(urls.map((url) => titleOf(pool, url)))).join(", "));
  const { opened, checkouts } = pool.stats();
  console.log(`${checkouts} leases of ${opened} browsers`);
} finally {
  await pool.close();
}
