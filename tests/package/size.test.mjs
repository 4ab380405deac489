// What the package loads, minified and gzipped, under each condition: all of its exports, and QueuePool alone. The
// ceilings are for all. DESIGN.md says what moved them.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { root } from "../../scripts/run.mjs";

const queuePool = 'export { QueuePool } from "edgepool"';
const ceilings = { workerd: 70_400, default: 71_500 };

async function loaded(conditions, contents = 'export * from "edgepool"') {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: root },
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    outdir: root,
    conditions,
    external: ["*.wasm", "cloudflare:*", "pg", "mysql2", "node:*"],
  });
  return outputFiles.reduce((sum, { contents }) => sum + gzipSync(contents, { level: 9 }).length, 0);
}

test("the ceilings are those that docs/comparisons.md states", () => {
  const stated = [...readFileSync(join(root, "docs", "comparisons.md"), "utf8").matchAll(/\| (\d+) kB \|$/gm)].map(
    ([, kB]) => Number(kB),
  );
  assert.deepEqual(
    stated,
    [ceilings.default, ceilings.workerd].map((bytes) => Math.ceil(bytes / 1000)),
  );
});

test("the inlined build stays under its ceiling", async (t) => {
  const bytes = await loaded(["browser"]);
  t.diagnostic(`${bytes} bytes of ${ceilings.default}; QueuePool alone ${await loaded(["browser"], queuePool)}`);
  assert.ok(bytes <= ceilings.default, `${bytes} bytes`);
});

test("the build for Workers, with its .wasm, stays under its ceiling", async (t) => {
  const wasm = readFileSync(join(root, "pkg", "wasm", "edgepool_bg.wasm"));
  const conditions = ["workerd", "worker", "browser"];
  const beside = gzipSync(wasm, { level: 9 }).length;
  const bytes = (await loaded(conditions)) + beside;
  const alone = (await loaded(conditions, queuePool)) + beside;
  t.diagnostic(`${bytes} bytes of ${ceilings.workerd}; QueuePool alone ${alone}`);
  assert.ok(bytes <= ceilings.workerd, `${bytes} bytes`);
});

// Both sides of the Durable Object: the class, and poolOf().
const durableObjectCeiling = 11_200;

test("edgepool/durable-object stays under its ceiling, beside the pool", async (t) => {
  const conditions = ["workerd", "worker", "browser"];
  const whole = await loaded(conditions, 'export * from "edgepool/durable-object"');
  const bytes = whole - (await loaded(conditions, queuePool));
  t.diagnostic(`${bytes} bytes of ${durableObjectCeiling}`);
  assert.ok(bytes <= durableObjectCeiling, `${bytes} bytes`);
});

test("edgepool/pg adds at most 12 kB to the core", async (t) => {
  const whole = 'export * from "edgepool"; ';
  const both = await loaded(["browser"], `${whole} export { Pool as PgPool } from "edgepool/pg"`);
  const bytes = both - (await loaded(["browser"], whole));
  t.diagnostic(`${bytes} bytes`);
  assert.ok(bytes <= 12_000, `${bytes} bytes`);
});

/** The ceilings of the facades, beside the core, and what each needs of the other. */
for (const [entry, ceiling] of Object.entries({ mysql2: 5_700, tarn: 3_600, "generic-pool": 3_600 })) {
  test(`edgepool/${entry} stays under its ceiling, beside the pool`, async (t) => {
    const whole = 'export * from "edgepool"; ';
    const both = await loaded(["browser"], `${whole} export * as facade from "edgepool/${entry}"`);
    const bytes = both - (await loaded(["browser"], whole));
    t.diagnostic(`${bytes} bytes of ${ceiling}`);
    assert.ok(bytes <= ceiling, `${bytes} bytes`);
  });
}

