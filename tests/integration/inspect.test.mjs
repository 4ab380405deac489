// edgepool/inspect in Node: who may see the pools, what a stream says of them, and what stays when its viewers leave.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import { AssertionPool, NullPool, QueuePool, StaticPool } from "edgepool";
import { inspect, nodeListener } from "edgepool/inspect";
import { root } from "../../scripts/run.mjs";

const token = "a token of the tests";
const allowed = { headers: { authorization: `Bearer ${token}` } };
const page = "http://localhost/pools";
const events = `${page}?events`;
const quick = { interval: "50ms" };

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const makePool = (options = {}) => new QueuePool(() => ({}), { logger: silent, ...options });

/** The messages of a stream, one by one. */
class Messages {
  #reader;
  #text = "";

  constructor(response) {
    this.#reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** Returns the next message, or undefined at the end of the stream. */
  async next() {
    for (;;) {
      const end = this.#text.indexOf("\n\n");
      if (end >= 0) {
        const message = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 2);
        const data = /^data: (.*)$/m.exec(message)[1];
        return { event: /^event: (.*)$/m.exec(message)?.[1] ?? "message", ...JSON.parse(data) };
      }
      const { done, value } = await this.#reader.read();
      if (done) return undefined;
      this.#text += value;
    }
  }

  /** Reads until a message is as wanted, and returns that with all lines so far. */
  async until(isWanted) {
    const lines = [];
    for (;;) {
      const message = await this.next();
      assert.ok(message, "the stream has ended");
      lines.push(...message.lines);
      if (isWanted(message, lines)) return { ...message, lines };
    }
  }

  leave() {
    return this.#reader.cancel();
  }
}

async function watch(handler, request = new Request(events, allowed)) {
  const response = await handler(request);
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("content-type"), "text/event-stream; charset=utf-8");
  return new Messages(response);
}

const inJson = (stats) => JSON.parse(JSON.stringify({ ...stats, max: stats.max === Infinity ? null : stats.max }));

/** A pool that counts the listeners that are on it. */
function countListeners(pool) {
  const counted = { now: 0, ever: 0, events: new Set() };
  pool.on = (event, ...rest) => {
    const stop = QueuePool.prototype.on.call(pool, event, ...rest);
    counted.now++;
    counted.ever++;
    counted.events.add(event);
    return () => (counted.now--, stop());
  };
  return counted;
}

const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;

// The streams keep no process alive, and most of these tests have no server that does.
let alive;
before(() => (alive = setInterval(() => {}, 60_000)));
after(() => clearInterval(alive));

// ---- options

test("a handler that lets everybody in cannot be made, and a wrong option is named", () => {
  const pools = makePool();
  for (const [options, message] of [
    [undefined, /the options of inspect\(\) must be an object/],
    [
      { pools },
      /needs one of the options token and authorize, because every request could see the pools otherwise.*none/,
    ],
    [{ pools, token, authorize: () => true }, /it has both/],
    [{ pools, token: "short" }, /token must be a string of at least 16 characters/],
    [{ pools, token: 1234567890123456 }, /token must be a string/],
    [{ pools, authorize: true }, /authorize must be a function/],
    [{ token }, /pools must be a pool of edgepool.*undefined/],
    [{ token, pools: {} }, /pools must be a pool of edgepool.*an object/],
    [{ token, pools: [pools, null] }, /one is null/],
    [{ token, pools: { queuePool: pools } }, /give its queuePool/],
    [{ token, pools, intervall: "1s" }, /inspect\(\) has no option "intervall"/],
    [{ token, pools, interval: 1 / 100 }, /interval must be a duration from 50 ms/],
    [{ token, pools, authorizeTimeout: null }, /authorizeTimeout must be a duration/],
  ]) {
    assert.throws(
      () => inspect(options),
      (error) => error.name === "ArgumentError" && error.code === "ERR_POOL_ARGUMENT" && message.test(error.message),
      String(message),
    );
    // The secret is in no message.
    assert.doesNotMatch(String(message), new RegExp(token));
  }
});

test("what is no Request is refused", async () => {
  for (const wrong of [undefined, null, {}, "GET /"])
    await assert.rejects(inspect({ pools: makePool(), token })(wrong), { code: "ERR_POOL_ARGUMENT" });
});

