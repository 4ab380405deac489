// The demo page (www/), as npm run demo serves it: its experiments in Node, the page itself in headless Chromium.
// Writes screenshots to target/screenshots, for a person to look at.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";
import { serveDemo } from "../../scripts/demo.mjs";
import { root } from "../../scripts/run.mjs";
import { chromium as findChromium } from "../../scripts/setup.mjs";
import { Experiment } from "../../www/experiment.js";
import { isRepeatable, mostActions, readLink, writeLink } from "../../www/link.js";
import { comparisonStarts, scenarios } from "../../www/scenarios.js";
import { defaults, settings } from "../../www/settings.js";

const screenshots = join(root, "target", "screenshots");
const launchArguments = [
  "--no-sandbox",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
  "--disable-gpu",
];

// ---------------------------------------------------------------- the experiments, without a page

const always = () => true;

function experiment(set = {}, { compare = "one", script = [], seed = 7 } = {}) {
  return new Experiment({
    initial: { ...defaults, ...set },
    compare,
    script: script.map(({ at, action, value = "" }) => ({ at, action, value })),
    seed,
  });
}

/** What a run came to: its log, and how every caller left. */
const account = ({ lines, panes }) => JSON.stringify([lines, panes.map(({ left }) => left)]);

test("an experiment is the same however its time is cut into frames", async () => {
  const script = [
    { at: 1500, action: "restart" },
    { at: 4000, action: "poolSize", value: "8" },
    { at: 6000, action: "query", value: "800" },
  ];
  const inOne = experiment({ queryFailures: 5, openFailures: 5 }, { script });
  await inOne.advance(12_000, always);
  const inFrames = experiment({ queryFailures: 5, openFailures: 5 }, { script });
  for (let end = 0; end < 12_000; end = Math.min(12_000, end + 17)) {
    await inFrames.advance(end, always);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await inFrames.advance(12_000, always);
  assert.equal(account(inFrames), account(inOne));
});

test("the picture agrees with the pool's own numbers, for every kind, scenario and comparison", async () => {
  const runs = [
    ...settings.kind.choices.map((kind) => [kind, experiment({ kind, queryFailures: 5, openFailures: 10 })]),
    // From outside it cannot be seen whose check of a shared connection is under way: there only the pool's number is
    // shown.
    ...["QueuePool", "AssertionPool"].map((kind) => [
      `${kind}, which checks and recycles`,
      experiment({ kind, queryFailures: 5, openFailures: 10, maxUses: 7, recycle: 5000, prePing: true }),
    ]),
    ...scenarios.map(({ name, set, script }) => [name, experiment(set, { script })]),
    ...Object.entries(comparisonStarts).map(([compare, { set, script }]) => [
      compare,
      experiment(set, { compare, script }),
    ]),
    ...Object.entries({ maxOverflow: "0", poolSize: "4", kind: "StaticPool", maxUses: "3" }).map(([action, value]) => [
      `${action} becomes ${value}`,
      experiment({ rate: 20, waves: 0, query: 800, timeout: 10_000 }, { script: [{ at: 4500, action, value }] }),
    ]),
    ["silent deaths", experiment({ silent: true, prePing: true }, { script: [{ at: 3000, action: "restart" }] })],
  ];
  for (const [name, run] of runs) {
    for (let end = 200; end <= 16_000; end += 200) {
      await run.advance(end, always);
      for (const pane of run.panes) {
        const stats = pane.pool.stats();
        const shown = { idle: 0, used: 0, opening: 0, closing: 0 };
        const place = {
          used: "used",
          forgotten: "used",
          resetting: "used",
          checking: "used",
          dead: "idle",
          idle: "idle",
          opening: "opening",
          closing: "closing",
        };
        const at = `${name}, pane ${pane.name}, ${end} ms`;
        assert.ok(pane.places.length <= stats.max, `${at}: no more places than connections allowed`);
        for (const connection of pane.places) if (connection) shown[place[pane.stateOf(connection)]]++;
        const queue = [...pane.queue()];
        assert.equal(queue.length, stats.waiting, `${at}: waiters`);
        const served = pane.places.filter((connection) => ["opening", "checking"].includes(connection?.doing));
        for (const connection of served)
          assert.ok(!queue.includes(pane.servedBy(connection)), `${at}: a caller is in the queue or served, not both`);
        assert.equal(shown.idle, stats.idle, `${at}: idle`);
        // A connection that is closed to make room for its replacement is opening, for the pool: it counts slots.
        assert.ok(shown.opening <= stats.opening, `${at}: opening`);
        assert.equal(
          shown.used + shown.opening + shown.closing,
          stats.used + stats.opening + stats.closing,
          `${at}: in use or on the way`,
        );
      }
    }
    const { left } = run.panes[0];
    assert.ok(left.served > 10, `${name}: ${JSON.stringify(left)}`);
  }
});

/** A pool may wake a caller so much later, to set fewer timers. */
const slackMs = 20;

test("no caller waits longer than the patience that the picture shows, whichever option limits it", async () => {
  for (const [set, patienceMs] of [
    [{ timeout: 10_000, deadline: 1000 }, 1000],
    [{ timeout: null, deadline: 2000 }, 2000],
    [{ timeout: 500, deadline: 2000 }, 500],
    [{ timeout: null }, Infinity],
    [{ kind: "AssertionPool", timeout: 500 }, Infinity],
  ]) {
    const run = experiment({ rate: 20, waves: 0, ...set });
    const [pane] = run.panes;
    assert.equal(pane.patienceMs, patienceMs, JSON.stringify(set));
    for (let end = 50; end <= 4000; end += 50) {
      await run.advance(end, always);
      for (const caller of pane.queue())
        assert.ok(
          run.now - caller.askedAt <= patienceMs + slackMs,
          `${JSON.stringify(set)}: caller ${caller.id} at ${end} ms`,
        );
    }
  }
});

test("the first ten seconds show overflow, waiting and a time-out", async () => {
  const run = experiment();
  let mostWaiting = 0;
  let mostConnections = 0;
  for (let end = 100; end <= 10_000; end += 100) {
    await run.advance(end, always);
    const { waiting, total } = run.panes[0].pool.stats();
    mostWaiting = Math.max(mostWaiting, waiting);
    mostConnections = Math.max(mostConnections, total);
  }
  const { timedOut, served } = run.panes[0].left;
  assert.ok(
    mostConnections > defaults.poolSize && mostWaiting > 2 && timedOut > 0 && served > 10 * timedOut,
    JSON.stringify({ mostConnections, mostWaiting, timedOut, served }),
  );
});

test("first out first and latest first differ within five seconds, and go on to", async () => {
  const { set, script } = comparisonStarts.lifo;
  const run = experiment(set, { compare: "lifo", script });
  for (let end = 4000; end <= 12_000; end += 1000) {
    await run.advance(end, always);
    const [fifo, lifo] = run.panes.map(({ pool }) => pool.stats().total);
    assert.ok(fifo >= lifo + 2, `${fifo} and ${lifo} connections at ${end} ms`);
  }
});

test("a link brings back what it was written from, and what it does not understand is left out", () => {
  const run = experiment(
    { timeout: null, maxWaiters: Infinity, recycle: 5000, useLifo: true, maxOverflow: -1 },
    {
      compare: "lifo",
      seed: 12,
      script: [
        { at: 10, action: "recycle", value: "-1" },
        { at: 20, action: "kill", value: "A3" },
      ],
    },
  );
  const link = writeLink({ experiment: run, speed: 20, isPaused: true, tab: "real", sql: "SELECT 1 -- #&=" });
  const { initial, compare, seed, script, speed, isPaused, tab, sql } = readLink(`#${link}`);
  assert.deepEqual(
    { initial, compare, seed, script, speed, isPaused, tab, sql },
    {
      initial: run.initial,
      compare: "lifo",
      seed: 12,
      script: run.script,
      speed: 20,
      isPaused: true,
      tab: "real",
      sql: "SELECT 1 -- #&=",
    },
  );
  assert.deepEqual(
    readLink("#poolSize=-5&kind=Evil&speed=3&seed=x&script=1-constructor-2_2-kill-A1&compare=constructor&rate=1e9")
      .initial,
    defaults,
  );
  assert.deepEqual(readLink("#script=1-constructor_1234567890-restart").script, [
    { at: 1_234_567_890, action: "restart", value: "" },
  ]);
  assert.equal(
    writeLink({
      experiment: experiment({}, { script: [{ at: 4000, action: "restart", value: undefined }] }),
      speed: 1,
      isPaused: false,
      tab: "simulation",
    }),
    "script=4000-restart",
  );
  assert.equal(writeLink({ experiment: experiment(), speed: 1, isPaused: false, tab: "simulation" }), "");
});

test("a number that no pool takes is left out of a link, and an empty one is none", () => {
  const numeric = Object.entries(settings).filter(([, { stops }]) => stops);
  for (const text of ["2.5", "-0.5", "", " ", "1e1", "0x2"]) {
    for (const [name] of numeric)
      assert.equal(
        readLink(new URLSearchParams({ [name]: text }).toString()).initial[name],
        defaults[name],
        `${name}=${text}`,
      );
  }
  assert.equal(readLink("query=123").initial.query, 123);
});

test("every whole number of a link makes a pool", async () => {
  for (const [name, { of, stops }] of Object.entries(settings)) {
    if (of !== "pool" || !stops) continue;
    const numbers = stops.filter(Number.isFinite);
    for (const kind of settings.kind.choices) {
      for (const value of [
        Math.min(...numbers),
        Math.min(...numbers) + 1,
        Math.max(...numbers) - 1,
        Math.max(...numbers),
      ])
        await experiment({ kind, [name]: value }).advance(500, always);
    }
  }
});

test("a restarted experiment keeps its script and the visitor's settings, and no other act", async () => {
  const run = experiment(
    { rate: 8 },
    {
      script: [
        { at: 4000, action: "restart" },
        { at: 5000, action: "query", value: "800" },
      ],
    },
  );
  await run.advance(2000, always);
  run.perform("rate", "20");
  run.perform("restart");
  await run.advance(6000, always);
  run.perform("rate", "12");
  assert.equal(run.isChanged, true);
  const { initial, script, seed, compare } = run.restarted;
  assert.deepEqual({ initial, seed, compare }, { initial: { ...defaults, rate: 12 }, seed: 7, compare: "one" });
  assert.deepEqual(script, [
    { at: 4000, action: "restart", value: "" },
    { at: 5000, action: "query", value: "800" },
  ]);
});

test("a slider that moved on within one moment leaves one line in the log, as its link does", async () => {
  const run = experiment();
  await run.advance(1000, always);
  for (const query of ["500", "800", "1000"]) run.perform("query", query);
  await run.advance(3000, always);
  const { initial, compare, seed, script } = readLink(
    writeLink({ experiment: run, speed: 1, isPaused: false, tab: "simulation" }),
  );
  const again = new Experiment({ initial, compare, seed, script });
  await again.advance(3000, always);
  const told = ({ lines }) => lines.map(({ at, text }) => `${at} ${text}`);
  assert.deepEqual(told(again), told(run));
});

test("a step with nothing to come stays where it is", async () => {
  const run = experiment({ rate: 0 });
  assert.equal(await run.step(), false);
  assert.equal(run.now, 0);
  run.perform("rate", "8");
  run.perform("rate", "0");
  assert.equal(await run.step(), false);
  const planned = experiment({ rate: 0 }, { script: [{ at: 700, action: "restart" }] });
  assert.equal(await planned.step(), true);
  assert.equal(planned.now, 700);
});

test("a link whose script would be too long begins at 0 with the current settings", () => {
  const run = experiment();
  for (let turn = 0; turn <= mostActions; turn++)
    run.perform(turn % 2 === 0 ? "rate" : "query", turn % 2 === 0 ? "12" : "500");
  assert.equal(isRepeatable(run), false);
  const { initial, script, at } = readLink(
    writeLink({ experiment: run, speed: 1, isPaused: false, tab: "simulation" }),
  );
  assert.deepEqual({ initial, script, at }, { initial: { ...defaults, rate: 12, query: 500 }, script: [], at: 0 });
});

// ---------------------------------------------------------------- the page

let server;
let url;
let browser;

before(async () => {
  mkdirSync(screenshots, { recursive: true });
  ({ server, url } = await serveDemo(0));
  browser = await chromium.launch({ executablePath: findChromium(), args: launchArguments });
});

after(async () => {
  await browser?.close();
  server?.close();
});

/** Opens the page, runs `use`, and expects that the console stayed clean but for what is `allowed`. */
async function withPage(hash, use, { width = 1280, height = 900, colorScheme = "light", allowed = /^$/ } = {}) {
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme,
    permissions: ["clipboard-read", "clipboard-write"],
  });
  const page = await context.newPage();
  const complaints = [];
  page.on(
    "console",
    (message) =>
      ["error", "warning"].includes(message.type()) && !allowed.test(message.text()) && complaints.push(message.text()),
  );
  page.on("pageerror", (error) => complaints.push(String(error)));
  try {
    await page.goto(hash === "" ? url : `${url}#${hash}`);
    await page.waitForFunction(
      () =>
        globalThis.demo?.experiment !== undefined &&
        document.querySelector(".cell") !== null &&
        !globalThis.demo.isOnTheWay,
    );
    await use(page);
  } finally {
    await context.close();
  }
  assert.deepEqual(complaints, []);
}

