// The real packages on Pool of edgepool/pg: OpenTelemetry's instrumentation of pg, its metrics, and Vercel's functions.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { startPostgres } from "../../../scripts/postgres.mjs";
import { layProject } from "../project.mjs";

const project = layProject("telemetry", join(import.meta.dirname, "app"));
let postgres;
let url;

before(async () => {
  postgres = await startPostgres();
  const { host, port, user, password, database } = postgres.options;
  url = `postgres://${user}:${password}@${host}:${port}/${database}`;
});

after(() => postgres?.stop());

/** Runs a program of the app. Returns what it wrote last. */
function written(args, more = {}) {
  const output = project.run("node", args, { DATABASE_URL: url, ...more });
  return JSON.parse(output.trim().split("\n").at(-1));
}

test("@opentelemetry/instrumentation-pg traces each query of the pool, below the span of its caller", () => {
  const { spans } = written(["--no-warnings", "--import", "./register.mjs", "traced.mjs"]);
  const queries = spans.filter(({ name }) => name.startsWith("pg.query"));
  const texts = ["SELECT 1", "SELECT $1::int", "SELECT none", ...Array.from({ length: 4 }, () => "SELECT 3")];
  assert.deepEqual(
    queries.map(({ text }) => text),
    texts,
  );
  assert.deepEqual(
    queries.map(({ hasFailed }) => hasFailed),
    texts.map((text) => text === "SELECT none"),
  );
  assert.ok(
    spans.filter(({ name }) => name !== "request").every(({ isBelow }) => isBelow),
    JSON.stringify(spans),
  );
});

test("beside it edgepool/otel has the pool's metrics", () => {
  const { numbers } = written(["--no-warnings", "--import", "./register.mjs", "traced.mjs"]);
  const name = (short) => `db.client.connection.${short}`;
  assert.deepEqual(numbers[name("limit")], [2]);
  assert.deepEqual(numbers[name("wait_time")], [6]);
  assert.deepEqual(numbers[name("use_time")], [6]);
});

test("attachDatabasePool() of @vercel/functions keeps the instance awake until the idle clients are closed", () => {
  const {
    waits,
    before: open,
    after: left,
  } = written(["suspended.mjs"], { VERCEL_URL: "shop", VERCEL_REGION: "fra1" });
  assert.equal(open, 2);
  assert.ok(waits >= 1);
  assert.equal(left, 0);
});
