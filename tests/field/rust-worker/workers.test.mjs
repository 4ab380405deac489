// Rust pools in real workerd: requests, Durable Objects, what Workers forbid, managers that do not do their work, and
// the memory that many requests leave behind.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Client } from "pg";
import { buildRustWorker } from "../../../scripts/rust-worker.mjs";
import { startWorkerd, startWorkerdOnPostgres } from "../../integration/workers/workerd.mjs";

let rig;
let admin;
let entry;

before(async () => {
  entry = join(buildRustWorker(join(import.meta.dirname, "cases")), "shim.mjs");
  const main = { entry, durableObjects: { HOLDER: "Holder" } };
  // The two have isolates of their own.
  rig = await startWorkerdOnPostgres({ workers: { main, other: { ...main } }, maxConnections: 500 });
  admin = new Client(rig.postgres.options);
  await admin.connect();
});

after(async () => {
  await admin?.end();
  await rig?.stop();
});

const ask = async (path, options) => (await rig.workerd.ask(path, options)).body;

async function backends() {
  const { rows } = await admin.query(
    "SELECT count(*)::int AS count FROM pg_stat_activity " +
      "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
  );
  return rows[0].count;
}

/** Waits for the server, which ends a session a moment after its stream has. */
async function assertBackends(expected) {
  let count = await backends();
  for (const end = Date.now() + 5_000; count !== expected && Date.now() < end;) count = await backends();
  assert.equal(count, expected);
}

/** Makes so many requests, 100 at once. One in ten is cut off by itself, and one in ten has a client that leaves. */
async function crowd(path, worker, count, atOnce = 100) {
  let next = 0;
  const client = async () => {
    while (next < count) {
      const number = next++;
      const leaves = number % 10 === 7;
      const signal = leaves ? AbortSignal.timeout(2) : undefined;
      await rig.workerd.ask(number % 10 === 3 ? `${path}/cut` : path, { worker, signal }).catch(() => {});
      // workerd runs a request to its end, whose client has left.
      if (leaves) await delay(50);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, client));
}

/** What is in memory of a Worker: pages, and bytes that are allocated. */
async function memory(worker) {
  const [pages, bytes] = (await ask("/memory", { worker })).split(" ").map(Number);
  return { pages, bytes };
}

/** The allocator keeps what the largest crowd needed, so a larger one comes first. */
async function assertFlat(context, path, worker, settled) {
  await crowd(path, worker, 1000, 200);
  await crowd(path, worker, 1000);
  await settled();
  const first = await memory(worker);
  await crowd(path, worker, 2000);
  await settled();
  let last = await memory(worker);
  // The server has ended its sessions. The Worker ends its tasks when it looks at the sockets.
  for (const end = Date.now() + 5_000; last.bytes - first.bytes > 20_000 && Date.now() < end;)
    last = await memory(worker);
  const show = ({ pages, bytes }) => `${pages} pages and ${bytes} bytes`;
  context.diagnostic(`${show(first)} after 1,000 requests, ${show(last)} after 3,000`);
  assert.ok(last.pages - first.pages <= 3);
  assert.ok(last.bytes - first.bytes <= 20_000);
}

test("3,000 requests with a pool each, one in ten cut off, leave no lease, session or memory", async (context) => {
  await assertFlat(context, "/request", "main", () => assertBackends(0));
});

test("3,000 requests to a pool of an object, one in ten cut off, leave no lease and no memory", async (context) => {
  await assertFlat(context, "/object/crowd/request", "other", async () => {
    // workerd runs the last requests to their end, whose clients have left.
    let stats = "";
    for (const end = Date.now() + 5_000; !stats.startsWith("used 0 waiting 0") && Date.now() < end;)
      stats = await ask("/object/crowd/stats", { worker: "other" });
    assert.match(stats, /^used 0 waiting 0 total [123]$/);
  });
});

test("an object keeps its connections from one request to the next", async () => {
  const first = await ask("/object/kept/pid");
  assert.match(first, /^pid \d+$/);
  assert.equal(await ask("/object/kept/pid"), first);
});

