// What users install: the tarball's contents, its imports, its types, and how it behaves in a process of its own.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { root } from "../../scripts/run.mjs";
import { installTarball } from "./packed.mjs";

/** Each dialect's subpath and its name there. */
const dialects = {
  pg: "pg",
  mysql2: "mysql2",
  pglite: "pglite",
  "better-sqlite3": "betterSqlite3",
  "node-sqlite": "nodeSqlite",
  libsql: "libsql",
  "sqlite-wasm": "sqliteWasm",
  ioredis: "ioredis",
  redis: "redis",
  mariadb: "mariadb",
  tedious: "tedious",
};

let project;

before(() => {
  project = installTarball();
});

after(() => project.remove());

/** Runs a program in the consumer's folder. */
function run(name, source, args = []) {
  writeFileSync(join(project.folder, name), source);
  const start = performance.now();
  const { status, stdout, stderr } = spawnSync(process.execPath, [...args, join(project.folder, name)], {
    encoding: "utf8",
    timeout: 20_000,
  });
  return { status, stdout: stdout.trim(), stderr, ms: performance.now() - start };
}

test("the tarball holds what is built, its types and its documents, and no source", () => {
  for (const name of [
    "package.json",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    "pkg/index.d.ts",
    "pkg/durable-object/index.d.ts",
    "pkg/wasm/edgepool_bg.wasm",
    "pkg/wasm/edgepool.symbols",
    "pkg/THIRD_PARTY_LICENSES",
  ]) {
    assert.ok(project.names.includes(name), `${name} is missing of ${project.names.length} files`);
  }
  const patterns = [
    /^pkg\/.*\.(js|js\.map|d\.ts|wasm|symbols)$/,
    /^docs\/[\w-]+\.md$/,
    /^(pkg\/THIRD_PARTY_LICENSES|package\.json|README\.md|LICENSE|CHANGELOG\.md)$/,
  ];
  const strays = project.names.filter((name) => !patterns.some((pattern) => pattern.test(name)));
  assert.deepEqual(strays, []);
  const built = (ending) => project.names.filter((name) => name.startsWith("pkg/") && name.endsWith(ending)).sort();
  const modules = [
    "pkg/edgepool.js",
    "pkg/entry/inline.js",
    "pkg/entry/workerd.js",
    "pkg/entry/module.js",
    "pkg/entry/external.js",
    "pkg/entry/slim.js",
    "pkg/durable-object/index.js",
    "pkg/inspect/index.js",
    "pkg/durable-object/pg.js",
    "pkg/pg/index.js",
    "pkg/mysql2/index.js",
    "pkg/mysql2/promise.js",
    "pkg/tarn/index.js",
    "pkg/generic-pool/index.js",
    "pkg/resource-pool.js",
    "pkg/pg/pg-pool.js",
    "pkg/otel/index.js",
    "pkg/diagnostics/index.js",
    "pkg/drivers.js",
    "pkg/pg/connecting.js",
    "pkg/pg/pool.js",
    "pkg/dialects/redis-session.js",
    "pkg/dialects/mysql-server.js",
    ...Object.keys(dialects).map((name) => `pkg/dialects/${name}.js`),
  ].sort();
  assert.deepEqual(built(".js"), modules, "a module is missing, or one is of an entry that is gone");
  assert.deepEqual(
    built(".js.map"),
    modules.map((name) => `${name}.map`),
  );
  const sources = readdirSync(join(root, "src", "shell"), { recursive: true }).filter(
    (name) => name.endsWith(".ts") && !name.endsWith(".d.ts"),
  );
  assert.deepEqual(
    built(".d.ts").filter((name) => !name.startsWith("pkg/wasm/")),
    sources.map((name) => `pkg/${name.replace(/ts$/, "d.ts")}`).sort(),
    "the types of a module are missing, or some are of a source that is gone",
  );
});