// ---- who may see the pools

test("a refusal is the same for the page, the stream and every method, and says nothing of the pools", async () => {
  const pools = makePool({ loggingName: "the-secret-name" });
  for (const [handler, status] of [
    [inspect({ pools, token }), 401],
    [inspect({ pools, authorize: () => false }), 403],
  ]) {
    const answers = [];
    for (const [url, method] of [
      [page, "GET"],
      [events, "GET"],
      [page, "POST"],
      [page, "HEAD"],
      [`${page}/../secret`, "DELETE"],
    ]) {
      const response = await handler(new Request(url, { method }));
      answers.push([response.status, await response.text()]);
      assert.equal(response.headers.get("cache-control"), "no-store, no-transform");
      assert.equal(response.headers.get("x-content-type-options"), "nosniff");
      assert.match(response.headers.get("content-security-policy"), /default-src 'none';.*frame-ancestors 'none'/);
    }
    assert.deepEqual(
      new Set(answers.map(String)),
      new Set([`${status},${status === 401 ? "unauthorized" : "forbidden"}\n`]),
    );
  }
});

test("a token is taken as Bearer or as the password of Basic, and a wrong one is refused", async () => {
  const handler = inspect({ pools: makePool(), token: "gültig und lang genug" });
  const basic = (text) => `Basic ${Buffer.from(text).toString("base64")}`;
  const status = async (authorization) =>
    (await handler({ url: page, method: "GET", headers: new Map([["authorization", authorization]]) })).status;
  assert.equal(await status(basic("anybody:gültig und lang genug")), 200);
  assert.equal(await status(basic(":gültig und lang genug")), 200);
  for (const wrong of [
    undefined,
    "",
    "Bearer",
    "Bearer gültig",
    "Token gültig und lang genug",
    basic("gültig und lang genug:"),
    basic("anybody:gültig und lang genug "),
    "Basic %%%",
    `Bearer ${"x".repeat(1_000_000)}`,
  ])
    assert.equal(await status(wrong), 401, String(wrong).slice(0, 40));
  const plain = inspect({ pools: makePool(), token });
  assert.equal((await plain(new Request(page, { headers: { authorization: "bearer a-token" } }))).status, 401);
  const asked = inspect({ pools: makePool(), token: "0123456789abcdef" });
  const good = new Request(page, { headers: { authorization: "bearer 0123456789abcdef" } });
  assert.equal((await asked(good)).status, 200);
  const refused = await asked(new Request(page));
  assert.match(refused.headers.get("www-authenticate"), /^Basic realm=/);
});

test("only true authorises: what throws, hangs, or returns anything else refuses", async (t) => {
  const logged = t.mock.method(console, "error", () => {});
  const before = timers();
  for (const authorize of [
    () => {
      throw new Error("the session store is down");
    },
    () => Promise.reject(new Error("the session store is down")),
    () => new Promise(() => {}),
    () => "yes",
    () => 1,
    () => Promise.resolve({}),
    () => new Response(null, { status: 200 }),
    () => {},
  ]) {
    const handler = inspect({ pools: makePool(), authorize, authorizeTimeout: "30ms" });
    const response = await handler(new Request(page));
    assert.deepEqual([response.status, await response.text()], [403, "forbidden\n"], String(authorize));
  }
  assert.equal(logged.mock.callCount(), 2);
  assert.equal(timers(), before);
  const given = new Request(page);
  const handler = inspect({ pools: makePool(), authorize: async (request) => request === given });
  assert.equal((await handler(given)).status, 200);
  assert.equal((await handler(new Request(page))).status, 403);
});

test("only GET and HEAD are answered", async () => {
  const handler = inspect({ pools: makePool(), token });
  for (const method of ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "get ", "FOO"]) {
    const response = await handler({ url: page, method, headers: new Headers(allowed.headers) });
    assert.deepEqual([response.status, response.headers.get("allow")], [405, "GET, HEAD"], method);
  }
  for (const [url, type] of [
    [page, "text/html; charset=utf-8"],
    [events, "text/event-stream; charset=utf-8"],
  ]) {
    const response = await handler(new Request(url, { method: "HEAD", ...allowed }));
    assert.deepEqual([response.status, response.headers.get("content-type"), await response.text()], [200, type, ""]);
  }
});

// ---- the page

