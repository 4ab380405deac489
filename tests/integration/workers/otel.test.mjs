// edgepool/otel in real workerd, with the real SDK of OpenTelemetry: one pool and one meter at module scope, used by
// requests and by a Durable Object.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startWorkerd } from "./workerd.mjs";

const source = `
  import { DurableObject, env } from "cloudflare:workers";
  import { MeterProvider, MetricReader } from "@opentelemetry/sdk-metrics";
  import { QueuePool } from "edgepool";
  import { attachMeter } from "edgepool/otel";

  class InMemoryReader extends MetricReader {
    async onForceFlush() {}
    async onShutdown() {}
  }

  const reader = new InMemoryReader();
  const provider = new MeterProvider({ readers: [reader] });
  const settings = { loggingName: "shop", poolSize: 2, maxOverflow: 0 };
  const pool = new QueuePool(async () => ({ rollback() {}, close() {} }), settings);
  attachMeter(pool, provider.getMeter("edgepool"));

  async function read() {
    const { resourceMetrics } = await reader.collect();
    const numbers = {};
    for (const { descriptor, dataPoints } of resourceMetrics.scopeMetrics.flatMap(({ metrics }) => metrics)) {
      for (const { attributes, value } of dataPoints) {
        const state = attributes["db.client.connection.state"];
        const name = descriptor.name.replace("db.client.connection.", "") + (state === undefined ? "" : " " + state);
        numbers[name] = typeof value === "number" ? value : value.count;
      }
    }
    return numbers;
  }

  const work = async () => {
    await Promise.all([1, 2, 3].map(() => pool.use(async () => void (await scheduler.wait(5)))));
  };

  export class Holder extends DurableObject {
    async fetch() {
      await work();
      return Response.json(await read());
    }
  }

  export default {
    async fetch(request) {
      const { pathname } = new URL(request.url);
      if (pathname === "/object") return env.HOLDER.get(env.HOLDER.idFromName("one")).fetch(request);
      if (pathname === "/read") return Response.json(await read());
      await work();
      await using lease = await pool.connect();
      return Response.json(await read());
    },
  };
`;

let workerd;

before(async () => {
  const main = { source, compatibilityFlags: ["nodejs_compat"], durableObjects: { HOLDER: "Holder" } };
  workerd = await startWorkerd({ workers: { main } });
});

after(() => workerd?.stop());

const ask = async (path) => {
  const { status, body } = await workerd.ask(path);
  assert.equal(status, 200, JSON.stringify(body));
  return body;
};

test("every request of the isolate is in the times and counts of one pool", async () => {
  const [one] = await Promise.all([ask("/work"), ask("/work"), ask("/work")]);
  assert.deepEqual([one.limit, one["idle.max"], one["idle.min"], one.timeouts], [2, 2, 0, 0]);
  assert.ok(one["count used"] >= 1, "its own lease at least");
  const { wait_time: waits, use_time: uses, create_time: openings } = await ask("/read");
  // Each request has two connections of its own.
  assert.deepEqual([waits, uses, openings], [12, 12, 6]);
});

test("connections of requests that have ended do not count, and those of a Durable Object do", async () => {
  const numbers = await ask("/read");
  assert.deepEqual([numbers["count idle"], numbers["count used"], numbers.pending_requests], [0, 0, 0]);
  const ofObject = await ask("/object");
  assert.deepEqual([ofObject["count idle"], ofObject["count used"]], [2, 0]);
  assert.equal((await ask("/read"))["count idle"], 2);
  assert.equal(ofObject.wait_time, 15);
});