test("a stack has the names of the source, and its source maps lead there", () => {
  const program = `
    import { QueuePool } from "edgepool";
    const pool = new QueuePool(() => {
      throw new Error("no connection");
    });
    await pool.connect().catch((error) => console.log(error.stack));
  `;
  const plain = run("stack.mjs", program);
  assert.match(plain.stdout, /at QueuePool\.connect \(.*[\\/]pkg[\\/]edgepool\.js:/, plain.stderr);
  const mapped = run("stack.mjs", program, ["--enable-source-maps"]);
  const frames = [...mapped.stdout.matchAll(/at (?:\w+\.)?(\S+) \(.*[\\/]src[\\/]shell[\\/](.+):(\d+):(\d+)\)/g)];
  assert.equal(frames.at(-1)?.[1], "connect", mapped.stdout + mapped.stderr);
  for (const [frame, name, file, line] of frames) {
    const lines = readFileSync(join(root, "src", "shell", file), "utf8").split("\n");
    // An arrow function has the name of its property, or none. It is in its line.
    const own = lines[line - 1];
    const isArrow = own.includes("=>") && (name === "<anonymous>" || own.includes(`${name}: `));
    const declared = isArrow || lines.slice(0, line).some((text) => text.includes(`${name}(`));
    assert.ok(declared, `${frame}: no such function stands before that line`);
  }
});

test("the tarball holds what the README says that npm installs", () => {
  const [, list] = /^What npm installs is ([^;]+);/m.exec(readFileSync(join(root, "README.md"), "utf8"));
  const said = [...list.matchAll(/`([^`]+)`/g)].map(([, name]) => name.replace(/\/$/, ""));
  assert.deepEqual([...new Set(project.names.map((name) => name.split("/")[0]))].sort(), said.sort());
});

test("import gives the API, with no init call", () => {
  const { stdout, stderr } = run(
    "import.mjs",
    `
    import { QueuePool, PoolError } from "edgepool";
    const pool = new QueuePool(() => ({ close() {} }));
    console.log(await pool.use((connection) => typeof connection), typeof PoolError);
    await pool.close();
  `,
  );
  assert.equal(stdout, "object function", stderr);
});

test("every dialect is imported without its driver, by name and as the default", () => {
  const { stdout, stderr } = run(
    "dialects.mjs",
    Object.entries(dialects)
      .map(
        ([path, name]) => `
    import byDefault_${name}, { ${name} } from "edgepool/dialects/${path}";
    const dialect_${name} = typeof ${name} === "function" ? ${name}({}) : ${name};
    console.log(dialect_${name}.name, ${name} === byDefault_${name});
  `,
      )
      .join(""),
  );
  assert.equal(
    stdout,
    Object.keys(dialects)
      .map((path) => `${path} true`)
      .join("\n"),
    stderr,
  );
});

test("edgepool/external gives the same, as an import that a bundler may leave alone", () => {
  const { stdout, stderr } = run(
    "external.mjs",
    `
    import * as all from "edgepool";
    import * as external from "edgepool/external";
    console.log(Object.keys(all).length > 10, Object.keys(all).every((name) => all[name] === external[name]));
  `,
  );
  assert.equal(stdout, "true true", stderr);
});

test("require gives the same", () => {
  const { stdout, stderr } = run(
    "require.cjs",
    `
    const { QueuePool } = require("edgepool");
    const pool = new QueuePool(() => ({ rollback() {}, close() {} }));
    pool.use(() => "used").then((answer) => console.log(answer));
  `,
  );
  assert.equal(stdout, "used", stderr);
});

test("slim takes the WebAssembly from its user, and says so when it has none", () => {
  const { stdout, stderr } = run(
    "slim.mjs",
    `
    import { readFileSync } from "node:fs";
    import { createRequire } from "node:module";
    import { initialize, QueuePool } from "edgepool/slim";
    try {
      new QueuePool(() => ({}));
    } catch (error) {
      console.log(error.code);
    }
    initialize(readFileSync(createRequire(import.meta.url).resolve("edgepool/edgepool.wasm")));
    const pool = new QueuePool(() => ({ rollback() {} }));
    console.log(await pool.use(() => "used"));
  `,
  );
  assert.equal(stdout, "ERR_POOL_INVALID_REQUEST\nused", stderr);
});

test("slim refuses what is not its WebAssembly, by name, and takes the right one afterwards", () => {
  const { stdout, stderr } = run(
    "slim-refuses.mjs",
    `
    import { readFileSync } from "node:fs";
    import { createRequire } from "node:module";
    import { runInNewContext } from "node:vm";
    import { initialize, QueuePool } from "edgepool/slim";
    const empty = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]);
    for (const wrong of [undefined, "edgepool.wasm", Promise.resolve(), {}, empty, new WebAssembly.Module(empty)]) {
      try {
        initialize(wrong);
      } catch (error) {
        console.log(error.code, error.message);
      }
    }
    const bytes = readFileSync(createRequire(import.meta.url).resolve("edgepool/edgepool.wasm"));
    initialize(runInNewContext("new Uint8Array(bytes).buffer", { bytes })); // of another realm, as tests run in
    console.log(await new QueuePool(() => ({ rollback() {} })).use(() => "used"));
  `,
  );
  const refused =
    "ERR_POOL_ARGUMENT initialize() wants the bytes of edgepool/edgepool.wasm, or a WebAssembly.Module; it got";
  const other = "ERR_POOL_ARGUMENT initialize() wants edgepool/edgepool.wasm; it got another WebAssembly";
  assert.equal(
    stdout,
    [
      `${refused} undefined`,
      `${refused} "edgepool.wasm"`,
      `${refused} an object (Promise)`,
      `${refused} an object (Object)`,
      other,
      other,
      "used",
    ].join("\n"),
    stderr,
  );
});

test("slim takes a module of another realm, as edge runtimes give it", () => {
  const { stdout, stderr } = run(
    "slim-realm.mjs",
    `
    import { readFileSync } from "node:fs";
    import { createRequire } from "node:module";
    import { runInNewContext } from "node:vm";
    import { initialize, QueuePool } from "edgepool/slim";
    const bytes = readFileSync(createRequire(import.meta.url).resolve("edgepool/edgepool.wasm"));
    const module = runInNewContext("new WebAssembly.Module(bytes)", { bytes });
    initialize(module);
    console.log(module instanceof WebAssembly.Module, await new QueuePool(() => ({ rollback() {} })).use(() => "used"));
  `,
  );
  assert.equal(stdout, "false used", stderr);
});

test("a host without WebAssembly says so in these words, at the import and in initialize()", () => {
  const says = /PoolError: this host has no WebAssembly, and edgepool cannot run without it/;
  assert.match(run("jitless.mjs", 'import "edgepool";', ["--jitless"]).stderr, says);
  const slim = 'import { initialize } from "edgepool/slim"; initialize(new Uint8Array());';
  assert.match(run("jitless-slim.mjs", slim, ["--jitless"]).stderr, says);
});

test("the types compile in a project for Node that has no types of the DOM and checks libraries", () => {
  const types = join(root, "node_modules", "@types");
  writeFileSync(
    join(project.folder, "node.ts"),
    `
    import { QueuePool } from "edgepool";
    import { pg } from "edgepool/dialects/pg";
    import { inspect, nodeListener, type InspectOptions } from "edgepool/inspect";
    import { createServer } from "node:http";
    await using pool = new QueuePool(() => ({ query: async (text: string) => text }), { poolSize: 1 });
    await using lease = await pool.connect({ signal: AbortSignal.timeout(10) });
    export const rows: Promise<string> = lease.connection.query("SELECT 1");
    export const { name } = pg;
    export const options: InspectOptions = { pools: () => [pool], authorize: async ({ headers }) => headers.has("x") };
    export const server = createServer(nodeListener(inspect(options)));
  `,
  );
  for (const module of ["nodenext", "esnext"]) {
    writeFileSync(
      join(project.folder, "tsconfig.json"),
      JSON.stringify({
        compilerOptions: {
          strict: true,
          noEmit: true,
          module,
          ...(module === "esnext" && { moduleResolution: "bundler" }),
          target: "es2022",
          lib: ["es2022"],
          types: ["node"],
          typeRoots: [types],
          skipLibCheck: false,
        },
        files: ["node.ts"],
      }),
    );
    const { status, stdout } = spawnSync(
      process.execPath,
      [join(root, "node_modules", "typescript", "bin", "tsc"), "-p", project.folder],
      { encoding: "utf8" },
    );
    assert.equal(status, 0, stdout);
  }
});

test("the types say what a connection is, and refuse an unknown option", () => {
  writeFileSync(
    join(project.folder, "types.ts"),
    `
    import { QueuePool, PoolTimeoutError, type PooledConnection, type PoolStats } from "edgepool";
    import { initialize } from "edgepool/slim";
    import { pg, type PgClient } from "edgepool/dialects/pg";
    class Connection { query(text: string): Promise<number> { return Promise.resolve(text.length); } }
    const pool: QueuePool<Connection> = new QueuePool(async () => new Connection(), { poolSize: 2, timeout: "500ms" });
    export const length: Promise<number> = pool.use((connection) => connection.query("SELECT 1"));
    export const lease: Promise<PooledConnection<Connection>> = pool.connect({ signal: AbortSignal.timeout(10) });
    export const stats: PoolStats = pool.recreate().stats();
    export const again: QueuePool<Connection> = pool.recreate();
    export const withDialect = new QueuePool<PgClient>(() => { throw new Error("never called"); }, { dialect: pg });
    export const step = (error: PoolTimeoutError): "wait" | "open" | "ping" | "listener" => error.step;
    export const start = initialize;
    // @ts-expect-error: no such option
    new QueuePool(() => new Connection(), { max: 3 });
    // @ts-expect-error: a duration has a unit
    new QueuePool(() => new Connection(), { timeout: "5 seconds" });
  `,
  );
  writeFileSync(
    join(project.folder, "tsconfig.json"),
    JSON.stringify({
      compilerOptions: {
        strict: true,
        noEmit: true,
        module: "nodenext",
        target: "es2022",
        lib: ["es2022", "esnext.disposable", "dom"],
        types: [],
        skipLibCheck: false,
      },
      files: ["types.ts"],
    }),
  );
  const { status, stdout } = spawnSync(
    process.execPath,
    [join(root, "node_modules", "typescript", "bin", "tsc"), "-p", project.folder],
    { encoding: "utf8" },
  );
  assert.equal(status, 0, stdout);
});

test("a Durable Object's pool has the types of its class, its rows and its leases, beside Cloudflare's", () => {
  // As the runtime's own types are where it matters: a class is branded, and a stub's methods are its own.
  writeFileSync(
    join(project.folder, "cloudflare.d.ts"),
    `
    interface DurableObjectState { readonly id: unknown }
    interface DurableObjectNamespace<T extends { readonly __brand: never }> {
      idFromName(name: string): { hash: string };
      get(id: { hash: string }, options?: { locationHint?: "weur" }): T }
    declare module "cloudflare:workers" {
      export abstract class DurableObject<Env = unknown> {
        readonly __brand: never; protected ctx: DurableObjectState; protected env: Env;
        constructor(ctx: DurableObjectState, env: Env) }
      export abstract class RpcTarget { readonly __target: never }
    }
  `,
  );
  writeFileSync(
    join(project.folder, "object.ts"),
    `
    import { PoolObject, poolOf, type QueryResult, type RemoteLease } from "edgepool/durable-object";
    class Connection {
      query(text: string): Promise<{ rows: object[] }> { return Promise.resolve({ rows: [{ text }] }); }
    }
    interface Env { DATABASE: DurableObjectNamespace<Database>; URL: string }
    export class Database extends PoolObject<Connection, Env> {
      constructor(ctx: DurableObjectState, env: Env) {
        super(ctx, env, async () => new Connection(), {
          poolSize: 2, idleTimeout: "10s", runQuery: (connection, text) => connection.query(text + env.URL) });
      }
      own(): Promise<object | undefined> {
        return this.pool.use(async (connection) => (await connection.query("SELECT 1")).rows[0]); }
    }
    export async function handle(env: Env): Promise<number | undefined> {
      const pool = poolOf(env.DATABASE, { shards: 4, key: "tenant", locationHint: "weur" });
      const { rows } = await pool.query<{ id: number }>("SELECT $1::int AS id", [7], { timeout: "2s" });
      const results: QueryResult<{ id: number }>[] = await pool.batch<{ id: number }>(["SELECT 1 AS id",
        { text: "SELECT $1 AS id", values: [1] }], { transaction: false });
      const lease: RemoteLease = await pool.lease();
      lease[Symbol.dispose]();
      // @ts-expect-error: a duration has a unit
      await pool.query("SELECT 1", [], { timeout: "2 seconds" });
      // @ts-expect-error: no such option
      poolOf(env.DATABASE, { shard: 4 });
      // @ts-expect-error: no binding
      poolOf(env.URL);
      return rows[0]?.id ?? results[0]?.rows[0]?.id ??
        (await pool.use((held) => held.query<{ n: number }>("SELECT 1 AS n"))).rows[0]?.n;
    }
  `,
  );
  writeFileSync(
    join(project.folder, "tsconfig.json"),
    JSON.stringify({
      compilerOptions: {
        strict: true,
        exactOptionalPropertyTypes: true,
        noEmit: true,
        module: "nodenext",
        target: "es2022",
        lib: ["es2022", "esnext.disposable", "dom"],
        types: [],
        skipLibCheck: false,
      },
      files: ["cloudflare.d.ts", "object.ts"],
    }),
  );
  const { status, stdout } = spawnSync(
    process.execPath,
    [join(root, "node_modules", "typescript", "bin", "tsc"), "-p", project.folder],
    { encoding: "utf8" },
  );
  assert.equal(status, 0, stdout);
});

test("every name, parameter and result that is exported is of the type that contract/ states", () => {
  cpSync(new URL("contract", import.meta.url), join(project.folder, "contract"), { recursive: true });
  writeFileSync(
    join(project.folder, "tsconfig.json"),
    JSON.stringify({
      compilerOptions: {
        strict: true,
        exactOptionalPropertyTypes: true,
        noEmit: true,
        module: "nodenext",
        target: "es2022",
        lib: ["es2022", "esnext.disposable", "dom"],
        types: [],
        skipLibCheck: false,
      },
      include: ["contract"],
    }),
  );
  const { status, stdout } = spawnSync(
    process.execPath,
    [join(root, "node_modules", "typescript", "bin", "tsc"), "-p", project.folder],
    { encoding: "utf8" },
  );
  assert.equal(status, 0, stdout);
});

for (const [contract, what] of Object.entries({
  "pg-contract": "edgepool/pg has the types of pg, as libraries name them",
  "facade-contract": "edgepool/mysql2, tarn and generic-pool have the types of those, as libraries name them",
})) {
  test(what, () => {
    cpSync(new URL(contract, import.meta.url), join(project.folder, contract), { recursive: true });
    const modules = join(root, "node_modules");
    const types = join(modules, "@types");
    writeFileSync(
      join(project.folder, "tsconfig.json"),
      JSON.stringify({
        compilerOptions: {
          strict: true,
          noEmit: true,
          module: "nodenext",
          target: "es2022",
          lib: ["es2022", "esnext.disposable"],
          types: ["node"],
          typeRoots: [types],
          paths: {
            pg: [join(types, "pg", "index.d.ts")],
            mysql2: [join(modules, "mysql2", "index.d.ts")],
            "mysql2/promise": [join(modules, "mysql2", "promise.d.ts")],
          },
          skipLibCheck: false,
        },
        include: [contract],
      }),
    );
    const { status, stdout } = spawnSync(
      process.execPath,
      [join(root, "node_modules", "typescript", "bin", "tsc"), "-p", project.folder],
      { encoding: "utf8" },
    );
    assert.equal(status, 0, stdout);
  });
}

test("edgepool/otel takes a Meter of @opentelemetry/api, and edgepool/diagnostics types its messages", () => {
  cpSync(new URL("telemetry-contract", import.meta.url), join(project.folder, "telemetry-contract"), {
    recursive: true,
  });
  const types = join(root, "node_modules", "@types");
  const telemetry = ["api", "sdk-metrics", "core", "resources"].map((name) => [
    `@opentelemetry/${name}`,
    [join(root, "node_modules", "@opentelemetry", name, "dist", "index.d.mts")],
  ]);
  writeFileSync(
    join(project.folder, "tsconfig.json"),
    JSON.stringify({
      compilerOptions: {
        strict: true,
        exactOptionalPropertyTypes: true,
        noEmit: true,
        module: "nodenext",
        target: "es2022",
        lib: ["es2022", "esnext.disposable"],
        types: ["node"],
        typeRoots: [types],
        paths: { pg: [join(types, "pg", "index.d.ts")], ...Object.fromEntries(telemetry) },
        skipLibCheck: false,
      },
      include: ["telemetry-contract"],
    }),
  );
  const { status, stdout } = spawnSync(
    process.execPath,
    [join(root, "node_modules", "typescript", "bin", "tsc"), "-p", project.folder],
    { encoding: "utf8" },
  );
  assert.equal(status, 0, stdout);
});

for (const [what, getBuiltinModule] of [
  ["no getBuiltinModule", "undefined"],
  ["one that has no such module", "() => undefined"],
  ["one that throws", '() => { throw new Error("not here"); }'],
]) {
  test(`in a host with ${what} edgepool/diagnostics does nothing, and pools work`, () => {
    const { stdout, stderr } = run(
      "no-channels.mjs",
      `
      process.getBuiltinModule = ${getBuiltinModule};
      await import("edgepool/diagnostics");
      const { QueuePool } = await import("edgepool");
      console.log(await new QueuePool(() => ({ rollback() {}, close() {} })).use(() => "used"));
    `,
    );
    assert.equal(stdout, "used", stderr);
  });
}

test("edgepool/otel needs no package of OpenTelemetry, and refuses what is no meter", () => {
  const { stdout, stderr } = run(
    "no-meter.mjs",
    `
    import { attachMeter } from "edgepool/otel";
    import { QueuePool } from "edgepool";
    try {
      attachMeter(new QueuePool(() => ({})), undefined);
    } catch (error) {
      console.log(error.message);
    }
  `,
  );
  assert.equal(stdout, "attachMeter() wants a Meter of @opentelemetry/api as its second argument", stderr);
});

test("the first example of the README, its events and the recipes compile with the types of pg", () => {
  const blocks = (name) =>
    [...readFileSync(join(root, name), "utf8").matchAll(/```js\n([^]*?)```/g)].map(([, block]) => block);
  const [first, , events] = blocks("README.md");
  const recipes = blocks("docs/events.md").filter((block) => block.startsWith('pool.on("reset"'));
  assert.equal(recipes.length, 1);
  writeFileSync(
    join(project.folder, "readme.ts"),
    `import { pg } from "edgepool/dialects/pg";\n${first}\nexport const first: any = rows[0];\n` +
      [events, ...recipes].map((block) => `{\n${block}}`).join("\n"),
  );
  const types = join(root, "node_modules", "@types");
  writeFileSync(
    join(project.folder, "tsconfig.json"),
    JSON.stringify({
      compilerOptions: {
        strict: true,
        noEmit: true,
        module: "nodenext",
        target: "es2022",
        lib: ["es2022", "esnext.disposable"],
        types: ["node"],
        typeRoots: [types],
        paths: { pg: [join(types, "pg", "index.d.ts")] },
        skipLibCheck: true,
      },
      files: ["readme.ts"],
    }),
  );
  const { status, stdout } = spawnSync(
    process.execPath,
    [join(root, "node_modules", "typescript", "bin", "tsc"), "-p", project.folder],
    { encoding: "utf8" },
  );
  assert.equal(status, 0, stdout);
});

test("every dialect takes the connections of its driver, by the driver's own types", () => {
  writeFileSync(
    join(project.folder, "drivers.ts"),
    `
    import { QueuePool } from "edgepool";
    import { mysql2 } from "edgepool/dialects/mysql2";
    import { pglite } from "edgepool/dialects/pglite";
    import { betterSqlite3 } from "edgepool/dialects/better-sqlite3";
    import { libsql } from "edgepool/dialects/libsql";
    import { sqliteWasm } from "edgepool/dialects/sqlite-wasm";
    import sqlite3InitModule from "@sqlite.org/sqlite-wasm";
    import { PGlite } from "@electric-sql/pglite";
    import Database from "better-sqlite3";
    import Libsql from "libsql";
    import { ioredis } from "edgepool/dialects/ioredis";
    import { redis } from "edgepool/dialects/redis";
    import { mariadb } from "edgepool/dialects/mariadb";
    import * as connector from "mariadb";
    import * as connectorCallbacks from "mariadb/callback";
    import { Redis } from "ioredis";
    import { createClient } from "redis";
    import * as callbacks from "mysql2";
    import * as promises from "mysql2/promise";
    const pools = {
      promises: new QueuePool(() => promises.createConnection("mysql://localhost"), { dialect: mysql2 }),
      callbacks: new QueuePool(() => callbacks.createConnection("mysql://localhost"), { dialect: mysql2 }),
      pglite: new QueuePool(() => PGlite.create(), { dialect: pglite }),
      sqlite: new QueuePool(() => new Database(":memory:"), { dialect: betterSqlite3 }),
      libsql: new QueuePool(() => new Libsql(":memory:"), { dialect: libsql }),
      ioredis: new QueuePool(() => new Redis(), { dialect: ioredis }),
      mariadb: new QueuePool(() => connector.createConnection("mariadb://localhost"), { dialect: mariadb }),
      called: new QueuePool(() => connectorCallbacks.createConnection("mariadb://localhost"), { dialect: mariadb }),
      redis: new QueuePool(() => createClient().connect(), { dialect: redis }),
    };
    const sqlite3 = await sqlite3InitModule();
    const wasm = new QueuePool(() => new sqlite3.oo1.DB(), { dialect: sqliteWasm(sqlite3) });
    export const isValid: Promise<boolean> = pools.mariadb.use((connection) => connection.isValid());
    export const id: Promise<number | null> = pools.called.use((connection) => connection.threadId);
    export const text: Promise<string | null> = pools.ioredis.use((client) => client.get("key"));
    export const other: Promise<string | null> = pools.redis.use((client) => client.get("key"));
    export const count: number = wasm.useSync((database) => database.openStatementCount());
    export const ran: void = pools.libsql.useSync((database) => void database.exec("SELECT 1"));
    export const prepared: Promise<promises.PreparedStatementInfo> =
      pools.promises.use((connection) => connection.prepare("SELECT 1"));
    export const thread: Promise<number> = pools.callbacks.use((connection) => connection.threadId);
    export const isInTransaction: Promise<boolean> = pools.pglite.use((database) => database.isInTransaction());
    export const statement: Promise<Database.Statement> = pools.sqlite.use((database) => database.prepare("SELECT 1"));
  `,
  );
  const packages = join(root, "node_modules");
  const paths = {
    mysql2: ["mysql2/index.d.ts"],
    "mysql2/promise": ["mysql2/promise.d.ts"],
    "@electric-sql/pglite": ["@electric-sql/pglite/dist/index.d.ts"],
    "better-sqlite3": ["@types/better-sqlite3/index.d.ts"],
    libsql: ["libsql/types/index.d.ts"],
    ioredis: ["ioredis/built/index.d.ts"],
    mariadb: ["mariadb/types/index.d.ts"],
    "mariadb/callback": ["mariadb/types/callback.d.ts"],
    redis: ["redis/dist/index.d.ts"],
    "@sqlite.org/sqlite-wasm": ["@sqlite.org/sqlite-wasm/dist/index.d.mts"],
  };
  writeFileSync(
    join(project.folder, "tsconfig.json"),
    JSON.stringify({
      compilerOptions: {
        strict: true,
        noEmit: true,
        module: "nodenext",
        target: "es2022",
        lib: ["es2022", "esnext.disposable", "dom"],
        types: ["node"],
        typeRoots: [join(packages, "@types")],
        paths: Object.fromEntries(Object.entries(paths).map(([name, [path]]) => [name, [join(packages, path)]])),
        skipLibCheck: true,
      },
      files: ["drivers.ts"],
    }),
  );
  const { status, stdout } = spawnSync(
    process.execPath,
    [join(packages, "typescript", "bin", "tsc"), "-p", project.folder],
    { encoding: "utf8" },
  );
  assert.equal(status, 0, stdout);
});

test("importing and constructing set no timer, read no clock and draw no random number", () => {
  const { stdout, stderr } = run(
    "idle.mjs",
    `
    const touched = [];
    for (const [host, name] of [[globalThis, "setTimeout"], [globalThis, "setInterval"],
      [globalThis, "setImmediate"], [globalThis, "queueMicrotask"], [Date, "now"],
      [performance, "now"], [Math, "random"], [crypto, "getRandomValues"], [crypto, "randomUUID"]]) {
      const real = host[name];
      Object.defineProperty(host, name, { value(...args) { touched.push(name);
        return Reflect.apply(real, this, args); }, configurable: true, writable: true });
    }
    const { QueuePool } = await import("edgepool");
    touched.length = 0; // Node's own loader reads clocks.
    const pool = new QueuePool(() => ({ rollback() {} }), { timeout: "5s", deadline: "5s" });
    pool.recreate();
    console.log(JSON.stringify(touched));
  `,
  );
  assert.equal(stdout, "[]", stderr);
});

test("an idle pool lets the process end", () => {
  const { status, ms, stderr } = run(
    "ends.mjs",
    `
    import { QueuePool } from "edgepool";
    const pool = new QueuePool(() => ({ rollback() {} }), { poolSize: 1, maxOverflow: 0 });
    const lease = await pool.connect();
    const waiter = pool.connect();
    await lease.close();
    await (await waiter).close();
  `,
  );
  assert.equal(status, 0, stderr);
  assert.ok(ms < 10_000, `it took ${ms} ms, and the pool's timeout is 30 s`);
});