test("the page has all that it needs in it, and its policy allows just that", async () => {
  const response = await inspect({ pools: makePool(), token })(new Request(page, allowed));
  const html = await response.text();
  const policy = response.headers.get("content-security-policy");
  const hashOf = (tag) => {
    const [, text] = new RegExp(`<${tag}[^>]*>([^]*?)</${tag}>`).exec(html);
    return `sha256-${createHash("sha256").update(text).digest("base64")}`;
  };
  assert.ok(policy.includes(`script-src '${hashOf("script")}'`), policy);
  assert.ok(policy.includes(`style-src '${hashOf("style")}'`), policy);
  assert.match(policy, /^default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none';/);
  assert.doesNotMatch(policy, /unsafe|\*|https?:/);
  assert.equal(html.match(/<script/g).length, 1);
  assert.doesNotMatch(html, /\b(src|href)="(?!data:,")|@import|url\(|\son\w+=/);
  assert.deepEqual(
    ["cache-control", "x-content-type-options", "x-frame-options", "referrer-policy"].map((name) =>
      response.headers.get(name),
    ),
    ["no-store, no-transform", "nosniff", "DENY", "no-referrer"],
  );
});

test("a name from outside is text, in the page and in the stream", async () => {
  const name = `</noscript><script>alert("1")</script><img src=x onerror='alert(1)'>\n\ndata: {}`;
  const pool = makePool({ loggingName: name });
  const handler = inspect({ pools: pool, token, ...quick });
  const html = await (await handler(new Request(page, allowed))).text();
  assert.equal(html.match(/<script/g).length, 1);
  assert.ok(
    html.includes("&lt;/noscript&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&lt;img src=x onerror=&#39;"),
  );
  const messages = await watch(handler);
  assert.equal((await messages.next()).pools[0].name, name);
  const lease = await pool.connect();
  await lease.invalidate(new Error(`${name}${"x".repeat(10_000)}`));
  const { lines } = await messages.until((_, all) => all.some(({ text }) => text.includes("is not trusted")));
  const { text } = lines.find((line) => line.text.includes("is not trusted"));
  assert.ok(text.includes("\n\ndata: {}") && text.length < 400, text);
  await messages.leave();
});

// ---- the stream

test("a picture has the pool's own numbers, its limits, and the state of every slot", async () => {
  const pool = makePool({ poolSize: 2, maxOverflow: 1, timeout: "20s", useLifo: true, loggingName: "shop" });
  const handler = inspect({ pools: [pool], token, ...quick });
  const messages = await watch(handler);
  const [first] = (await messages.next()).pools;
  assert.deepEqual(first.stats, inJson(pool.stats()));
  assert.deepEqual(
    [first.name, first.kind, first.kept, first.patienceMs, first.lifo, first.isClosed, first.slots],
    ["shop", "QueuePool", 2, 20_000, true, false, []],
  );
  const leases = await Promise.all([1, 2, 3].map(() => pool.connect()));
  const waiter = pool.connect();
  const { pools, at } = await messages.until((message) => message.pools[0].stats.waiting === 1);
  const [busy] = pools;
  assert.deepEqual(busy.stats, inJson(pool.stats()));
  assert.deepEqual(
    busy.slots.map(({ state }) => state),
    ["used", "used", "used"],
  );
  assert.equal(busy.waiters.length, 1);
  assert.equal(busy.waiters[0][0], 1);
  assert.ok(at - busy.waiters[0][1] >= 0);
  await messages.until(
    (later) => later.pools[0].oldestLeaseMs >= 100 && later.at - later.pools[0].waiters[0][1] >= 100,
  );
  for (const lease of leases) await lease.close();
  await (await waiter).close();
  const {
    pools: [after],
  } = await messages.until((message) => message.pools[0].stats.used === 0);
  assert.deepEqual(after.stats, inJson(pool.stats()));
  assert.ok(after.slots.length >= 2 && after.slots.every(({ state }) => state === "idle"));
  assert.equal(after.oldestLeaseMs, null);
  await messages.leave();
  await pool.close();
});

test("every kind of pool is shown, with no limit as null", async () => {
  const pools = [
    makePool({ poolSize: 0 }),
    new NullPool(() => ({})),
    new StaticPool(() => ({})),
    new AssertionPool(() => ({})),
  ];
  const leases = await Promise.all(pools.map((pool) => pool.connect()));
  const messages = await watch(inspect({ pools, token, ...quick }));
  const { pools: seen } = await messages.next();
  assert.deepEqual(
    seen.map(({ kind, stats }) => [kind, stats.max, stats.used]),
    [
      ["QueuePool", null, 1],
      ["NullPool", null, 1],
      ["StaticPool", 1, 1],
      ["AssertionPool", 1, 1],
    ],
  );
  assert.equal(new Set(seen.map(({ id }) => id)).size, 4);
  await messages.leave();
  for (const lease of leases) await lease.close();
});

test("a crash of the pools is shown, and is the end", () => {
  const program = `
    let wasm;
    WebAssembly.Instance = class extends WebAssembly.Instance {
      constructor(...parameters) {
        super(...parameters);
        wasm = this.exports;
      }
    };
    const { QueuePool } = await import("edgepool");
    const { inspect } = await import("edgepool/inspect");
    const pool = new QueuePool(() => ({}), { poolSize: 1, maxOverflow: 0, loggingName: "shop" });
    await pool.connect();
    for (let pages = 32768; pages >= 1; pages = Math.floor(pages / 2)) {
      try { for (;;) wasm.memory.grow(pages); } catch { /* as far as it goes */ }
    }
    await Promise.allSettled(Array.from({ length: 30_000 }, () => pool.connect()));
    const handler = inspect({ pools: pool, authorize: () => true });
    const text = await (await handler(new Request("http://localhost/?events"))).text();
    const { pools } = JSON.parse(/^data: (.*)$/m.exec(text)[1]);
    const page = await (await handler(new Request("http://localhost/"))).text();
    console.log(text.startsWith("event: last"), pools[0].name, pools[0].crash, pools[0].stats, page.length > 1000);
    process.exit(0);
  `;
  const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", program], {
    cwd: root,
    encoding: "utf8",
    timeout: 60_000,
    env: { ...process.env, NODE_TEST_CONTEXT: undefined },
  });
  assert.match(stdout, /^true shop .*crashed.* undefined true$/m, stderr);
});

