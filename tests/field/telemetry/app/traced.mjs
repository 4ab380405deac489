// Queries of Pool of edgepool/pg below a span, and its metrics. Writes the spans, and the numbers.

import { trace } from "@opentelemetry/api";
import { MeterProvider, MetricReader } from "@opentelemetry/sdk-metrics";
import { attachMeter } from "edgepool/otel";
import { Pool } from "edgepool/pg";

class InMemoryReader extends MetricReader {
  async onForceFlush() {}
  async onShutdown() {}
}

const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: 2, edgepool: { loggingName: "shop" } });
const reader = new InMemoryReader();
const metrics = attachMeter(pool, new MeterProvider({ readers: [reader] }).getMeter("shop"));

await trace.getTracer("app").startActiveSpan("request", async (request) => {
  await pool.query("SELECT 1");
  const client = await pool.connect();
  await client.query("SELECT $1::int", [2]);
  await client.query("SELECT none").catch(() => {});
  client.release();
  await Promise.all(Array.from({ length: 4 }, () => pool.query("SELECT 3")));
  request.end();
});

const { resourceMetrics } = await reader.collect();
const numbers = {};
for (const { descriptor, dataPoints } of resourceMetrics.scopeMetrics.flatMap((scope) => scope.metrics))
  numbers[descriptor.name] = dataPoints.map(({ value }) => value.count ?? value);
metrics.detach();
await pool.end();
const all = globalThis.spans.getFinishedSpans();
const root = all.find(({ name }) => name === "request");
console.log(
  JSON.stringify({
    numbers,
    spans: all.map(({ name, status, parentSpanContext, attributes }) => ({
      name,
      hasFailed: status.code === 2,
      isBelow: parentSpanContext?.spanId === root.spanContext().spanId,
      text: attributes["db.query.text"] ?? attributes["db.statement"],
    })),
  }),
);
