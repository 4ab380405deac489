// A hundred thousand requests in one isolate: plain ones, ones with spans, WebSockets, sessions over RPC. One in ten
// ends badly with its lease out: given up by its client, shot, thrown, or forgetful. What the pool has of them must not
// pile up: neither in WebAssembly, nor on the heap, nor in its list of scopes, nor as backends. A self service binding
// makes each a request of its own, at a tenth of HTTP's cost.

import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Client } from "pg";
import { until } from "../watched-postgres.mjs";
import { Inspector } from "./inspector.mjs";
import { startWorkerd, startWorkerdOnPostgres } from "./workerd.mjs";

const services = { SELF: "main", SERVICE: { service: "main", entrypoint: "Service" } };

const rig = (worker = {}) => ({
  inspect: true,
  v8Flags: ["--expose-gc"],
  workers: { main: { entry: join(import.meta.dirname, "soak-worker.mjs"), services, ...worker } },
});

/** Runs all requests in rounds, and reads the memory after each, once garbage is collected. */
async function soak(workerd, { pool, requests, rounds, together, kinds = ["well"], disturbed }) {
  const inspector = await Inspector.connect(workerd, "main");
  const readings = [];
  const tally = { answered: 0, failed: 0 };
  const count = requests / rounds;
  try {
    for (let round = 0; round < rounds; round++) {
      const query = new URLSearchParams({
        pool,
        first: round * count,
        count,
        together,
        kinds: kinds.join(),
        disturbed: disturbed.join(),
      });
      const { status, body } = await workerd.ask(`/batch?${query}`, { timeoutMs: 60_000 });
      assert.equal(status, 200, JSON.stringify(body));
      tally.answered += body.answered;
      tally.failed += body.failed;
      const { wasm, stats } = (await workerd.ask(`/memory?pool=${pool}`)).body;
      readings.push({
        heap: await inspector.heapUsed(),
        wasm,
        slots: stats.total,
        waiting: stats.waiting,
        opened: stats.opened,
      });
    }
  } finally {
    inspector.close();
  }
  return { readings, tally };
}

/** At most this much more in the second half than in the first. What leaks doubles. */
function assertFlat(readings, what, factor, allowance) {
  const half = readings.length / 2;
  const most = (part) => Math.max(...part.map((reading) => reading[what]));
  const [first, second] = [most(readings.slice(0, half)), most(readings.slice(half))];
  assert.ok(
    second <= first * factor + allowance,
    `${what}: ${second} after ${first}; all: ${readings.map((reading) => reading[what])}`,
  );
}

function assertNothingPilesUp(readings) {
  assertFlat(readings, "heap", 1.1, 256 * 1024);
  assertFlat(readings, "wasm", 1.5, 0);
  assertFlat(readings, "slots", 1.5, 64);
  assertFlat(readings, "waiting", 1.5, 64);
}

const foreign = (log) =>
  log.filter((line) => /on behalf of a different|different request context|cannot be used any more/.test(line));

describe("a soak", { concurrency: 2 }, () => {
  test("100,000 requests of all kinds, one in ten ending badly, have one scope each and leave nothing", async () => {
    const workerd = await startWorkerd(rig());
    try {
      const requests = 100_000;
      const { readings, tally } = await soak(workerd, {
        pool: "scripted",
        requests,
        rounds: 20,
        together: 50,
        kinds: ["well", "spans", "socket", "rpc"],
        disturbed: ["thrown", "forgotten", "givenUp", "hung"],
      });
      assert.deepEqual(tally, { answered: requests - (requests / 10) * (3 / 4), failed: (requests / 10) * (3 / 4) });
      assert.equal(readings.at(-1).opened, requests, "one connection for each request: one scope");
      assertNothingPilesUp(readings);
      assert.deepEqual(foreign(workerd.log), []);
    } finally {
      await workerd.stop();
    }
  });

  test("20,000 requests before the date of finalization, one in ten ending badly, leave nothing either", async () => {
    const workerd = await startWorkerd(rig({ compatibilityDate: "2024-09-23", compatibilityFlags: ["nodejs_compat"] }));
    try {
      const requests = 20_000;
      const { readings } = await soak(workerd, {
        pool: "scripted",
        requests,
        rounds: 10,
        together: 50,
        disturbed: ["thrown", "forgotten", "givenUp", "hung"],
      });
      assert.ok(readings.at(-1).slots <= 1100, `${readings.at(-1).slots} slots: only the latest requests are kept`);
      assertNothingPilesUp(readings);
      assert.deepEqual(foreign(workerd.log), []);
    } finally {
      await workerd.stop();
    }
  });

  test("5,000 requests on PostgreSQL, one in ten ending badly, leave no backend", async () => {
    const { postgres, workerd, stop } = await startWorkerdOnPostgres({ ...rig(), maxConnections: 200 });
    const admin = new Client(postgres.options);
    try {
      await admin.connect();
      const requests = 5000;
      const disturbed = ["thrown", "forgotten", "givenUp", "forgotten"];
      const { readings, tally } = await soak(workerd, {
        pool: "postgres",
        requests,
        rounds: 10,
        together: 16,
        disturbed,
      });
      assert.deepEqual(tally, { answered: requests - (requests / 10) * (2 / 4), failed: (requests / 10) * (2 / 4) });
      assert.equal(readings.at(-1).opened, requests, "one connection for each request: one scope");
      assertNothingPilesUp(readings);
      const backends = async () =>
        (await admin.query("SELECT 1 FROM pg_stat_activity WHERE application_name = 'soak'")).rows.length;
      await until(async () => (await backends()) === 0, "the end of every backend");
      assert.deepEqual(foreign(workerd.log), []);
    } finally {
      await admin.end();
      await stop();
    }
  });
});