test("the stacks of the lease holders are shown if the pool keeps them, of those before the watch, too", async () => {
  const pool = makePool({ trackLeaks: "stack" });
  async function forgetfulHandler() {
    return pool.connect();
  }
  const lease = await forgetfulHandler();
  const messages = await watch(inspect({ pools: pool, token, ...quick }));
  const [seen] = (await messages.next()).pools;
  assert.match(seen.slots[0].stack, /forgetfulHandler/);
  assert.ok(seen.slots[0].ms >= 0);
  await lease.close();
  const { pools } = await messages.until((message) => message.pools[0].stats.used === 0);
  assert.equal(pools[0].slots[0].stack, undefined);
  await messages.leave();
});

test("a wait that began before the watch is shown at its length, if the pool has seen it", async () => {
  for (const timeout of ["30s", null]) {
    const pool = makePool({ poolSize: 1, maxOverflow: 0, timeout });
    const lease = await pool.connect();
    const waiters = [1, 2, 3].map(() => pool.connect());
    await new Promise((resolve) => setTimeout(resolve, 300));
    const messages = await watch(inspect({ pools: pool, token, ...quick }));
    const { at, pools } = await messages.next();
    assert.ok(pools[0].longestWaitMs >= 250, `${timeout}: ${pools[0].longestWaitMs} ms`);
    const [first, ...others] = pools[0].waiters;
    assert.deepEqual(first, [1, at - pools[0].longestWaitMs]);
    assert.deepEqual(others, [[2, at]]);
    await messages.leave();
    await lease.close();
    for (const waiter of waiters) await (await waiter).close();
  }
});

