// The page of edgepool/inspect in headless Chromium: pools of a Node server on a real PostgreSQL under load, and those
// of a Worker. Writes screenshots to target/screenshots, for a person to look at.

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { NullPool, QueuePool } from "edgepool";
import { pg } from "edgepool/dialects/pg";
import { inspect, nodeListener } from "edgepool/inspect";
import { Client } from "pg";
import { chromium } from "playwright-core";
import { startPostgres } from "../../scripts/postgres.mjs";
import { root } from "../../scripts/run.mjs";
import { chromium as findChromium } from "../../scripts/setup.mjs";
import { startWorkerd } from "./workers/workerd.mjs";

const screenshots = join(root, "target", "screenshots");
const launchArguments = [
  "--no-sandbox",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
  "--disable-gpu",
];
const token = "the token of the tests";
const silent = { debug() {}, info() {}, warn() {}, error() {} };

let browser;
let postgres;
let shop;
let load;
let site;
let rig;

async function serve(handler) {
  const server = createServer(nodeListener(handler));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  const stop = async () => {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  };
  return { url: `http://127.0.0.1:${port}/pools?of=tests`, port, stop };
}

async function connectedClient() {
  const client = new Client(postgres.options);
  client.on("error", () => {});
  await client.connect();
  return client;
}

const worker = `
  import { env } from "cloudflare:workers";
  import { QueuePool } from "edgepool";
  import { pg } from "edgepool/dialects/pg";
  import { PoolObject } from "edgepool/durable-object";
  import { inspect } from "edgepool/inspect";
  import { Client } from "pg";

  const creator = async () => {
    const client = new Client(env.DATABASE_URL);
    client.on("error", () => {});
    await client.connect();
    return client;
  };

  export class Database extends PoolObject {
    #inspect;

    constructor(ctx, env) {
      super(ctx, env, creator, { dialect: pg, poolSize: 3, trackLeaks: "stack" });
      this.#inspect = inspect({ pools: this.pool, token: env.INSPECT_TOKEN });
    }

    async fetch(request) {
      if (new URL(request.url).pathname !== "/work") return this.#inspect(request);
      await this.pool.use((client) => client.query("select pg_sleep(0.3)"));
      return new Response("done");
    }
  }

  export default {
    fetch: (request, { DATABASE }) => DATABASE.get(DATABASE.idFromName("main")).fetch(request),
  };
`;

before(async () => {
  mkdirSync(screenshots, { recursive: true });
  browser = await chromium.launch({ executablePath: findChromium(), args: launchArguments });
  postgres = await startPostgres();
  shop = new QueuePool(connectedClient, {
    dialect: pg,
    poolSize: 4,
    maxOverflow: 3,
    timeout: "5s",
    trackLeaks: "stack",
    loggingName: "shop",
    logger: silent,
  });
  const reports = new NullPool(connectedClient, { dialect: pg, loggingName: "reports", logger: silent });
  load = startLoad(shop, reports);
  site = await serve(inspect({ pools: [shop, reports], token }));
  const { host, port, user, password, database } = postgres.options;
  rig = await startWorkerd({
    workers: {
      main: {
        source: worker,
        vars: { DATABASE_URL: `postgres://${user}:${password}@${host}:${port}/${database}`, INSPECT_TOKEN: token },
        compatibilityFlags: ["nodejs_compat"],
        durableObjects: { DATABASE: "Database" },
      },
    },
  });
});

after(async () => {
  await load?.stop();
  await browser?.close();
  await site?.stop();
  await rig?.stop();
  await shop?.close({ timeout: 0 });
  await postgres?.stop();
});

/** Twelve callers that use the pool all the time, one that keeps its lease, and one report now and then. */
function startLoad(pool, reports) {
  let goesOn = true;
  let isBusy = true;
  let forgotten;
  const rest = () => new Promise((resolve) => setTimeout(resolve, 20));
  async function forgetfulReport() {
    forgotten = await pool.connect();
  }
  const work = async () => {
    while (goesOn) {
      if (isBusy) await pool.use((client) => client.query("select pg_sleep(random() * 0.3)")).catch(rest);
      else await rest();
    }
  };
  const report = async () => {
    while (goesOn) {
      if (isBusy) await reports.use((client) => client.query("select pg_sleep(0.2)")).catch(rest);
      await rest();
    }
  };
  const all = [forgetfulReport(), ...Array.from({ length: 12 }, work), report()];
  return {
    /** Lets the callers end, so that the numbers stand still. */
    async pause() {
      isBusy = false;
      while (pool.stats().used > 1 || reports.stats().total > 0) await rest();
    },
    resume: () => (isBusy = true),
    async stop() {
      goesOn = false;
      await Promise.allSettled(all);
      await forgotten?.close();
    },
  };
}