test("a static pool is refused in the second request, and in an object", async () => {
  assert.match(await ask("/static"), /^pid \d+$/);
  const refusal = /^ERR_POOL_INVALID_REQUEST the pool pool belongs to another request or Durable Object/;
  assert.match(await ask("/static"), refusal);
  assert.match(await ask("/object/a/static"), refusal);
});

test("a static pool of two objects belongs to the first, and the second is refused at once", async () => {
  const options = { worker: "other" };
  assert.match(await ask("/object/a/static", options), /^pid \d+$/);
  assert.match(await ask("/object/b/static", options), /^ERR_POOL_INVALID_REQUEST the pool pool belongs to another/);
  assert.match(await ask("/object/a/static", options), /^pid \d+$/);
});

test("a lease in another request is refused with the words of JavaScript", async () => {
  assert.equal(await ask("/keep-lease"), "kept");
  assert.match(
    await ask("/use-lease"),
    /^ERR_POOL_INVALID_REQUEST this connection of the pool pool belongs to another request or Durable Object/,
  );
});

test("60 waiters of other requests are served by the returns of one request", async () => {
  for (let round = 0; round < 3; round++) {
    const held = ask("/crossing/hold");
    const waiters = await Promise.all(Array.from({ length: 60 }, () => rig.workerd.ask("/crossing/wait")));
    assert.equal(await held, "60");
    for (const { status, body } of waiters) assert.match(`${status} ${body}`, /^200 number [012]$/);
  }
  assert.equal(await ask("/crossing/stats"), "used 0 waiting 0 idle 3");
});

test("a waiter of a pool for all requests runs out of its time by its own timer", async () => {
  for (let lease = 0; lease < 3; lease++) assert.equal(await ask("/crossing/leave"), "left");
  assert.equal(await ask("/crossing/late"), "ERR_POOL_TIMEOUT");
  const waiting = ask("/crossing/wait");
  for (const end = Date.now() + 5_000; Date.now() < end;)
    if ((await ask("/crossing/stats")) === "used 3 waiting 1 idle 0") break;
  assert.equal(await ask("/crossing/return"), "3");
  assert.match(await waiting, /^number [012]$/);
});

test("a pool for all requests is refused by name before the compatibility date 2025-06-30", async () => {
  const main = { entry, durableObjects: { HOLDER: "Holder" }, vars: { DATABASE_URL: rig.databaseUrl } };
  const old = { compatibilityFlags: ["nodejs_compat"] };
  const workers = {
    old: { ...main, ...old, compatibilityDate: "2024-09-23" },
    late: { ...main, ...old, compatibilityDate: "2025-06-01" },
    first: { ...main, ...old, compatibilityDate: "2025-06-30" },
  };
  const workerd = await startWorkerd({ workers });
  const bodyOf = async (worker) => (await workerd.ask("/crossing/wait", { worker })).body;
  const refusal = "the option crosses_requests needs the compatibility date 2025-06-30 or a later one";
  assert.deepEqual([await bodyOf("old"), await bodyOf("late"), await bodyOf("first")], [refusal, refusal, "number 0"]);
  await workerd.stop();
});

test("a creator and a dialect of the npm package serve a Rust pool, which rolls back what is open", async () => {
  const text = await ask("/creator");
  assert.match(text, /^\[\] \[\{"apart":true\}\] \[\{"apart":\d+\}\] opened 1, idle 1$/);
});

test("an opening that never ends, or ends after its time, is refused by its time and frees its slot", async () => {
  const refusal = /^the manager did not answer within 50 ms \(open_timeout\).*; then 0 of 1$/;
  assert.match(await ask("/bad/never"), refusal);
  assert.match(await ask("/bad/late"), refusal);
});

test("a lease that is kept beyond its pool has ended", async () => {
  assert.equal(await ask("/bad/beyond"), "this lease of the pool pool has ended");
});

test("a connect() of the same pool within open() ends by its time", async () => {
  assert.equal(await ask("/bad/within"), "ERR_POOL_MANAGER; 0 in the pool");
});

test("a request that panics is answered with an error, and the next ones are served", async () => {
  const { status } = await rig.workerd.ask("/panics");
  assert.equal(status, 500);
  assert.match(await ask("/object/kept/pid"), /^pid \d+$/);
  assert.equal(await ask("/request"), "used 0");
});