const number = async (page, selector) => Number.parseInt(await page.locator(selector).first().textContent(), 10);
const waiting = (page) => number(page, ".waiting h3 b");
const connections = (page) => number(page, ".slots h3 b");
/** How many connections there are, as the picture says it. */
const total = async (page) =>
  `${await page.locator(".slots h3 b").textContent()} ${await page.locator(".slots h3 small").textContent()}`;
/** All that the legend counts, but for the empty places. */
const legendSum = (page) =>
  page
    .locator(".legend li")
    .evaluateAll((items) =>
      items
        .filter(({ hidden, textContent }) => !hidden && !textContent.includes("empty"))
        .reduce((sum, { textContent }) => sum + Number.parseInt(textContent, 10), 0),
    );
const clock = (page) => page.locator("#clock").textContent();

/** Waits until the page says so, for at most half a minute: other work may share the machine. */
const eventually = (page, condition, argument) => page.waitForFunction(condition, argument, { timeout: 30_000 });

test("only the folders of the page are served, under a policy that allows WebAssembly and no eval", async () => {
  const policy = (await fetch(url)).headers.get("content-security-policy");
  assert.match(policy, /script-src 'self' 'wasm-unsafe-eval';/);
  assert.doesNotMatch(policy, /'unsafe-/);
  for (const path of [
    "package.json",
    "www/../package.json",
    "www/%2e%2e/package.json",
    "www/..%2fpackage.json",
    "node_modules/pg/package.json",
    "www/absent.js",
    ".git/config",
  ]) {
    assert.equal((await fetch(new URL(`/${path}`, url))).status, 404, path);
  }
});

test("a request that cannot be read is refused, and the server goes on", async () => {
  const statusOf = (line) =>
    new Promise((resolve, reject) => {
      const socket = connect(server.address().port, "127.0.0.1", () =>
        socket.write(`GET ${line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`),
      );
      let text = "";
      socket
        .on("data", (bytes) => (text += bytes))
        .on("end", () => resolve(Number(text.split(" ")[1])))
        .on("error", reject);
    });
  for (const line of ["//", "http://[", "/www/%00.html", "/www/%ff"]) assert.equal(await statusOf(line), 400, line);
  assert.equal(await statusOf("/www/"), 200);
});

test("a link with a fraction opens the page, and its time goes on", () =>
  withPage("poolSize=2.5&script=100-minIdle-9.5", async (page) => {
    await eventually(page, () => globalThis.demo.experiment.now > 300);
    assert.equal(await page.locator(".cell").count(), defaults.poolSize + defaults.maxOverflow);
  }));

test("an experiment that cannot go on says why, and another one can begin", () =>
  withPage("", async (page) => {
    await page.evaluate(() => (globalThis.demo.experiment.advance = () => Promise.reject(new Error("the sky fell"))));
    await eventually(page, () => document.getElementById("lag").textContent.includes("the sky fell"));
    await page.getByRole("button", { name: "Start over" }).click();
    await eventually(
      page,
      () => globalThis.demo.experiment.now > 300 && document.getElementById("lag").textContent === "",
    );
  }));

test("a slider changes the picture while it runs", () =>
  withPage("rate=2&waves=0", async (page) => {
    await page.getByLabel("Query time").focus();
    await page.keyboard.press("End");
    await page.getByLabel("Callers per second").focus();
    await page.keyboard.press("End");
    await eventually(page, () => Number(document.querySelector(".waiting h3 b").textContent) > 50);
    assert.equal(await connections(page), 8);
    assert.equal(await page.locator(".cell").count(), 8);
    await page.getByLabel("poolSize").focus();
    for (let press = 0; press < 3; press++) await page.keyboard.press("ArrowRight");
    await eventually(page, () => document.querySelectorAll(".cell").length >= 11);
  }));

test("pause stands still, a step goes on to the next thing that happens, and the world goes on", () =>
  withPage("", async (page) => {
    await page.getByRole("button", { name: "Pause" }).click();
    // The first frame of the pause shows milliseconds.
    await eventually(page, () => /\.\d{3}$/.test(document.getElementById("clock").textContent));
    const stopped = await clock(page);
    await page.waitForTimeout(300);
    assert.equal(await clock(page), stopped);
    const told = await page.evaluate(() => globalThis.demo.experiment.linesWritten);
    await page.getByRole("button", { name: "Step" }).click();
    await eventually(page, (before) => globalThis.demo.experiment.linesWritten > before, told);
    const stepped = await clock(page);
    assert.notEqual(stepped, stopped);
    await page.waitForTimeout(300);
    assert.equal(await clock(page), stepped);
    await page.getByRole("button", { name: "Resume" }).click();
    await eventually(page, (text) => document.getElementById("clock").textContent !== text, stepped);
  }));

test("after a change of the pool its connections stand in its places, the old pool's in a frame", async () => {
  for (const [change, max] of [
    ["maxOverflow-0", 5],
    ["poolSize-4", 7],
    ["kind-StaticPool", 1],
    ["useLifo-yes", 8],
  ]) {
    await withPage(
      `rate=20&waves=0&query=3000&timeout=10000&script=3000-${change}&at=4500&paused=yes`,
      async (page) => {
        const ids = (area) =>
          page
            .locator(`${area} .cell:not([data-state="empty"])`)
            .evaluateAll((cells) =>
              cells.map((cell) => Number(/\d+/.exec(cell.getAttribute("aria-label"))[0])).sort((a, b) => a - b),
            );
        const before = await ids(".before");
        const now = [...(await ids(".slots > .cells")), ...(await ids(".overflow"))].sort((a, b) => a - b);
        assert.equal(now.length, max, change);
        assert.ok(before.length > 0 && Math.max(...before) < Math.min(...now), `${change}: ${before} before ${now}`);
        assert.equal(await total(page), `${max} of at most ${max} + ${before.length} earlier`);
        assert.match(await page.locator(".before .hint").textContent(), new RegExp(`^earlier: ${before.length},`));
        assert.equal(await page.locator(".before").isVisible(), true);
        assert.equal(await legendSum(page), max + before.length);
      },
    );
  }
});

test("the bars of the queue show a deadline, too", () =>
  withPage("rate=20&waves=0&timeout=null&deadline=1000&at=3000&paused=yes", async (page) => {
    assert.equal(await page.locator(".waiting .hint").textContent(), "bars show the remaining patience");
  }));

test("the counts under the picture add up to the connections, also of those that have no cell", async () => {
  await withPage("rate=500&kind=NullPool&query=5000&connect=5000&at=4000&paused=yes", async (page) => {
    const all = await connections(page);
    assert.ok(all > 1000, String(all));
    assert.equal(await legendSum(page), all);
    assert.match(await page.locator(".slots").innerText(), new RegExp(`300 of ${all} are shown`));
  });
  await withPage("kind=StaticPool&rate=10&waves=0&script=3000-invalidateAll&at=3500&paused=yes", async (page) => {
    assert.equal(await total(page), "1 of at most 1 + 1 earlier");
    assert.equal(await legendSum(page), 2);
    assert.match(await page.locator(".before .cell").getAttribute("aria-label"), /^Connection 1: in use/);
  });
  await withPage("at=3000&paused=yes", async (page) =>
    assert.match(await page.locator(".charts").innerText(), /Lent \(in use or resetting\)/),
  );
});

test("a killed connection is replaced", () =>
  withPage("rate=8&waves=0&at=3000&paused=yes", async (page) => {
    const cell = page.locator('.cell[data-state="used"]').first();
    const name = await cell.getAttribute("aria-label");
    const id = /Connection (\d+)/.exec(name)[1];
    await cell.click();
    await page.getByRole("button", { name: "Kill it" }).click();
    await page.getByRole("button", { name: "Resume" }).click();
    await eventually(
      page,
      (dead) =>
        ![...document.querySelectorAll(".cell")].some((one) =>
          one.getAttribute("aria-label").startsWith(`Connection ${dead}:`),
        ),
      id,
    );
    await eventually(
      page,
      (dead) =>
        [...document.querySelectorAll("#log li")].some((line) =>
          line.textContent.includes(`connection ${dead} is not trusted`),
        ),
      id,
    );
    const opened = await page.evaluate(() => globalThis.demo.experiment.panes[0].pool.stats().opened);
    await eventually(
      page,
      (before) =>
        globalThis.demo.experiment.panes[0].pool.stats().opened > before - 1 &&
        document.querySelectorAll('.cell[data-state="used"]').length > 2,
      opened,
    );
    assert.equal(await page.evaluate(() => globalThis.demo.experiment.panes[0].pool.stats().invalidated), 1);
  }));

test("restart, invalidate all and dispose reach the pool", () =>
  withPage("rate=8&waves=0&at=3000", async (page) => {
    await page.getByRole("button", { name: "Invalidate all" }).click();
    await eventually(page, () => globalThis.demo.experiment.panes[0].pool.stats().recycled > 0);
    await page.getByRole("button", { name: "Restart the server" }).click();
    await eventually(
      page,
      () =>
        !document.querySelector(".notice").hidden && globalThis.demo.experiment.panes[0].pool.stats().invalidated > 0,
    );
    await eventually(page, () => document.querySelector(".notice").hidden);
    await page.getByRole("button", { name: "Dispose" }).click();
    await eventually(page, () => globalThis.demo.experiment.lines.some(({ text }) => text.startsWith("dispose()")));
  }));

test("every kind of pool and every option can be chosen while it runs", () =>
  withPage("rate=8&waves=0", async (page) => {
    await page.locator(".controls summary").first().click();
    for (const kind of settings.kind.choices.toReversed()) {
      await page.getByLabel("Kind of pool").selectOption(kind);
      await eventually(page, (wanted) => document.querySelector(".pane h2").textContent === wanted, kind);
      await page.waitForTimeout(150);
    }
    for (const [name, { option, stops }] of Object.entries(settings)) {
      if (!option) continue;
      const input = page.locator(`.controls [name="${name}"]`);
      if (stops) {
        await input.focus();
        await page.keyboard.press("End");
        await page.keyboard.press("Home");
      } else if (await input.evaluate(({ tagName }) => tagName === "SELECT")) await input.selectOption("commit");
      else await input.check();
    }
    await eventually(page, () => globalThis.demo.experiment.panes[0].pool.stats().checkouts > 3);
  }));

test("an address restores the whole state, changes on the way included", () =>
  withPage("rate=12&paused=yes&at=2000", async (page) => {
    for (const label of ["Query time", "Callers per second", "poolSize"]) {
      await page.getByLabel(label).focus();
      await page.keyboard.press("ArrowRight");
      await page.keyboard.press("ArrowRight");
    }
    await page.getByRole("button", { name: "Kill a connection" }).click();
    for (let step = 0; step < 5; step++) await page.getByRole("button", { name: "Step" }).click();
    await page.getByLabel("maxOverflow").focus();
    await page.keyboard.press("ArrowRight");
    for (let step = 0; step < 25; step++) await page.getByRole("button", { name: "Step" }).click();
    await page.getByRole("button", { name: "Copy link" }).click();
    const link = await page.evaluate(() => navigator.clipboard.readText());
    assert.equal(link, page.url());
    const state = () => [
      document.getElementById("clock").textContent,
      document.querySelector(".flow").innerText,
      [...document.querySelectorAll(".cell")].map((cell) => cell.getAttribute("aria-label")),
      document.getElementById("log").innerText,
      [...document.querySelectorAll(".setting-value")].map((output) => output.textContent),
    ];
    const wanted = await page.evaluate(state);
    await page.reload();
    await eventually(page, (text) => document.getElementById("clock").textContent === text, wanted[0]);
    await page.waitForTimeout(300);
    assert.deepEqual(await page.evaluate(state), wanted);
    await withPage(link.split("#")[1], async (other) => {
      await eventually(other, (text) => document.getElementById("clock").textContent === text, wanted[0]);
      await other.waitForTimeout(300);
      assert.deepEqual(await other.evaluate(state), wanted);
    });
  }));

test("starting over keeps the scenario's later changes and the visitor's settings", () =>
  withPage("", async (page) => {
    await page.getByRole("button", { name: "Server restarts" }).click();
    await page.getByLabel("poolSize").focus();
    await page.keyboard.press("ArrowRight");
    await page.getByRole("button", { name: "Start over" }).click();
    await eventually(page, () => globalThis.demo.experiment.script.length === 1);
    assert.deepEqual(await page.evaluate(() => globalThis.demo.experiment.script), [
      { at: 4000, action: "restart", value: "" },
    ]);
    assert.equal(await page.evaluate(() => globalThis.demo.experiment.initial.poolSize), 6);
    assert.match(await page.locator("#says").textContent(), /^“Server restarts” with your settings/);
    await page.getByRole("spinbutton", { name: "Seed" }).fill("12");
    await page.keyboard.press("Enter");
    assert.deepEqual(
      await page.evaluate(() => [globalThis.demo.experiment.seed, globalThis.demo.experiment.script.length]),
      [12, 1],
    );
  }));

test("a scenario is no longer pressed once a setting is another", () =>
  withPage("", async (page) => {
    await page.getByRole("button", { name: "Rush hour" }).click();
    assert.equal(await page.getByRole("button", { name: "Rush hour" }).getAttribute("aria-pressed"), "true");
    await page.getByLabel("Kind of pool").selectOption("NullPool");
    await eventually(page, () => document.getElementById("says").textContent.startsWith("“Rush hour”, changed by you"));
    assert.equal(await page.locator('#scenarios [aria-pressed="true"]').count(), 0);
  }));

test("the page says so if a copied link cannot hold every change", () =>
  withPage("rate=3", async (page) => {
    await page.evaluate(async (most) => {
      for (let turn = 0; turn <= most; turn++) globalThis.demo.experiment.perform("rate", turn % 2 === 0 ? "4" : "5");
    }, mostActions);
    await page.getByRole("button", { name: "Copy link" }).click();
    await eventually(page, () => /begins at 0/.test(document.getElementById("link-says").textContent));
  }));

test("a link with a change to a scenario does not say that it is the scenario, and a comparison keeps the change", () =>
  withPage("script=700-poolSize-4&at=1150&paused=yes", async (page) => {
    await eventually(page, () =>
      document.getElementById("says").textContent.startsWith("“Normal day”, changed by you"),
    );
    assert.equal(await page.locator("#scenarios [aria-pressed=true]").count(), 0);
    await page.getByRole("button", { name: "QueuePool | NullPool" }).click();
    await eventually(page, () => globalThis.demo.experiment.compare === "nullPool");
    assert.ok(
      await page.evaluate(() =>
        globalThis.demo.experiment.script.some(({ action, value }) => action === "poolSize" && value === "4"),
      ),
    );
  }));

test("a comparison takes the visitor's own settings, and Back brings back what was before a scenario", () =>
  withPage("rate=20&poolSize=9", async (page) => {
    const has = (compare, poolSize) =>
      eventually(
        page,
        ([wanted, size]) =>
          globalThis.demo.experiment.compare === wanted && globalThis.demo.experiment.current.poolSize === size,
        [compare, poolSize],
      );
    await page.getByRole("button", { name: "FIFO | LIFO" }).click();
    await has("lifo", 9);
    await page.getByRole("button", { name: "One pool" }).click();
    await has("one", 9);
    await page.getByRole("button", { name: "One pool" }).click();
    await has("one", 9);
    await page.getByRole("button", { name: "Calm" }).click();
    await has("one", defaults.poolSize);
    await page.goBack();
    await has("one", 9);
    assert.equal(await page.getByLabel("poolSize").getAttribute("aria-valuetext"), "9");
  }));

test("the settings show what is, also after another address was opened", () =>
  withPage("", async (page) => {
    await page.getByLabel("Callers per second").focus();
    await page.keyboard.press("ArrowRight");
    await eventually(page, () => globalThis.demo.experiment.current.rate === 9);
    await page.evaluate(() => (location.hash = "script=100-rate-50&at=1000&paused=yes"));
    await eventually(page, () => globalThis.demo.experiment.now === 1000 && !globalThis.demo.isOnTheWay);
    await eventually(page, () => document.querySelector('[name="rate"]').getAttribute("aria-valuetext") === "50");
  }));

test("on the way to the moment of a link acts are blocked, the address keeps it, and Stop ends it", () =>
  withPage("", async (page) => {
    await page.evaluate(() => (location.hash = "at=999999999&rate=500"));
    await eventually(page, () => globalThis.demo.isOnTheWay);
    assert.equal(await page.locator("#deeds").evaluate(({ inert }) => inert), true);
    assert.match(await page.locator("#lag").textContent(), /^going to 999999.999|^going to 1000000.0/);
    await page.getByRole("button", { name: "Copy link" }).click();
    assert.match(page.url(), /at=999999999/);
    await page.getByRole("button", { name: "Stop" }).click();
    await eventually(
      page,
      () => !globalThis.demo.isOnTheWay && document.getElementById("pause").textContent === "Resume",
    );
    assert.equal(await page.locator("#deeds").evaluate(({ inert }) => inert), false);
    assert.ok(await page.evaluate(() => globalThis.demo.experiment.now < 999_999_999));
  }));

test("a step with nothing to come says so and stays", () =>
  withPage("rate=0&paused=yes", async (page) => {
    await page.getByRole("button", { name: "Step" }).click();
    await eventually(page, () => document.getElementById("lag").textContent === "nothing more will happen by itself");
    assert.equal(await clock(page), "0:00.000");
  }));

test("a screen reader reads only changes: nothing that changes with every frame is a live region", () =>
  withPage("at=2000", async (page) => {
    const told = await page.evaluate(
      () =>
        new Promise((resolve) => {
          let changes = 0;
          const isLive = (node) =>
            (node.nodeType === 1 ? node : node.parentElement).closest(
              '[role="status"], [aria-live="polite"], output:not([aria-live="off"])',
            ) !== null;
          const observer = new MutationObserver(
            (records) => (changes += records.filter(({ target }) => isLive(target)).length),
          );
          observer.observe(document.body, { subtree: true, childList: true, characterData: true });
          const { now } = globalThis.demo.experiment;
          const look = () => {
            if (globalThis.demo.experiment.now < now + 1000) requestAnimationFrame(look);
            else resolve(changes);
          };
          look();
        }),
    );
    assert.ok(told <= 2, `${told} changes in a second`);
  }));

test("two panes run on the same load", () =>
  withPage("", async (page) => {
    await page.getByRole("button", { name: "QueuePool | NullPool" }).click();
    await page.locator("#speed").focus();
    for (let press = 0; press < 2; press++) await page.keyboard.press("ArrowRight");
    await eventually(page, () => globalThis.demo.experiment.now > 8000);
    const panes = await page.evaluate(() =>
      globalThis.demo.experiment.panes.map(({ left, pending, places, settings, pool }) => ({
        kind: settings.kind,
        opened: pool.stats().opened,
        came: Object.values(left).reduce((sum, one) => sum + one) + pending.size,
        places: places.length,
      })),
    );
    assert.deepEqual(
      panes.map(({ kind }) => kind),
      ["QueuePool", "NullPool"],
    );
    assert.ok(panes[1].opened > 2 * panes[0].opened, JSON.stringify(panes));
    const arrivals = await page.evaluate(() =>
      globalThis.demo.experiment.panes.map(({ lastToLeave }) => Math.min(...lastToLeave.map(({ id }) => id))),
    );
    assert.deepEqual(
      arrivals.map((first) => first <= 3),
      [true, true],
    );
    await page.getByRole("button", { name: "FIFO | LIFO" }).click();
    await eventually(
      page,
      () =>
        [...document.querySelectorAll(".pane .motto")]
          .map(({ textContent }) => /FIFO|LIFO/.exec(textContent)?.[0])
          .join() === "FIFO,LIFO",
    );
  }));

test("SQLite answers a query and runs its load through the pool", () =>
  withPage("tab=real", async (page) => {
    await eventually(page, () => document.querySelectorAll("#sql-result tbody tr").length === 4);
    await page.getByLabel("SQL", { exact: true }).fill("SELECT 6 * 7 AS answer, NULL AS unknown");
    await page.keyboard.press("Control+Enter");
    await eventually(page, () => document.querySelector("#sql-result td")?.textContent === "42");
    await page.getByLabel("SQL", { exact: true }).fill("SELECT nonsense");
    await page.getByRole("button", { name: "Run", exact: true }).click();
    await eventually(page, () => /no such column: nonsense/.test(document.getElementById("sql-said").textContent));
    await page.getByRole("button", { name: "Forget to commit" }).click();
    await eventually(page, () => /rolled it back/.test(document.getElementById("sql-said").textContent));
    await page.getByRole("spinbutton", { name: "Tasks" }).fill("300");
    await page.getByRole("button", { name: "Run them through the pool" }).click();
    await eventually(page, () => document.getElementById("load-said").textContent.startsWith("300 tasks in"));
    assert.match(await page.locator("#load-said").textContent(), /Wait for a connection/);
    assert.doesNotMatch(await page.locator("#load-said").textContent(), /failed/);
    await page
      .getByLabel("SQL", { exact: true })
      .fill("SELECT (SELECT count(*) FROM orders) AS orders, (SELECT count(*) FROM products) AS products");
    await page.keyboard.press("Control+Enter");
    await eventually(
      page,
      () => [...document.querySelectorAll("#sql-result td")].map(({ textContent }) => textContent).join() === "300,4",
    );
  }));

const endlessQuery = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c";

test("SQL that came with a link waits for the visitor, and SQL without an end is stopped", () =>
  withPage(
    `tab=real&sql=${encodeURIComponent(endlessQuery)}`,
    async (page) => {
      await eventually(page, () =>
        document.getElementById("sql-said").textContent.startsWith("This SQL came with the link"),
      );
      assert.equal(
        await page
          .locator("#real-stats")
          .innerText()
          .then((text) => /checkouts\s+0/.test(text)),
        true,
      );
      await page.getByRole("button", { name: "Run", exact: true }).click();
      await eventually(page, () => document.getElementById("sql-said").textContent === "stopped after 3 seconds");
      await page.evaluate(() => (location.hash = "tab=real"));
      await eventually(page, () => document.querySelectorAll("#sql-result tbody tr").length === 4);
      assert.match(await page.getByLabel("SQL", { exact: true }).inputValue(), /^SELECT name/);
    },
    { allowed: /SQLITE_INTERRUPT/ },
  ));

test("the load says why tasks failed, counts only those that did not, and the tables can be reset", () =>
  withPage("tab=real", async (page) => {
    await eventually(page, () => document.querySelectorAll("#sql-result tbody tr").length === 4);
    await page.getByLabel("SQL", { exact: true }).fill("DROP TABLE orders");
    await page.keyboard.press("Control+Enter");
    await eventually(page, () => document.getElementById("sql-said").textContent.startsWith("0 rows"));
    await page.getByRole("button", { name: "Run them through the pool" }).click();
    await eventually(page, () => document.getElementById("load-said").textContent !== "");
    assert.match(
      await page.locator("#load-said").textContent(),
      /^0 tasks in [\d.]+ s, 0 per second\. 1000 failed, the first with: .*no such table: orders/,
    );
    await page.getByRole("button", { name: "Reset the tables" }).click();
    await eventually(page, () => document.getElementById("sql-said").textContent.startsWith("the tables are"));
    const tasks = page.getByRole("spinbutton", { name: "Tasks" });
    const most = await tasks.getAttribute("max");
    await tasks.fill(most);
    await page.getByRole("button", { name: "Run them through the pool" }).click();
    await page.getByLabel("SQL", { exact: true }).fill("SELECT 1");
    await page.keyboard.press("Control+Enter");
    await eventually(page, () => document.getElementById("sql-said").textContent === "waiting for a connection …");
    await eventually(page, () => document.getElementById("load-said").textContent !== "");
    assert.match(await page.locator("#load-said").textContent(), new RegExp(`^${most} tasks in`));
    assert.doesNotMatch(await page.locator("#load-said").textContent(), /failed/);
  }));

test("an emptied field is no number: the load and the seed wait for one", () =>
  withPage("tab=real", async (page) => {
    await eventually(page, () => document.querySelectorAll("#sql-result tbody tr").length === 4);
    await page.getByRole("spinbutton", { name: "Tasks" }).fill("");
    await page.getByRole("button", { name: "Run them through the pool" }).click();
    assert.equal(await page.getByRole("button", { name: "Run them through the pool" }).isEnabled(), true);
    await page.getByRole("tab", { name: "Simulation" }).click();
    await page.getByRole("spinbutton", { name: "Seed" }).fill("");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => globalThis.demo.experiment.seed), 7);
    assert.doesNotMatch(page.url(), /NaN/);
  }));