/** Lets five requests use the object's pool all the time; returns what ends that. */
function workInObject() {
  let goesOn = true;
  const work = async () => {
    while (goesOn) await rig.ask("/work");
  };
  const all = Promise.all(Array.from({ length: 5 }, work));
  return () => ((goesOn = false), all);
}

/** Opens the page, runs `use`, and expects that the console stayed clean but for what is `allowed`. */
async function withPage(use, { url = site.url, width = 1280, height = 900, allowed = /^$/, ...context } = {}) {
  const opened = await browser.newContext({
    viewport: { width, height },
    httpCredentials: { username: "tests", password: token },
    ...context,
  });
  const page = await opened.newPage();
  const complaints = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type()) && !allowed.test(message.text())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  try {
    await page.goto(url);
    await use(page);
  } finally {
    await opened.close();
  }
  assert.deepEqual(complaints, []);
}

/** Waits until the page says so, for at most half a minute: other work may share the machine. */
const eventually = (page, condition, argument) => page.waitForFunction(condition, argument, { timeout: 30_000 });

const isLive = (page) =>
  eventually(page, () => document.getElementById("link").textContent === "live" && document.querySelector(".cell"));

/** The numbers of one pool, as the page shows them. */
const numbersOf = (page, name) =>
  page
    .locator(`.pane[aria-label="${name}"] [data-number]`)
    .evaluateAll((pairs) =>
      Object.fromEntries(pairs.map((pair) => [pair.dataset.number, pair.querySelector("dd").textContent])),
    );