test("events, and what has none, become lines of the log", async () => {
  const pool = makePool({ poolSize: 1, maxOverflow: 0, timeout: "20ms", loggingName: "shop", holdLimit: "30ms" });
  const messages = await watch(inspect({ pools: pool, token, ...quick }));
  await messages.next();
  const lease = await pool.connect();
  await assert.rejects(pool.connect(), { code: "ERR_POOL_TIMEOUT" });
  await assert.rejects(pool.connect({ signal: AbortSignal.timeout(1), timeout: "10s" }));
  await new Promise((resolve) => setTimeout(resolve, 60));
  await lease.invalidate(new Error("broken pipe"));
  pool.resize({ poolSize: 3 });
  const texts = (lines) => lines.map(({ text }) => text);
  const wanted = [
    "opened connection 1",
    "a caller was refused because its time ran out",
    "a caller left through its signal",
    "connection 1 is not trusted: broken pipe",
    "closing connection 1",
    "resized: keeps 3 connections, at most 3",
  ];
  const { lines } = await messages.until((_, all) => wanted.every((text) => texts(all).includes(text)));
  assert.ok(
    texts(lines).some((text) => /^connection 1 has been out for 0\.\d s$/.test(text)),
    texts(lines).join("\n"),
  );
  assert.ok(lines.every(({ pool: name, at }) => name === "shop" && Math.abs(Date.now() - at) < 20_000));
  await messages.leave();
});

test("all scopes of the keys of a pool are shown, whatever its scope function says here", async () => {
  let key = {};
  const pool = makePool({
    poolSize: 2,
    loggingName: "keyed",
    scope: () => {
      if (key === undefined) throw new Error("no tenant here");
      return key;
    },
  });
  const keys = [key];
  const leases = [await pool.connect()];
  keys.push((key = {}));
  leases.push(await pool.connect(), await pool.connect());
  key = undefined;
  const messages = await watch(inspect({ pools: pool, token, ...quick }));
  const [seen] = (await messages.next()).pools;
  assert.deepEqual([seen.crash, seen.stats.used, seen.kept], [undefined, 3, 2]);
  assert.deepEqual(
    seen.slots.map(({ id, place, state }) => [id, place, state]),
    [1, 2, 3].map((id) => [id, id - 1, "used"]),
  );
  await pool.endScope(keys[1]);
  await leases[1].close();
  const { pools } = await messages.until((message) => message.pools[0].stats.used === 2);
  assert.equal(pools[0].slots.length, 2);
  for (const lease of leases) await lease.close();
  await messages.until((message) => message.pools[0].stats.used === 0);
  await messages.leave();
});

test("a pool is followed while it is disposed of, drained and closed, and the last picture says so", async () => {
  const pool = makePool({ poolSize: 2 });
  const leases = await Promise.all([pool.connect(), pool.connect()]);
  await leases[0].close();
  const messages = await watch(inspect({ pools: pool, token, ...quick }));
  assert.equal((await messages.next()).pools[0].stats.total, 2);
  await pool.dispose();
  await messages.until(({ pools }) => pools[0].stats.total === 1);
  const closing = pool.close({ drain: true });
  const { event } = await messages.until(({ pools }) => pools[0].isClosed && pools[0].stats.total === 1);
  assert.equal(event, "message");
  await leases[1].close();
  await closing;
  const last = await messages.until(({ event }) => event === "last");
  assert.deepEqual([last.pools[0].isClosed, last.pools[0].stats.total], [true, 0]);
  assert.equal(await messages.next(), undefined);
  // Whoever comes later gets the last picture alone.
  const late = await watch(inspect({ pools: pool, token }));
  assert.equal((await late.next()).event, "last");
  assert.equal(await late.next(), undefined);
});

test("with several pools the stream goes on until the last one is closed", async () => {
  const pools = [makePool({ loggingName: "one" }), makePool({ loggingName: "two" })];
  const messages = await watch(inspect({ pools, token, ...quick }));
  await pools[0].close();
  const { event } = await messages.until((message) => message.pools[0].isClosed);
  assert.equal(event, "message");
  await pools[1].close();
  assert.equal((await messages.until((message) => message.event === "last")).pools.length, 2);
});

test("a function gives the pools of each picture, so a recreated pool takes the place of the old one", async () => {
  let pool;
  const handler = inspect({ pools: () => pool, token, ...quick });
  const messages = await watch(handler);
  assert.deepEqual((await messages.next()).pools, []);
  pool = makePool({ loggingName: "shop" });
  const counted = countListeners(pool);
  const [before] = (await messages.until(({ pools }) => pools.length === 1)).pools;
  assert.ok(counted.now > 0);
  const old = pool;
  pool = old.recreate();
  const [after] = (await messages.until(({ pools }) => pools[0].id !== before.id)).pools;
  assert.equal(after.name, "shop");
  assert.equal(counted.now, 0);
  await messages.leave();
  await old.close();
});