test("the keyboard reaches everything, and the focus can be seen", () =>
  withPage("paused=yes&at=1000", async (page) => {
    const reached = [];
    let invisible = 0;
    for (let press = 0; press < 90; press++) {
      await page.keyboard.press("Tab");
      const focused = await page.evaluate(() => {
        const { activeElement: one } = document;
        const { outlineStyle, outlineWidth } = getComputedStyle(one);
        return {
          name: one.id || one.name || one.dataset.deed || one.className || one.textContent || one.tagName,
          isSeen: outlineStyle !== "none" && Number.parseFloat(outlineWidth) > 0,
          isBody: one === document.body,
        };
      });
      if (focused.isBody) break;
      reached.push(focused.name);
      if (!focused.isSeen) invisible++;
    }
    for (const name of [
      "tab-simulation",
      "copy-link",
      "pause",
      "step",
      "again",
      "speed",
      "cell",
      "kill",
      "restart",
      "invalidateAll",
      "dispose",
      "only-notable",
      "log",
      "setting-rate",
      "setting-query",
      "setting-kind",
      "setting-poolSize",
      "setting-useLifo",
    ])
      assert.ok(reached.includes(name), `${name} is not among ${reached.join(", ")}`);
    assert.equal(invisible, 0);
    await page.locator(".cell").first().focus();
    await page.keyboard.press("Enter");
    await eventually(page, () => /^Connection \d+ /.test(document.querySelector(".details").textContent));
    await page.locator("#tab-simulation").focus();
    await page.keyboard.press("ArrowRight");
    await eventually(page, () => !document.getElementById("real").hidden && document.activeElement.id === "tab-real");
  }));