/** Every text with too little contrast: what it says, and its ratio. */
const lowContrast = () => {
  const rgb = (text) => text.match(/[\d.]+/g).map(Number);
  const luminance = ([red, green, blue]) => {
    const [r, g, b] = [red, green, blue].map((part) => {
      const value = part / 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const groundOf = (element) => {
    for (let at = element; at !== null; at = at.parentElement) {
      const { backgroundColor } = getComputedStyle(at);
      const [, , , alpha = 1] = rgb(backgroundColor);
      if (alpha > 0) return rgb(backgroundColor);
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.body.querySelectorAll("*")) {
    const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim() !== "");
    if (!hasText || !element.checkVisibility() || element.closest("script, noscript")) continue;
    const [one, other] = [rgb(getComputedStyle(element).color), groundOf(element)].map(luminance);
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < 4.5) found.push(`${element.textContent.trim()}: ${ratio.toFixed(2)}`);
  }
  return found;
};

const isTooWide = (page) =>
  page.evaluate(() => document.documentElement.scrollWidth > innerWidth && document.documentElement.scrollWidth);

// ---- what it shows

test("the page shows every pool live, under load", () =>
  withPage(async (page) => {
    await isLive(page);
    assert.deepEqual(await page.locator(".pane h2").allTextContents(), ["shop", "reports"]);
    assert.match(
      await page.locator(".pane .motto").first().textContent(),
      /^QueuePool · .*FIFO.* · callers wait up to 5 s$/,
    );
    const before = Number((await numbersOf(page, "shop")).checkouts);
    await eventually(
      page,
      (count) => Number(document.querySelector('[data-number="checkouts"] dd').textContent) > count + 20,
      before,
    );
    await eventually(page, () => Number(document.querySelector(".waiting h3 b").textContent) > 0);
    await eventually(page, () => document.querySelector(".slots h3 b").textContent === "7 of at most 7");
    await eventually(page, () => /\d/.test(document.querySelector('[data-number="longestWaitMs"] dd').textContent));
    // The reports' pool opens and closes with every use.
    await eventually(page, () =>
      [...document.querySelectorAll("#log span")].some((one) => one.textContent.startsWith("opened connection")),
    );
    assert.match(await page.locator("#log li").first().textContent(), /^\d\d:\d\d:\d\d(shop|reports)/);
  }));

test("its numbers are those of stats()", async () => {
  await load.pause();
  try {
    await withPage(async (page) => {
      await isLive(page);
      const stats = shop.stats();
      await eventually(
        page,
        (count) => document.querySelector('[data-number="checkouts"] dd').textContent === String(count),
        stats.checkouts,
      );
      const { longestWaitMs, oldestLeaseMs, ...shown } = await numbersOf(page, "shop");
      for (const [name, text] of Object.entries(shown)) assert.equal(text, String(stats[name]), name);
      assert.equal(longestWaitMs, "–");
      assert.match(oldestLeaseMs, /^[\d.]+ m?s$/);
      const pane = page.locator('.pane[aria-label="shop"]');
      assert.equal(await pane.locator(".slots h3 b").textContent(), `${stats.total} of at most 7`);
      const legend = await pane.locator(".legend").innerText();
      assert.match(legend.replace(/\s+/g, " "), new RegExp(`${stats.used} in use ${stats.idle} idle`));
      assert.equal(await pane.locator('.cell[data-state="used"]').count(), 1);
    });
  } finally {
    load.resume();
  }
});

test("the lease that is out for longest is shown with the stack of its checkout", () =>
  withPage(async (page) => {
    await isLive(page);
    const holders = page.locator('.pane[aria-label="shop"] .holders');
    const first = holders.locator("li").first();
    await eventually(page, () => /connection \d+, for/.test(document.querySelector(".holders li")?.textContent));
    assert.match(await first.locator("code").textContent(), /forgetfulReport/);
    await first.locator("summary").click();
    assert.match(await first.locator("pre").innerText(), /inspect-page\.test\.mjs/);
    await page.waitForTimeout(600);
    assert.equal(await first.locator("details").evaluate(({ open }) => open), true);
    const id = /connection (\d+)/.exec(await first.textContent())[1];
    const cell = page.getByRole("button", { name: new RegExp(`^Connection ${id}: in use, `) }).first();
    await cell.click();
    await eventually(page, () =>
      /is in use, its lease out for at least/.test(document.querySelector(".details").textContent),
    );
    assert.match(await page.locator(".pane > .stack").first().innerText(), /forgetfulReport/);
  }));

test("what happens to a connection is in the log, as text", () =>
  withPage(async (page) => {
    await isLive(page);
    const lease = await shop.connect();
    await lease.invalidate(new Error("<b>the cable</b>"));
    await eventually(page, () =>
      [...document.querySelectorAll("#log .is-notable span")].some((one) =>
        /^connection \d+ is not trusted: <b>the cable<\/b>$/.test(one.textContent),
      ),
    );
    await page.getByLabel("only notable events").check();
    await eventually(page, () => document.querySelectorAll("#log li:not(.is-notable)").length === 0);
  }));

test("a pool that is resized and closed while it is watched says so, and the last picture stays", async () => {
  const pool = new QueuePool(() => ({}), { poolSize: 2, loggingName: "<i>small</i>", logger: silent });
  const { url, stop } = await serve(inspect({ pools: pool, token, interval: "50ms" }));
  try {
    await withPage(
      async (page) => {
        await isLive(page);
        assert.equal(await page.locator(".pane h2").textContent(), "<i>small</i>");
        pool.resize({ poolSize: 5, maxOverflow: 0 });
        await eventually(page, () => document.querySelectorAll(".cell").length === 5);
        const lease = await pool.connect();
        const closed = pool.close();
        await eventually(page, () => document.querySelector(".notice").textContent === "the pool is being closed");
        await lease.close();
        await closed;
        await eventually(page, () => document.getElementById("link").textContent === "ended: the pool is closed");
        assert.equal(await page.locator(".notice").textContent(), "the pool is closed");
        assert.equal(await page.locator('.cell:not([data-state="empty"])').count(), 0);
      },
      { url },
    );
  } finally {
    await stop();
  }
});

test("a server that goes away and comes back is connected again", async () => {
  const pool = new QueuePool(() => ({}), { logger: silent });
  const handler = inspect({ pools: pool, token });
  const { url, port, stop } = await serve(handler);
  const server = createServer(nodeListener(handler));
  try {
    await withPage(
      async (page) => {
        await isLive(page);
        await stop();
        await eventually(page, () => document.getElementById("link").textContent.startsWith("no connection"));
        server.listen(port, "127.0.0.1");
        await isLive(page);
      },
      { url, allowed: /Failed to load resource/ },
    );
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

test("a page in a Worker shows the pool of its Durable Object", () =>
  withPage(
    async (page) => {
      const stop = workInObject();
      await isLive(page);
      await eventually(page, () => document.querySelectorAll('.cell[data-state="used"]').length === 3);
      await eventually(page, () => Number(document.querySelector(".waiting h3 b").textContent) > 0);
      assert.equal(await page.locator(".pane h2").textContent(), "Database");
      assert.match(await page.locator(".holders code").first().textContent(), /^at (async )?Database\.fetch /);
      await stop();
      await eventually(page, () => document.querySelectorAll('.cell[data-state="idle"]').length === 3);
    },
    { url: `http://127.0.0.1:${rig.port}/` },
  ));

// ---- for everybody

test("without scripts the page is a table of numbers", () =>
  withPage(
    async (page) => {
      await page.locator("table").first().waitFor();
      assert.match(await page.locator("table").first().innerText(), /^shop\n[^]*checkouts\s+\d+/);
      assert.equal(await isTooWide(page), false);
    },
    { javaScriptEnabled: false, width: 360 },
  ));

test("a screen reader reads only that the connection changes", () =>
  withPage(async (page) => {
    await isLive(page);
    const read = await page.evaluate(
      () =>
        new Promise((resolve) => {
          let changes = 0;
          const isRead = (node) =>
            (node.nodeType === 1 ? node : node.parentElement).closest("[role=status], [aria-live=polite], output") !==
            null;
          new MutationObserver((records) => (changes += records.filter(({ target }) => isRead(target)).length)).observe(
            document.body,
            { subtree: true, childList: true, characterData: true },
          );
          setTimeout(() => resolve(changes), 1500);
        }),
    );
    assert.equal(read, 0);
    const names = await page
      .locator("canvas[role=img]")
      .evaluateAll((all) => all.map((one) => one.getAttribute("aria-label")));
    assert.ok(names.length >= 5 && names.every((name) => name), String(names));
    assert.ok(
      names.some((name) => /^\d+ callers wait$/.test(name)),
      String(names),
    );
  }));

test("the keyboard reaches cells, stacks, filter and log, and the focus can be seen", () =>
  withPage(async (page) => {
    await isLive(page);
    await eventually(page, () => document.querySelector(".holders summary") !== null);
    const reached = new Set();
    for (let press = 0; press < 40; press++) {
      await page.keyboard.press("Tab");
      const { name, isSeen, isBody } = await page.evaluate(() => {
        const { activeElement: one } = document;
        const { outlineStyle, outlineWidth } = getComputedStyle(one);
        return {
          name: one.id || one.className || one.tagName,
          isSeen: outlineStyle !== "none" && Number.parseFloat(outlineWidth) > 0,
          isBody: one === document.body,
        };
      });
      if (isBody) break;
      assert.ok(isSeen, name);
      reached.add(name);
    }
    for (const name of ["cell", "SUMMARY", "only-notable", "log"])
      assert.ok(reached.has(name), [...reached].join(", "));
  }));

test("with reduced motion the picture changes at most once a second", () =>
  withPage(
    async (page) => {
      await isLive(page);
      const changes = await page.evaluate(
        () =>
          new Promise((resolve) => {
            let times = 0;
            const target = document.querySelector('[data-number="checkouts"] dd');
            new MutationObserver(() => times++).observe(target, {
              childList: true,
              characterData: true,
              subtree: true,
            });
            setTimeout(() => resolve(times), 3000);
          }),
      );
      assert.ok(changes >= 1 && changes <= 4, `${changes} changes in three seconds`);
    },
    { reducedMotion: "reduce" },
  ));

test("texts have enough contrast and nothing is too wide, at every width, light and dark", async () => {
  const crowd = new QueuePool(() => ({}), {
    poolSize: 60,
    maxOverflow: 40,
    timeout: "10m",
    loggingName: "crowd",
    logger: silent,
  });
  const leases = await Promise.all(Array.from({ length: 100 }, () => crowd.connect()));
  const waiters = Array.from({ length: 1000 }, () => crowd.connect());
  const name = "a-name-without-any-place-to-break-it-".repeat(4);
  const named = new QueuePool(() => ({}), { loggingName: name, trackLeaks: "stack", logger: silent });
  const lease = await named.connect();
  const other = await serve(inspect({ pools: [crowd, named], token }));
  try {
    for (const [view, url] of [
      ["inspect", site.url],
      ["inspect-crowd", other.url],
      ["inspect-worker", `http://127.0.0.1:${rig.port}/`],
    ]) {
      const stop = view === "inspect-worker" ? workInObject() : () => {};
      const looks = ["light", "dark"].flatMap((colorScheme) => [360, 768, 1440].map((width) => [width, colorScheme]));
      await Promise.all(
        looks.map(([width, colorScheme]) =>
          withPage(
            async (page) => {
              await isLive(page);
              // The lines need a few points to be seen.
              await page.waitForTimeout(1500);
              await page.evaluate(() => document.querySelector(".holders details")?.setAttribute("open", ""));
              const at = `${view}, ${width}, ${colorScheme}`;
              assert.equal(await isTooWide(page), false, at);
              assert.deepEqual(await page.evaluate(lowContrast), [], at);
              await page.screenshot({ path: join(screenshots, `${view}-${width}-${colorScheme}.png`), fullPage: true });
            },
            { url, width, height: width === 360 ? 740 : 900, colorScheme },
          ),
        ),
      );
      await stop();
    }
  } finally {
    await other.stop();
    for (const waiter of waiters) void waiter.then((one) => one.close());
    for (const one of leases) await one.close();
    await lease.close();
  }
});
