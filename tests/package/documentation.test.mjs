// The documents keep their word: every JavaScript block of the README and of docs/ runs, on the package as it is
// published, and prints what is said; every name that they use exists, and every name that exists is in them; their
// links lead somewhere.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { Client } from "pg";
import { startPostgres } from "../../scripts/postgres.mjs";
import { root } from "../../scripts/run.mjs";
import { canSetUpRuntimes, setUpRuntimes } from "../../scripts/setup.mjs";
import { startWorkerd } from "../integration/workers/workerd.mjs";
import { codeInFirstColumns, documents, guides, otherDocuments } from "./documents.mjs";
import { installTarball } from "./packed.mjs";

/** A Node that has SQLite, or undefined. */
const nodeWithSqlite = parseInt(process.versions.node, 10) >= 24 ? process.execPath : setUpRuntimes(["node22"]).node22;

/** Deno and Bun, as far as they can be had. */
const { deno, bun } = canSetUpRuntimes ? setUpRuntimes(["deno", "bun"]) : {};

/** The token of edgepool/inspect in the examples. */
const inspectToken = "the token of the examples";

/** Packages beside edgepool that examples import. */
const drivers = [
  "pg",
  "pg-pool",
  "tarn",
  "generic-pool",
  "@electric-sql/pglite",
  "ioredis",
  "redis",
  "@opentelemetry/api",
  "@opentelemetry/sdk-metrics",
];

const declarations = (path) => readFileSync(join(root, "pkg", `${path}.d.ts`), "utf8");
const find = (name) => documents.find((document) => document.name === name);

// ---- the examples

/**
 * What a fragment may take for given: the package, and a pool of pg clients. Its listeners are heard once, and must not
 * fail.
 */
const aroundFragment = (text) => `
import { ${exportsOf("index").filter(isValue).join(", ")} } from "edgepool";
import { pg } from "edgepool/dialects/pg";
import { clients } from "edgepool/pg";
import { Client } from "pg";
${connectedClient}
const pool = new QueuePool(clients(process.env.DATABASE_URL));
pool.on("error", (error) => { console.error(error); process.exitCode = 1; });
async function fragment() {
${text}
}
await fragment();
if (!pool.closed) await pool.use((client) => client.query("SELECT 1"));
await pool.close();
`;

const connectedClient = `
async function connectedClient(url) {
  const client = new Client(url);
  client.on("error", () => {});
  await client.connect();
  return client;
}
`;