test("the connections are one stop for Tab, arrow keys move between them, and the focus stays", () =>
  withPage("poolSize=60&maxOverflow=40&rate=60&waves=0&query=800&at=4000&paused=yes", async (page) => {
    assert.equal(await page.locator(".cell").count(), 100);
    assert.equal(await page.locator('.cell[tabindex="0"]').count(), 1);
    const focused = () =>
      page.evaluate(() => document.activeElement.getAttribute("aria-label") ?? document.activeElement.tagName);
    await page.locator('.cell[tabindex="0"]').focus();
    await page.keyboard.press("ArrowRight");
    const second = await focused();
    await page.keyboard.press("End");
    const last = await focused();
    assert.ok(
      second.startsWith("Connection") && last.startsWith("Connection") && second !== last,
      `${second} and ${last}`,
    );
    assert.equal(await page.locator('.cell[tabindex="0"]').count(), 1);
    await page.evaluate(() => globalThis.demo.experiment.perform("kind", "StaticPool"));
    await page.getByRole("button", { name: "Resume" }).evaluate((button) => button.click());
    await eventually(page, () => document.querySelectorAll(".cell").length < 10);
    assert.match(await focused(), /^Connection|^Empty place/);
  }));

test("on a telephone the picture is on the first screen, and the settings open beside it", () =>
  withPage(
    "at=5000&paused=yes",
    async (page) => {
      const top = (selector) =>
        page
          .locator(selector)
          .first()
          .evaluate((element) => element.getBoundingClientRect().top);
      assert.ok((await top(".cell")) < 600, `the first connection is at ${await top(".cell")}`);
      await page.getByRole("button", { name: "Settings" }).click();
      await page.getByLabel("Query time").focus();
      await page.keyboard.press("ArrowRight");
      await eventually(page, () => globalThis.demo.experiment.current.query === 400);
      await page
        .locator(".cell")
        .first()
        .evaluate((cell) => cell.scrollIntoView());
      assert.ok((await top(".cell")) > -1 && (await top(".cell")) + 60 < (await top("#sheet")));
      await page.keyboard.press("Escape");
      await eventually(
        page,
        () =>
          document.getElementById("sheet-toggle").getAttribute("aria-expanded") === "false" &&
          document.activeElement.id === "sheet-toggle",
      );
    },
    { width: 360, height: 740 },
  ));