test("a function that fails while it is watched ends the stream, and the next request with its error", async (t) => {
  t.mock.method(console, "error", () => {});
  let fails = false;
  const pool = makePool();
  const handler = inspect({
    pools: () => {
      if (fails) throw new Error("no pools");
      return pool;
    },
    token,
    ...quick,
  });
  const messages = await watch(handler);
  await messages.next();
  fails = true;
  assert.equal(await messages.next(), undefined);
  await assert.rejects(handler(new Request(events, allowed)), /no pools/);
});

// ---- viewers

test("a reader that is slow gets the newest picture, and nothing is kept for it", async () => {
  const pool = makePool({ poolSize: 0, loggingName: "busy" });
  const response = await inspect({ pools: pool, token, ...quick })(new Request(events, allowed));
  const reader = response.body.getReader();
  const read = async () => {
    const text = new TextDecoder().decode((await reader.read()).value);
    return JSON.parse(/^data: (.*)$/m.exec(text)[1]);
  };
  assert.equal((await read()).pools[0].stats.used, 0);
  const leases = [];
  for (let round = 0; round < 20; round++) {
    for (let one = 0; one < 20; one++) leases.push(await pool.connect());
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const { pools, lines, missed } = await read();
  assert.equal(pools[0].stats.used, leases.length);
  assert.equal(lines.length + missed, leases.length);
  assert.ok(lines.length <= 200, String(lines.length));
  await reader.cancel();
  for (const lease of leases) await lease.close();
});

test("a reader that reads nothing for half a minute is taken for gone", async (t) => {
  const pool = makePool();
  const counted = countListeners(pool);
  t.mock.timers.enable({ apis: ["setInterval", "Date"], now: Date.now() });
  const response = await inspect({ pools: pool, token })(new Request(events, allowed));
  const reader = response.body.getReader();
  await reader.read();
  t.mock.timers.tick(29_000);
  assert.ok(counted.now > 0);
  t.mock.timers.tick(3000);
  assert.equal(counted.now, 0);
  assert.equal((await reader.read()).done, true);
});

test("a stream ends after a quarter of an hour, so that its viewer is authorised again", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval", "Date"], now: Date.now() });
  const pool = makePool();
  const response = await inspect({ pools: pool, token })(new Request(events, allowed));
  const reader = response.body.getReader();
  await reader.read();
  let seconds = 0;
  for (let done = false; !done; seconds += 3) {
    const reading = reader.read();
    await null;
    t.mock.timers.tick(3000);
    ({ done } = await reading);
    assert.ok(seconds < 1000);
  }
  assert.ok(seconds >= 900, `${seconds} s`);
});

test("a watch whose timer was killed with its request leaves the pool at the next event", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval", "Date"], now: 0 });
  const pool = makePool();
  const counted = countListeners(pool);
  const response = await inspect({ pools: pool, token })(new Request(events, allowed));
  await response.body.getReader().read();
  assert.ok(counted.now > 0);
  t.mock.timers.setTime(200_000);
  await (await pool.connect()).close();
  assert.equal(counted.now, 0);
});

test("a hundred viewers share one timer and one set of listeners, and when they leave nothing stays", async (t) => {
  const pool = makePool();
  const counted = countListeners(pool);
  const running = new Set();
  const { setInterval, clearInterval } = globalThis;
  t.mock.method(globalThis, "setInterval", (...given) => {
    const timer = setInterval(...given);
    running.add(timer);
    return timer;
  });
  t.mock.method(globalThis, "clearInterval", (timer) => {
    running.delete(timer);
    clearInterval(timer);
  });
  const handler = inspect({ pools: pool, token, ...quick });
  assert.equal(counted.ever, 0);
  const viewers = await Promise.all(Array.from({ length: 100 }, () => watch(handler)));
  const pictures = await Promise.all(viewers.map((viewer) => viewer.next()));
  assert.equal(running.size, 1);
  const ofOne = counted.now;
  assert.equal(counted.ever, ofOne);
  assert.ok(!["checkout", "checkin", "reset"].some((event) => counted.events.has(event)));
  const lease = await pool.connect();
  for (const viewer of viewers) await viewer.until(({ pools }) => pools[0].stats.used === 1);
  assert.equal(pictures.length, 100);
  await lease.close();
  await Promise.all(viewers.map((viewer) => viewer.leave()));
  assert.deepEqual([counted.now, running.size], [0, 0]);
  const again = await watch(handler);
  assert.equal((await again.next()).pools[0].stats.used, 0);
  assert.equal(counted.now, ofOne);
  await again.leave();
  assert.deepEqual([counted.now, running.size], [0, 0]);
});

