// examples/worker-threads: a pool of threads.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { runIn, threadPool } from "../../examples/worker-threads/threads.mjs";

const example = (name) => new URL(`../../examples/worker-threads/${name}`, import.meta.url);
const silent = { debug() {}, info() {}, warn() {}, error() {} };
const pool = threadPool(example("primes.mjs"), { poolSize: 1, logger: silent });
after(() => pool.close());

test("the example counts primes, and ends by itself", () => {
  const printed = execFileSync(process.execPath, [fileURLToPath(example("main.mjs"))], {
    encoding: "utf8",
    timeout: 60_000,
  });
  assert.deepEqual(printed.trim().split("\n"), [
    "4 primes below 10",
    "168 primes below 1000",
    "9592 primes below 100000",
    "17984 primes below 200000",
    "the job took longer than 100 ms",
    "many is no number to count to",
    "25 primes below 100",
  ]);
});

test("a job that fails leaves its thread to the next caller", async () => {
  await assert.rejects(runIn(pool, { below: -1 }), RangeError);
  assert.equal(await runIn(pool, { below: 10 }), 4);
  assert.equal(pool.stats().opened, 1);
});

test("a thread that still works at its return ends at once, with its job", async () => {
  const thread = await pool.use(async (one) => {
    one.run({ below: Infinity }).catch(() => {});
    return one;
  });
  assert.equal(await runIn(pool, { below: 10 }), 4);
  assert.deepEqual([thread.hasEnded, pool.stats().opened], [true, 2]);
});

test("a thread that dies is replaced, idle or in use", async () => {
  await pool.use((thread) => thread.worker.terminate());
  assert.equal(await runIn(pool, { below: 10 }), 4);
  const dying = pool.use((thread) => {
    void thread.worker.terminate();
    return thread.run({ below: Infinity });
  });
  await assert.rejects(dying, /the thread has ended/);
  assert.equal(await runIn(pool, { below: 10 }), 4);
  assert.equal(pool.stats().opened, 4);
});

test("a job after its lease is refused", async () => {
  const late = await pool.use((thread) => thread);
  await assert.rejects(late.run({ below: 10 }), { code: "ERR_POOL_INVALID_REQUEST" });
});

test("a file that cannot be loaded fails the opening, with its error", async () => {
  const broken = threadPool(new URL("data:text/javascript,throw new Error('broken')"), { logger: silent });
  await assert.rejects(broken.connect(), /broken/);
  await broken.close();
});