test("nothing is wider than a telephone", async () => {
  for (const hash of [
    "at=5000&paused=yes",
    "compare=nullPool&at=5000&paused=yes",
    "tab=real",
    "rate=300&query=2000&poolSize=60&maxOverflow=40&timeout=60000&at=4000&paused=yes",
  ]) {
    await withPage(
      hash,
      async (page) => {
        await page.waitForTimeout(500);
        const { wide, screen } = await page.evaluate(() => ({
          wide: document.documentElement.scrollWidth,
          screen: innerWidth,
        }));
        assert.equal(wide, screen, hash);
      },
      { width: 360, height: 740 },
    );
  }
});

test("a frame with 100 slots and 1,000 waiters is cheap", (t) =>
  withPage("rate=300&query=2000&poolSize=60&maxOverflow=40&timeout=60000&maxWaiters=1000&at=6000", async (page) => {
    await eventually(
      page,
      () =>
        globalThis.demo.experiment.panes[0].pool.stats().waiting >= 1000 &&
        document.querySelectorAll(".cell").length === 100,
    );
    // In time of the page's own thread: what others do on this machine meanwhile is not the page's cost.
    const devtools = await page.context().newCDPSession(page);
    await devtools.send("Performance.enable", { timeDomain: "threadTicks" });
    const busyMs = async () => {
      const metrics = new Map(
        (await devtools.send("Performance.getMetrics")).metrics.map(({ name, value }) => [name, value]),
      );
      return (
        1000 * (metrics.get("ScriptDuration") + metrics.get("LayoutDuration") + metrics.get("RecalcStyleDuration"))
      );
    };
    await page.evaluate(() => {
      performance.clearMeasures();
      globalThis.demo.measuresFrames = true;
    });
    const before = await busyMs();
    await eventually(page, () => performance.getEntriesByName("frame").length >= 120);
    const spent = (await busyMs()) - before;
    const frames = await page.evaluate(() =>
      performance
        .getEntriesByName("frame")
        .map(({ duration }) => duration)
        .sort((a, b) => a - b),
    );
    assert.ok((await waiting(page)) >= 990);
    const at = (part) => frames[Math.floor(part * (frames.length - 1))].toFixed(1);
    const mean = spent / frames.length;
    t.diagnostic(
      `scripting and layout of a frame, against 8 ms: ${mean.toFixed(1)} ms of the page's thread on average; ` +
        `by the clock, with the load of this machine, median ${at(0.5)} ms, 95 % ${at(0.95)} ms, ` +
        `of ${frames.length} frames`,
    );
    assert.ok(mean < 16, `a frame takes ${mean.toFixed(1)} ms`);
  }));

test("screenshots are there to be looked at", async () => {
  const views = {
    picture: "at=6200&paused=yes",
    compared: "compare=nullPool&rate=6&waves=40&poolSize=8&maxOverflow=7&connect=600&at=6200&paused=yes",
    crowd: "rate=300&query=2000&poolSize=60&maxOverflow=40&timeout=20000&maxWaiters=1000&at=9000&paused=yes",
    sqlite: "tab=real",
  };
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [360, 768, 1440]) {
      for (const [view, hash] of Object.entries(views)) {
        await withPage(
          hash,
          async (page) => {
            await eventually(
              page,
              () =>
                document.getElementById("lag").textContent === "" &&
                document.getElementById("sql-said").textContent !== "loading SQLite …",
            );
            if (view === "sqlite") {
              await page.getByRole("button", { name: "Run them through the pool" }).click();
              await eventually(page, () => document.getElementById("load-said").textContent !== "");
              await page.getByRole("button", { name: "Best sellers" }).click();
            }
            await page.waitForTimeout(250);
            await page.screenshot({ path: join(screenshots, `${view}-${width}-${colorScheme}.png`), fullPage: true });
          },
          { width, height: width === 360 ? 740 : 900, colorScheme },
        );
      }
    }
  }
});
