// edgepool/otel with the real packages of OpenTelemetry, read as an exporter reads: by a MetricReader in memory.

import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { test } from "node:test";
import { metrics as globalMetrics } from "@opentelemetry/api";
import { AggregationTemporality, DataPointType, MeterProvider, MetricReader } from "@opentelemetry/sdk-metrics";
import * as conventions from "@opentelemetry/semantic-conventions/incubating";
import { QueuePool } from "edgepool";
import { attachMeter } from "edgepool/otel";
import { Pool } from "edgepool/pg";

class InMemoryReader extends MetricReader {
  async onForceFlush() {}
  async onShutdown() {}

  /** The metrics by their names. */
  async read() {
    const { resourceMetrics, errors } = await this.collect();
    assert.deepEqual(errors, []);
    const all = resourceMetrics.scopeMetrics.flatMap(({ metrics }) => metrics);
    return Object.fromEntries(all.map((metric) => [metric.descriptor.name, metric]));
  }
}

function provided(options = {}) {
  const reader = new InMemoryReader(options);
  const provider = new MeterProvider({ readers: [reader] });
  return { reader, meter: provider.getMeter("edgepool"), provider };
}

const quiet = { debug() {}, info() {}, warn() {}, error() {} };
const name = (short) => `db.client.connection.${short}`;
const valuesOf = (metric) => metric.dataPoints.map(({ value }) => value);

function shopPool(options = {}) {
  const settings = { loggingName: "shop", poolSize: 2, maxOverflow: 1, logger: quiet, ...options };
  return new QueuePool(async () => ({ rollback() {}, close() {} }), settings);
}

test("names, units, kinds and buckets are those of the conventions", async () => {
  const { reader, meter } = provided();
  const pool = shopPool();
  attachMeter(pool, meter);
  await pool.use(() => {});
  const found = await reader.read();
  const metric = (key) => conventions[`METRIC_DB_CLIENT_CONNECTION_${key}`];
  const gauges = ["IDLE_MAX", "IDLE_MIN", "LIMIT", "MAX"].map((key) => [metric(key), "{connection}"]);
  const sums = [[metric("COUNT"), "{connection}"], ...gauges, [metric("PENDING_REQUESTS"), "{request}"]];
  const times = ["CREATE_TIME", "WAIT_TIME", "USE_TIME"].map(metric);
  assert.deepEqual(
    Object.keys(found).sort(),
    [...sums.map(([key]) => key), metric("TIMEOUTS"), ...times].sort(),
    "no metric but these",
  );
  for (const [key, unit] of sums) {
    assert.equal(found[key].descriptor.unit, unit, key);
    assert.deepEqual([found[key].dataPointType, found[key].isMonotonic], [DataPointType.SUM, false], key);
  }
  const timeouts = found[metric("TIMEOUTS")];
  assert.equal(timeouts.descriptor.unit, "{timeout}");
  assert.deepEqual([timeouts.dataPointType, timeouts.isMonotonic], [DataPointType.SUM, true]);
  for (const key of times) {
    assert.equal(found[key].descriptor.unit, "s", key);
    assert.equal(found[key].dataPointType, DataPointType.HISTOGRAM, key);
    assert.deepEqual(
      found[key].dataPoints[0].value.buckets.boundaries,
      [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10],
      key,
    );
  }
  for (const [key, { dataPoints }] of Object.entries(found)) {
    for (const { attributes } of dataPoints) {
      assert.equal(attributes[conventions.ATTR_DB_CLIENT_CONNECTION_POOL_NAME], "shop", key);
      const state = attributes[conventions.ATTR_DB_CLIENT_CONNECTION_STATE];
      assert.equal(state !== undefined, key === metric("COUNT"), key);
    }
  }
  assert.deepEqual(
    found[metric("COUNT")].dataPoints.map(({ attributes, value }) => [
      attributes[conventions.ATTR_DB_CLIENT_CONNECTION_STATE],
      value,
    ]),
    [
      [conventions.DB_CLIENT_CONNECTION_STATE_VALUE_IDLE, 1],
      [conventions.DB_CLIENT_CONNECTION_STATE_VALUE_USED, 0],
    ],
  );
});

test("under load each checkout has one wait and one use, each opening one time, and nothing is left", async () => {
  const { reader, meter } = provided();
  const pool = shopPool();
  attachMeter(pool, meter);
  await Promise.all(Array.from({ length: 500 }, () => pool.use(async () => await null)));
  const found = await reader.read();
  const { checkouts, opened, waited } = pool.stats();
  assert.ok(waited > 400 && checkouts === 500);
  for (const [key, count] of [
    ["wait_time", checkouts],
    ["use_time", checkouts],
    ["create_time", opened],
  ]) {
    const [{ value }] = found[name(key)].dataPoints;
    assert.equal(value.count, count, key);
    assert.ok(value.min >= 0 && value.max < 60, `${key} is in seconds: ${value.max}`);
  }
  assert.deepEqual(valuesOf(found[name("count")]), [pool.stats().idle, 0]);
  assert.deepEqual(valuesOf(found[name("pending_requests")]), [0]);
});