test("a caller who waits keeps the process alive, without a limit too", () => {
  const { status, stdout, stderr } = run(
    "waits.mjs",
    `
    import { QueuePool } from "edgepool";
    const pool = new QueuePool(() => ({ rollback() {} }), { poolSize: 1, maxOverflow: 0, timeout: null });
    const lease = await pool.connect();
    void pool.connect();
    const waiter = pool.connect({ timeout: "50ms" });
    waiter.catch((error) => {
      console.log(error.code, process.getActiveResourcesInfo().includes("Timeout"));
      process.exit(7);
    });
  `,
  );
  assert.equal(stdout, "ERR_POOL_TIMEOUT true", stderr);
  assert.equal(status, 7);
});

test("the symbols of the package lead from a trap's stack to functions of the policy", () => {
  const { stdout, stderr } = run(
    "trap.mjs",
    `
    let wasm;
    WebAssembly.Instance = class extends WebAssembly.Instance {
      constructor(...parameters) {
        super(...parameters);
        wasm = this.exports;
      }
    };
    const { QueuePool } = await import("edgepool");
    const pool = new QueuePool(() => ({}), { poolSize: 1, maxOverflow: 0, resetOnReturn: "none" });
    await pool.connect();
    for (let pages = 32768; pages >= 1; pages = Math.floor(pages / 2)) {
      try { for (;;) wasm.memory.grow(pages); } catch { /* as far as it goes */ }
    }
    const waiters = Array.from({ length: 30_000 }, () => pool.connect({ timeout: "1m" }));
    const { cause } = (await Promise.allSettled(waiters)).find(({ reason }) => reason).reason;
    // A host calls an exported function by its index.
    const functions = Object.entries(wasm).filter(([, value]) => typeof value === "function");
    const exports = functions.map(([name, { name: index }]) => [name, index]);
      console.log(JSON.stringify({ stack: cause.stack, exports }));
    process.exit(0);
  `,
  );
  assert.notEqual(stdout, "", stderr);
  const { stack, exports } = JSON.parse(stdout);
  const symbols = join(project.folder, "node_modules", "edgepool", "pkg", "wasm", "edgepool.symbols");
  const symbolize = (input) =>
    spawnSync(process.execPath, [join(root, "scripts", "symbolize.mjs"), symbols], { input, encoding: "utf8" }).stdout;
  assert.doesNotMatch(stack, /edgepool::/);
  const frames = symbolize(stack)
    .split("\n")
    .filter((line) => line.includes("wasm-function["));
  assert.match(frames.at(-1), /checkout_within \(wasm-function\[/, "the call that the shell has made");
  assert.ok(
    frames.some((frame) => /edgepool::policy::/.test(frame)),
    frames.join("\n"),
  );
  const named = exports.filter(([name]) => !name.startsWith("__"));
  assert.ok(named.length > 20);
  for (const [name, index] of named) assert.match(symbolize(`wasm-function[${index}]`), new RegExp(`\\b${name}\\b`));
});

test("a crash of the WebAssembly reaches every caller of every pool, and leases can still be closed", () => {
  // Memory that cannot grow is a real way to crash it.
  const { stdout, stderr } = run(
    "crash.mjs",
    `
    let wasm;
    WebAssembly.Instance = class extends WebAssembly.Instance {
      constructor(...parameters) {
        super(...parameters);
        wasm = this.exports;
      }
    };
    const { QueuePool } = await import("edgepool");
    const closed = [];
    const make = () => new QueuePool(() => ({ close() { closed.push("closed"); } }),
      { poolSize: 1, maxOverflow: 0, resetOnReturn: "none" });
    const one = make();
    const other = make();
    const lease = await one.connect();
    const held = await other.connect();
    const bystander = other.connect();
    bystander.catch(() => {});
    for (let pages = 32768; pages >= 1; pages = Math.floor(pages / 2)) {
      try { for (;;) wasm.memory.grow(pages); } catch { /* as far as it goes */ }
    }
    const waiters = [];
    for (let number = 0; number < 30_000; number++) {
      const waiter = one.connect();
      waiter.catch(() => {});
      waiters.push(waiter);
    }
    const codes = new Set((await Promise.allSettled(waiters)).map(({ reason }) => reason.code));
    const after = await other.connect().catch((error) => error.code);
    const beside = await bystander.catch((error) => error.code);
    await lease.close();
    await held.close();
    console.log([...codes].join(), after, beside, closed.length);
    process.exit(0);
  `,
    ["--no-warnings"],
  );
  assert.equal(stdout, "ERR_POOL_CRASHED ERR_POOL_CRASHED ERR_POOL_CRASHED 2", stderr);
});
