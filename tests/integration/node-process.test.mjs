// What only Node can show: the async context of callers, and what abort listeners a pool leaves behind.

import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { spawnSync } from "node:child_process";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { QueuePool } from "edgepool";
import { root } from "../../scripts/run.mjs";

const quiet = { debug() {}, info() {}, warn() {}, error() {} };

test("every caller's creator, reset and continuation run in that caller's async context", async () => {
  const context = new AsyncLocalStorage();
  const seen = [];
  const pool = new QueuePool(
    async () => {
      seen.push(["open", context.getStore()]);
      await null;
      return { rollback: () => void seen.push(["rollback", context.getStore()]), close() {} };
    },
    { poolSize: 1, maxOverflow: 0, logger: quiet },
  );
  const caller = (name) =>
    context.run(name, async () => {
      const lease = await pool.connect();
      seen.push(["lease", context.getStore()]);
      await lease.close();
    });
  await Promise.all([caller("first"), caller("second"), caller("third")]);
  assert.deepEqual(seen, [
    ["open", "first"],
    ["lease", "first"],
    ["rollback", "first"],
    ["lease", "second"],
    ["rollback", "second"],
    ["lease", "third"],
    ["rollback", "third"],
  ]);
});

test("a waiter that is woken to open does so in its own async context", async () => {
  const context = new AsyncLocalStorage();
  const seen = [];
  const pool = new QueuePool(
    async () => {
      seen.push(context.getStore());
      await null;
      if (seen.length < 3) throw new Error("down");
      return { rollback() {}, close() {} };
    },
    { poolSize: 1, maxOverflow: 0, logger: quiet },
  );
  const caller = (name) => context.run(name, () => pool.connect());
  const first = caller("first");
  const second = caller("second");
  const third = caller("third");
  await assert.rejects(first, /down/);
  await assert.rejects(second, /down/);
  await (await third).close();
  assert.deepEqual(seen, ["first", "second", "third"]);
});

test("however many wait with one signal, it has one listener, and none when they are gone", async () => {
  const pool = new QueuePool(() => ({ rollback() {}, close() {} }), { poolSize: 1, maxOverflow: 0, logger: quiet });
  const lease = await pool.connect();
  const { signal } = new AbortController();
  const waiters = Array.from({ length: 100 }, () => pool.connect({ signal }));
  assert.equal(getEventListeners(signal, "abort").length, 1);
  await lease.close();
  for (const waiter of waiters) await (await waiter).close();
  assert.equal(getEventListeners(signal, "abort").length, 0);
});

test("a process waits for a caller that came after another had left its opening alone", () => {
  const program = `
    import { QueuePool } from "edgepool";
    const logger = { debug() {}, info() {}, warn() {}, error() {} };
    const pool = new QueuePool(() => new Promise(() => {}), { driverTimeout: "100ms", logger });
    await pool.connect({ deadline: "10ms" }).catch(({ code }) => console.log(code));
    await pool.connect().catch(({ step }) => console.log(step));
  `;
  const { status, stdout } = spawnSync(process.execPath, ["--input-type=module", "--eval", program], {
    cwd: root,
    encoding: "utf8",
  });
  assert.deepEqual([status, stdout], [0, "ERR_POOL_TIMEOUT\nopen\n"]);
});

test("where finalizers may not act, a lost lease is reported before a checkout takes its place", () => {
  // As in Workers: a finalizer only marks, and the next call reports.
  const program = `
    Object.defineProperty(globalThis, "navigator", { value: { userAgent: "Cloudflare-Workers" }, configurable: true });
    const { QueuePool } = await import("edgepool");
    const logger = { debug() {}, info() {}, warn() {}, error: (message) => console.log(message) };
    const open = () => ({ rollback() {}, close() {} });
    const pool = new QueuePool(open, { poolSize: 2, maxOverflow: 0, timeout: "1s", logger });
    const spare = await pool.connect();
    (() => void pool.connect())();
    for (let round = 0; round < 5; round++) { await new Promise((turn) => setTimeout(turn, 20)); gc(); }
    pool.on("error", (_, { operation }) => { console.log(operation); if (operation === "leak") spare.close(); });
    const lease = await pool.connect();
    console.log(lease.isValid, pool.stats().used);
    process.exit();
  `;
  const { status, stdout } = spawnSync(process.execPath, ["--expose-gc", "--input-type=module", "--eval", program], {
    cwd: root,
    encoding: "utf8",
  });
  assert.deepEqual([status, stdout], [0, "leak\ntrue 2\n"]);
});