describe("every JavaScript block of the README and of docs/ runs, and prints what is said", { concurrency: 2 }, () => {
  let project;
  let files = 0;
  let postgres;
  let databaseUrl;

  before(async () => {
    project = installTarball();
    for (const name of drivers) {
      const place = join(project.folder, "node_modules", name);
      mkdirSync(dirname(place), { recursive: true });
      symlinkSync(join(root, "node_modules", name), place);
    }
    const inspector = find("docs/inspect.md").blocks.find(({ text }) => text.startsWith("// inspector.js"));
    writeFileSync(join(project.folder, "inspector.js"), inspector.text);
    postgres = await startPostgres();
    const { host, port, user, password, database } = postgres.options;
    databaseUrl = `postgres://${user}:${password}@${host}:${port}/${database}`;
    const admin = new Client(databaseUrl);
    await admin.connect();
    await admin.query(find("docs/guide.md").blocks.find(({ language }) => language === "sql").text);
    await admin.end();
  });

  after(async () => {
    await postgres?.stop();
    project?.remove();
  });

  /** Runs a Worker, with what it binds, while `ask` asks it. */
  async function runWorker(text, ask) {
    const className = /class (\w+) extends PoolObject/.exec(text)?.[1];
    const binding = /poolOf\(env\.(\w+)/.exec(text)?.[1];
    const durableObjects = className === undefined ? {} : { [binding]: className };
    const vars = { DATABASE_URL: databaseUrl, INSPECT_TOKEN: inspectToken };
    const workerd = await startWorkerd({
      workers: { example: { source: text, resolveDir: project.folder, vars, durableObjects } },
    });
    try {
      await ask(workerd);
    } finally {
      await workerd.stop();
    }
  }

  /** Expects that the pools of a server are shown to those that have the token, and that it serves its own page. */
  async function assertShowsPools(url) {
    assert.equal((await fetch(url)).status, 200);
    assert.equal((await fetch(`${url}/pools`)).status, 401);
    const headers = { authorization: `Bearer ${inspectToken}` };
    const page = await fetch(`${url}/pools`, { headers });
    assert.match(await page.text(), /<!doctype html>/);
    const controller = new AbortController();
    const { body } = await fetch(`${url}/pools?events`, { headers, signal: controller.signal });
    const { value } = await body.getReader().read();
    const [, picture] = /^data: (.*)$/m.exec(new TextDecoder().decode(value));
    assert.equal(JSON.parse(picture).pools.length, 1);
    controller.abort();
  }

  /** Runs a module in the consumer's folder; `meanwhile` has the process and its lines. */
  async function run(source, { node = process.execPath, args = ["--no-warnings"], meanwhile = async () => {} } = {}) {
    const file = join(project.folder, `example-${++files}.mjs`);
    writeFileSync(file, source);
    const child = spawn(node, [...args, file], {
      cwd: project.folder,
      env: {
        ...process.env,
        DATABASE_URL: databaseUrl,
        INSPECT_TOKEN: inspectToken,
        PORT: "0",
        NODE_TEST_CONTEXT: undefined,
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const timer = setTimeout(() => child.kill("SIGKILL"), 20_000);
    let stderr = "";
    child.stderr.on("data", (chunk) => (stderr += chunk));
    const lines = [];
    const output = createInterface({ input: child.stdout });
    const firstLine = new Promise((resolve) => output.once("line", resolve));
    output.on("line", (line) => lines.push(line));
    const ended = new Promise((resolve) => child.once("close", resolve));
    await Promise.race([ended, firstLine.then((line) => meanwhile(child, line))]);
    const status = await ended;
    clearTimeout(timer);
    return { status, stderr, stdout: lines.join("\n") };
  }

  const runners = {
    async fragment({ text, prints }) {
      expectOutput(await run(aroundFragment(text)), prints);
    },
    async program({ text, prints }) {
      expectOutput(await run(text, { node: text.includes("node:sqlite") ? nodeWithSqlite : process.execPath }), prints);
    },
    async handler({ text }) {
      const { status, stderr, stdout } = await run(`${text}
        for (const id of [1, 2, 3]) console.log(JSON.stringify(await handler({ id })));
        await pool.close();`);
      assert.equal(status, 0, stderr);
      assert.deepEqual(
        stdout.split("\n").map((line) => JSON.parse(line).statusCode),
        [200, 200, 404],
        stdout,
      );
    },
    /** Answers a hundred requests at once, and ends by itself after SIGTERM. */
    async server({ text }) {
      const { status, stderr } = await run(text, {
        async meanwhile(child, line) {
          const answers = await Promise.all(
            Array.from({ length: 100 }, () => fetch(`http://127.0.0.1:${/\d+/.exec(line)[0]}`)),
          );
          assert.deepEqual(new Set(answers.map((answer) => answer.status)), new Set([200]));
          assert.equal((await answers[0].json())[0].name, "Ada");
          await Promise.all(answers.slice(1).map((answer) => answer.text()));
          child.kill("SIGTERM");
        },
      });
      assert.equal(status, 0, stderr);
    },
    async worker({ text }) {
      await runWorker(text, async (workerd) => {
        const answers = await Promise.all(Array.from({ length: 20 }, () => workerd.ask("/")));
        assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]), workerd.log.join("\n"));
        assert.equal(typeof answers[0].body, "object");
      });
    },
    /** Serves edgepool/inspect at /pools, in the runtime that it is for. */
    async inspected({ text }) {
      if (text.includes("export default {"))
        return runWorker(text, (workerd) => assertShowsPools(`http://127.0.0.1:${workerd.port}`));
      const [node, args] = runtimeOf(text);
      let isShown = false;
      const { stderr } = await run(text, {
        node,
        args,
        async meanwhile(child, line) {
          await assertShowsPools(`http://127.0.0.1:${/\d+/.exec(line)[0]}`);
          isShown = true;
          child.kill("SIGKILL");
        },
      });
      assert.ok(isShown, stderr);
    },
  };

  for (const block of documents.flatMap(({ blocks }) => blocks).filter(({ language }) => language === "js")) {
    const isTooNew = block.text.includes("node:sqlite") && nodeWithSqlite === undefined;
    test(
      `${block.document}:${block.line} (${block.heading || "the first"}), a ${block.kind}`,
      { skip: (isTooNew || runtimeOf(block.text)[0] === undefined) && "it wants another runtime" },
      () => runners[block.kind](block),
    );
  }
});

/** The program that runs a server, if it can be had, and its arguments. */
function runtimeOf(text) {
  if (text.includes("Deno.")) return [deno, ["run", "--no-prompt", "--allow-all"]];
  if (text.includes("Bun.")) return [bun, []];
  return [process.execPath, ["--no-warnings"]];
}

/** Only how long a lease was held is left out: that is measured. */
function expectOutput({ status, stdout, stderr }, prints) {
  assert.equal(status, 0, stdout + stderr);
  if (prints === undefined) return;
  const measured = (text) => text.replace(/(held longest, at least: )[\d ms,]+/g, "$1…").trimEnd();
  assert.equal(measured(stdout), measured(prints), stderr);
}

test("every code block has a language that is checked here or needs no check", () => {
  for (const { blocks } of documents) {
    for (const { document, line, language, text } of blocks) {
      assert.ok(
        ["js", "sh", "text", "jsonc", "python", "sql", "ini", "rust", "toml"].includes(language),
        `${document}:${line} has the language "${language}"`,
      );
      if (language === "jsonc") JSON.parse(text.replace(/^\s*\/\/.*$/gm, ""));
    }
  }
});

test("the Rust of the README is that of docs/rust.md, which cargo test --doc runs", () => {
  const rustIn = (wanted) =>
    documents
      .filter(({ name }) => name === wanted)
      .flatMap(({ blocks }) => blocks)
      .filter(({ language }) => language === "rust")
      .map(({ text }) => text);
  const [own, ...others] = rustIn("README.md");
  assert.deepEqual([others.length, rustIn("docs/rust.md").includes(own)], [0, true]);
  for (const { name } of documents)
    if (!["README.md", "docs/rust.md"].includes(name)) assert.deepEqual(rustIn(name), [], name);
});

// ---- the names

/** The members of an interface, by the declarations that the compiler wrote. */
function membersOf(path, name) {
  const body = new RegExp(`interface ${name}\\b[^{]*\\{\\n([^]*?)\\n\\}`).exec(declarations(path))?.[1];
  assert.ok(body !== undefined, `${path}.d.ts has no interface ${name}`);
  return [...body.matchAll(/^ {4}(?:readonly )?(\w+)\??[:(<]/gm)].map(([, member]) => member);
}

/** What a module exports by name, but for `export *`. */
function exportsOf(path) {
  const text = declarations(path);
  const named = [...text.matchAll(/^export (?:type )?\{([^}]*)\}/gm)].flatMap(([, names]) => names.split(","));
  const own = [...text.matchAll(/^export (?:declare )?(?:const|function|class) (\w+)/gm)].map(([, name]) => name);
  return [...named.map((name) => name.trim().replace(/^type /, "")), ...own].filter(
    (name) => name !== "" && name !== "default",
  );
}

/** Whether an export of the index is more than a type. */
function isValue(name) {
  return !new RegExp(`type \\{[^}]*\\b${name}\\b|type ${name}\\b`).test(declarations("index"));
}

const constructorOptions = new Set(
  [
    "PoolOptions",
    "LendingPoolOptions",
    "QueuePoolOptions",
    "SingletonThreadPoolOptions",
    "AssertionPoolOptions",
  ].flatMap((name) => membersOf("options", name)),
);
const callOptions = [
  ["options", "ConnectOptions"],
  ["lease", "InvalidateOptions"],
  ["lease", "LeaseCloseOptions"],
  ["events", "ListenOptions"],
  ["pg/types", "PoolConfig"],
  ["mysql2/index", "GetConnectionOptions"],
  ["otel/index", "MeterOptions"],
  ["durable-object/pool-object", "PoolObjectOptions"],
  ["durable-object/pool-of", "PoolOfOptions"],
  ["durable-object/statements", "StatementConfig"],
  ["durable-object/statements", "AbortOptions"],
  ["durable-object/statements", "WaitOptions"],
  ["durable-object/statements", "LeaseBatchOptions"],
].flatMap(([path, name]) => membersOf(path, name));

test("docs/options.md has a section for every option of a constructor, its table a row, and no other", () => {
  const document = find("docs/options.md");
  const sections = document.headings.filter(({ depth }) => depth === 3).map(({ title }) => title);
  assert.deepEqual(sections.toSorted(), [...constructorOptions].toSorted());
  const rows = document.tables[0].rows.map(([first]) => first.text.match(/`(\w+)`/)[1]);
  assert.deepEqual(rows.toSorted(), [...constructorOptions].toSorted());
});

test("docs/options.md and docs/durable-objects.md tell of every option of a call", () => {
  const told = new Set(["docs/options.md", "docs/durable-objects.md"].flatMap((name) => find(name).inlineCode));
  assert.deepEqual(
    callOptions.filter((name) => !told.has(name)),
    [],
  );
});

test("docs/options.md tells of every member of a dialect", () => {
  const told = new Set(find("docs/options.md").inlineCode);
  assert.deepEqual(
    membersOf("dialect", "DialectMembers").filter((name) => !told.has(name)),
    [],
  );
});

test("the README's table has every option of a constructor but storeTraceback, and no other", () => {
  const rows = find("README.md").tables[0].rows.flatMap(([first]) =>
    [...first.text.matchAll(/`(\w+)`/g)].map(([, name]) => name),
  );
  const inTheThird = ["prePingAfterIdle", "pingTimeout"];
  assert.deepEqual([...rows, ...inTheThird, "storeTraceback"].toSorted(), [...constructorOptions].toSorted());
});

test("docs/events.md has a section for every event, and no other", () => {
  const { headings } = find("docs/events.md");
  const from = headings.findIndex(({ title }) => title === "Each event");
  const sections = headings.slice(
    from + 1,
    headings.findIndex(({ depth }, place) => place > from && depth === 2),
  );
  assert.deepEqual(sections.map(({ title }) => title).toSorted(), membersOf("events", "PoolEvents").toSorted());
});

test("docs/errors.md has a section for every code, and no other", () => {
  const codes = [...declarations("errors").matchAll(/"(ERR_POOL_\w+)"/g)].map(([, code]) => code);
  const sections = find("docs/errors.md")
    .headings.filter(({ depth }) => depth === 3)
    .map(({ title }) => title);
  assert.deepEqual(sections.toSorted(), [...new Set(codes)].toSorted());
});

test("every exported name is in the documents", () => {
  const ofSqlite = ["better-sqlite3", "node-sqlite", "libsql", "sqlite-wasm"];
  const ofServers = ["pg", "mysql2", "mariadb", "pglite", "ioredis", "redis", "tedious"];
  const dialects = [...ofServers, ...ofSqlite].map((name) => `dialects/${name}`);
  const facades = ["pg/index", "mysql2/index", "tarn/index", "generic-pool/index"];
  const others = ["entry/slim", "durable-object/index", "otel/index", "diagnostics/index", "inspect/index"];
  const names = new Set(["index", ...others, ...facades, ...dialects].flatMap(exportsOf));
  const all = documents.map(({ text }) => text).join("\n");
  assert.ok(names.size > 50, `only ${names.size} names were found`);
  assert.deepEqual(
    [...names].filter((name) => !new RegExp(`\\b${name}\\b`).test(all)),
    [],
  );
});

test("every statistic is in the documents", () => {
  const all = new Set(documents.flatMap(({ inlineCode }) => inlineCode));
  assert.deepEqual(
    membersOf("stats", "PoolStats").filter((name) => !all.has(name)),
    [],
  );
});

/** Names in inline code that are neither the package's nor in the first column of a table. */
const foreign = new Set([
  "connectionTimeoutMillis",
  "disableEval",
  "resetOnRelease",
  "socketTimeout",
  "idleTimeoutMillis",
  "allowExitOnIdle",
  "maxLifetimeSeconds",
  "onConnect",
  "callbackWaitsForEmptyEventLoop",
  "setTimeout",
  "clearTimeout",
  "getStore",
  "instanceof",
  "moduleResolution",
  "exactOptionalPropertyTypes",
  "toFake",
  "allowJs",
  "transformIgnorePatterns",
  "blockConcurrencyWhile",
  "betterAuth",
  "connectionPool",
  "searchPath",
  "acquireConnectionTimeout",
  "afterCreate",
  "disposeExternalPool",
  "asyncStart",
  "asyncEnd",
  "attachDatabasePool",
]);

test("no document names in its inline code what does not exist", () => {
  const publicFiles = [
    "index",
    "pool",
    "kinds",
    "options",
    "events",
    "errors",
    "stats",
    "record",
    "lease",
    "dialect",
    "clock",
    "logger",
    "entry/slim",
    "pg/index",
    "pg/pg-pool",
    "pg/types",
    "pg/settings",
    "mysql2/index",
    "mysql2/promise",
    "tarn/index",
    "generic-pool/index",
    "otel/index",
    "otel/instruments",
    "diagnostics/index",
    "inspect/index",
    "inspect/options",
    "durable-object/index",
    "durable-object/pg",
    "durable-object/pool-object",
    "durable-object/pool-of",
    "durable-object/remote-lease",
    "durable-object/statements",
    "durable-object/lease",
    "durable-object/run-query",
    "inspect/index",
    "inspect/options",
    "dialects/pg",
    "dialects/mysql2",
    "dialects/pglite",
    "dialects/better-sqlite3",
    "dialects/node-sqlite",
    "dialects/libsql",
    "dialects/sqlite-wasm",
    "dialects/ioredis",
    "dialects/redis",
    "dialects/mariadb",
    "dialects/tedious",
  ];
  const known = new Set(publicFiles.flatMap((path) => declarations(path).match(/\w+/g)));
  for (const document of documents) {
    if (document.name === "docs/scenarios.md") continue;
    const others = new Set(document.name === "docs/coming-from.md" ? codeInFirstColumns(document) : []);
    for (const code of document.inlineCode) {
      // A name alone, called, of a pool or lease, or with its value: `poolSize`, `dispose()`, `lease.detach()`,
      // `poolSize: 1`.
      const name = /^(?:(?:pool|lease|record|error)\.)?([a-z]+[A-Z]\w*)(?:\(.*\)|: .*)?$/.exec(code)?.[1];
      if (name === undefined || others.has(code)) continue;
      assert.ok(known.has(name) || foreign.has(name), `${document.name} names \`${code}\`, which does not exist`);
    }
  }
});

test("the tables of ARCHITECTURE.md have every file of src, and no other", () => {
  const { tables } = otherDocuments.find(({ name }) => name === "ARCHITECTURE.md");
  const ofSource = tables.filter(({ header }) => header[0].text.startsWith("src/"));
  assert.equal(ofSource.length, 5);
  for (const { header, rows } of ofSource) {
    const folder = header[0].text;
    const named = rows.flatMap(([first]) => first.text.match(/[\w-]+\.(?:rs|ts)|[\w-]+\/(?=,|$)/g));
    const files = readdirSync(join(root, folder), { withFileTypes: true })
      .map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name))
      .filter(
        (name) =>
          !name.endsWith(".d.ts") &&
          name !== "engine/" &&
          !["src/policy/mod.rs", "src/host/mod.rs"].includes(`${folder}/${name}`),
      );
    assert.deepEqual(named.toSorted(), files.toSorted(), folder);
  }
});

// ---- the links

test("every link inside the repository leads to a file, and to a heading of it", () => {
  const all = new Map([...documents, ...otherDocuments].map((document) => [document.name, document]));
  for (const { name, links, anchors } of all.values()) {
    for (const href of links) {
      if (/^https?:/.test(href)) continue;
      const [path, anchor] = href.split("#");
      const target = path === "" ? name : relative(root, join(root, dirname(name), path));
      assert.ok(path === "" || existsSync(join(root, target)), `${name} links to ${href}, which does not exist`);
      if (anchor === undefined || anchor === "") continue;
      const targetAnchors = path === "" ? anchors : all.get(target)?.anchors;
      assert.ok(targetAnchors?.has(anchor), `${name} links to ${href}, and there is no such heading`);
    }
  }
});

test("the README links to every document", () => {
  const { links } = find("README.md");
  assert.deepEqual(
    guides.filter((name) => !links.includes(name)),
    [],
  );
});

test("no document is longer than what is read", () => {
  for (const { name } of documents) assert.ok(statSync(join(root, name)).size < 40_000, `${name} has more than 40 kB`);
});