// Of the core they load nothing more than the pools do.
for (const [entry, use, ceiling] of [
  ["otel", 'export * from "edgepool/otel"', 2_400],
  ["diagnostics", 'import "edgepool/diagnostics"', 1_200],
]) {
  test(`edgepool/${entry} stays under its ceiling, beside the pool`, async (t) => {
    const bytes = (await loaded(["browser"], `${queuePool}; ${use}`)) - (await loaded(["browser"], queuePool));
    t.diagnostic(`${bytes} bytes of ${ceiling}`);
    assert.ok(bytes > 500 && bytes <= ceiling, `${bytes} bytes`);
  });
}

// The page with its script and style is two thirds of it.
const inspectCeiling = 19_200;

test("edgepool/inspect stays under its ceiling, and is in nothing that does not import it", async (t) => {
  const whole = 'export * from "edgepool"; ';
  const core = await loaded(["browser"], whole);
  const bytes = (await loaded(["browser"], `${whole} export * from "edgepool/inspect"`)) - core;
  t.diagnostic(`${bytes} bytes of ${inspectCeiling}`);
  assert.ok(bytes <= inspectCeiling, `${bytes} bytes`);
  const shared = readFileSync(join(root, "pkg", "edgepool.js"), "utf8");
  assert.doesNotMatch(shared, /<!doctype|EventSource|text\/event-stream/);
});

test("clients() of edgepool/pg adds at most 3.6 kB to the core: the dialect of pg, and no facade", async (t) => {
  const whole = 'export * from "edgepool"; ';
  const both = await loaded(["browser"], `${whole} export { clients } from "edgepool/pg"`);
  const bytes = both - (await loaded(["browser"], whole));
  t.diagnostic(`${bytes} bytes`);
  assert.ok(bytes <= 3_600, `${bytes} bytes`);
});

test("a Worker that only calls the object, or only knows the errors, loads no pool", async () => {
  const conditions = ["workerd", "worker", "browser"];
  const caller = await loaded(conditions, 'export { poolOf } from "edgepool/durable-object"');
  assert.ok(caller <= 11_500, `${caller} bytes for poolOf()`);
  const errors = await loaded(conditions, 'export { PoolError } from "edgepool"');
  assert.ok(errors <= 7_000, `${errors} bytes for PoolError`);
});

const [, stack] = /-zstack-size=(\d+)/.exec(readFileSync(join(root, "scripts", "build.mjs"), "utf8"));

/** Fills the stack, which begins at 0 and grows down to it, and finds at the end what is left of the filling. */
const probe = `
  const filling = 0xaa;
  let memory;
  WebAssembly.Instance = class extends WebAssembly.Instance {
    constructor(...parameters) {
      super(...parameters);
      memory = this.exports.memory;
      console.error("pages", memory.buffer.byteLength / 65536);
      new Uint8Array(memory.buffer, 0, ${stack} - 64).fill(filling);
    }
  };
  process.on("exit", () => {
    const left = new Uint8Array(memory.buffer, 0, ${stack}).findIndex((byte) => byte !== filling);
    console.error("deepest", ${stack} - left);
  });
`;

test("the memory starts with one page, and no program of the suite's sweep needs a fourth of the stack", (t) => {
  const { stderr, status } = spawnSync(
    process.execPath,
    [
      "--expose-gc",
      `--import=data:text/javascript,${encodeURIComponent(probe)}`,
      "--test-name-pattern=^sweep",
      join(root, "tests", "conformance", "runners", "node.test.mjs"),
    ],
    // In the variable's presence a test runner writes for the one above it.
    { encoding: "utf8", env: { ...process.env, NODE_TEST_CONTEXT: undefined } },
  );
  assert.equal(status, 0, stderr);
  assert.equal(/^pages (\d+)$/m.exec(stderr)?.[1], "1");
  const deepest = Number(/^deepest (\d+)$/m.exec(stderr)?.[1]);
  t.diagnostic(`${deepest} bytes of ${stack}`);
  assert.ok(deepest > 64 && deepest * 4 <= stack, `${deepest} bytes of ${stack}`);
});