test("a stream keeps no process alive", () => {
  const program = `
    import { QueuePool } from "edgepool";
    import { inspect } from "edgepool/inspect";
    const pools = new QueuePool(() => ({}));
    const handler = inspect({ pools, authorize: () => true });
    const { body } = await handler(new Request("http://localhost/?events"));
    const { value } = await body.getReader().read();
    console.log(value.length > 100);
  `;
  const { stdout, stderr, status } = spawnSync(process.execPath, ["--input-type=module", "-e", program], {
    cwd: root,
    encoding: "utf8",
    timeout: 20_000,
    env: { ...process.env, NODE_TEST_CONTEXT: undefined },
  });
  assert.deepEqual([stdout.trim(), status], ["true", 0], stderr);
});

// ---- a server of node:http

async function serve(handler) {
  const server = createServer(nodeListener(handler));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const stop = async () => {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  };
  return { server, url: `http://127.0.0.1:${server.address().port}/`, stop };
}

test("node:http serves page and stream, and a client that leaves ends its stream", async () => {
  const pool = makePool();
  const counted = countListeners(pool);
  const { url, stop } = await serve(inspect({ pools: pool, token, ...quick }));
  try {
    assert.equal((await fetch(url)).status, 401);
    const response = await fetch(url, allowed);
    assert.equal(response.status, 200);
    assert.match(await response.text(), /<!doctype html>/);
    assert.equal((await fetch(url, { method: "HEAD", ...allowed })).status, 200);
    const controller = new AbortController();
    const messages = new Messages(await fetch(`${url}?events`, { ...allowed, signal: controller.signal }));
    await messages.next();
    await messages.next();
    assert.ok(counted.now > 0);
    controller.abort();
    await assert.rejects(messages.next());
    while (counted.now > 0) await new Promise((resolve) => setTimeout(resolve, 10));
  } finally {
    await stop();
  }
});

test("a request of node:http that cannot be read is refused, and a failed handler says nothing of why", async (t) => {
  t.mock.method(console, "error", () => {});
  const pool = makePool();
  const { server, url, stop } = await serve(inspect({ pools: pool, token }));
  const failing = await serve(() => Promise.reject(new Error("a secret reason")));
  try {
    const statusOf = (line) =>
      new Promise((resolve, reject) => {
        const socket = connect(server.address().port, "127.0.0.1", () =>
          socket.write(`${line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`),
        );
        let text = "";
        socket
          .on("data", (bytes) => (text += bytes))
          .on("end", () => resolve(Number(text.split(" ")[1])))
          .on("error", reject);
      });
    for (const line of ["FOO /", "GET http://[", "GET //", "TRACE /"]) assert.equal(await statusOf(line), 400, line);
    assert.equal(await statusOf("GET /"), 401);
    const response = await fetch(failing.url);
    assert.deepEqual([response.status, await response.text()], [500, "internal server error\n"]);
    assert.equal((await fetch(url, allowed)).status, 200);
  } finally {
    await stop();
    await failing.stop();
  }
});

test("a client of node:http that reads nothing holds back its own stream alone", async () => {
  const pool = makePool({ poolSize: 0, trackLeaks: "stack" });
  const leases = await Promise.all(Array.from({ length: 200 }, () => pool.connect()));
  const { server, url, stop } = await serve(inspect({ pools: pool, token, ...quick }));
  try {
    const stuck = connect(server.address().port, "127.0.0.1");
    stuck.pause();
    stuck.write(`GET /?events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\n\r\n`);
    const messages = new Messages(await fetch(`${url}?events`, allowed));
    for (let message = 0; message < 20; message++) assert.equal((await messages.next()).pools[0].stats.used, 200);
    await messages.leave();
    stuck.destroy();
  } finally {
    await stop();
    for (const lease of leases) await lease.close();
  }
});