test("with delta temporality time-outs are those since the last reading", async () => {
  const { reader, meter } = provided({ aggregationTemporalitySelector: () => AggregationTemporality.DELTA });
  const pool = shopPool({ poolSize: 1, maxOverflow: 0, timeout: 0 });
  attachMeter(pool, meter);
  const lease = await pool.connect();
  const timedOut = () => assert.rejects(pool.connect(), { code: "ERR_POOL_TIMEOUT" });
  await timedOut();
  await timedOut();
  assert.deepEqual(valuesOf((await reader.read())[name("timeouts")]), [2]);
  await timedOut();
  assert.deepEqual(valuesOf((await reader.read())[name("timeouts")]), [1]);
  await lease.close();
});

test("after detach() or close() the numbers of a pool are 0, and another pool on the meter keeps its own", async () => {
  const { reader, meter } = provided();
  const pools = ["shop", "stock", "third"].map((loggingName) => shopPool({ loggingName }));
  const [shop] = pools.map((pool) => attachMeter(pool, meter));
  for (const pool of pools) await pool.use(() => {});
  const idle = async () => {
    const { dataPoints } = (await reader.read())[name("count")];
    const ofIdle = dataPoints.filter(({ attributes }) => attributes[name("state")] === "idle");
    return Object.fromEntries(ofIdle.map(({ attributes, value }) => [attributes[name("pool.name")], value]));
  };
  assert.deepEqual(await idle(), { shop: 1, stock: 1, third: 1 });
  shop.detach();
  await pools[1].close();
  for (let reading = 0; reading < 2; reading++) assert.deepEqual(await idle(), { shop: 0, stock: 0, third: 1 });
});

test("the meter of a program without an SDK takes the metrics and does nothing", async () => {
  const pool = shopPool();
  attachMeter(pool, globalMetrics.getMeter("edgepool"))[Symbol.dispose]();
  attachMeter(pool, globalMetrics.getMeter("edgepool"));
  await pool.use(() => {});
  await pool.close();
});

test("a meter keeps no pool that the program has dropped", async () => {
  const { reader, meter } = provided();
  const dropped = await (async () => {
    const pool = shopPool();
    attachMeter(pool, meter);
    await pool.use(() => {});
    return new WeakRef(pool);
  })();
  // What deref() returns is kept until the end of the turn.
  const isDropped = async () => {
    await new Promise((resolve) => setImmediate(resolve));
    return dropped.deref() === undefined;
  };
  for (let round = 0; round < 50 && !(await isDropped()); round++) {
    await new Promise((resolve) => setImmediate(resolve));
    globalThis.gc();
  }
  assert.equal(dropped.deref(), undefined);
  await reader.read();
  assert.deepEqual(valuesOf((await reader.read())[name("count")]), [0, 0]);
});

/** A client in the shape of pg's, without a server. */
class FakeClient extends EventEmitter {
  connect(callback) {
    queueMicrotask(() => callback());
  }
  query(...given) {
    const callback = given.at(-1);
    if (typeof callback !== "function") return Promise.resolve({ rows: [] });
    queueMicrotask(() => callback(undefined, { rows: [] }));
  }
  async end() {}
}

test("a Pool of edgepool/pg has the same metrics", async () => {
  const { reader, meter } = provided();
  const pool = new Pool({ Client: FakeClient, max: 3, edgepool: { loggingName: "pg" } });
  const metrics = attachMeter(pool, meter);
  const clients = await Promise.all([pool.connect(), pool.connect()]);
  await pool.query("SELECT 1");
  // The query is answered before its client is back.
  await new Promise((resolve) => setImmediate(resolve));
  let found = await reader.read();
  assert.deepEqual(valuesOf(found[name("count")]), [1, 2]);
  assert.deepEqual(
    ["idle.max", "idle.min", "limit"].map((key) => valuesOf(found[name(key)])),
    [[3], [0], [3]],
  );
  for (const client of clients) client.release();
  await new Promise((resolve) => setImmediate(resolve));
  found = await reader.read();
  assert.deepEqual(valuesOf(found[name("count")]), [3, 0]);
  assert.deepEqual(
    ["create_time", "wait_time", "use_time"].map((key) => found[name(key)].dataPoints[0].value.count),
    [3, 3, 3],
  );
  metrics.detach();
  await pool.end();
});
