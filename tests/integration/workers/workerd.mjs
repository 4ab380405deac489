// @ts-check
// The rig of every test, example and benchmark in Workers: bundles a Worker as wrangler does, runs it in the pinned
// workerd, asks it over HTTP, and ends it. It decides how a Worker is built and configured; what the Worker does, on
// which PostgreSQL and for which compatibility date, its callers say.

import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { Agent, request as httpRequest } from "node:http";
import { builtinModules, createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { build } from "esbuild";
import { root } from "../../../scripts/run.mjs";
import { startPostgres } from "../../../scripts/postgres.mjs";

/** Those under which wrangler resolves a package's exports. */
const conditions = ["workerd", "worker", "browser"];

/** What Workers are run for where their caller says nothing. From 2026-08-04 the flag nodejs_compat is on by itself. */
const newestDate = "2026-10-01";

/**
 * Modules of Node that a Worker of every date has under nodejs_compat. Of the others drivers only need that they load.
 */
const nodeModulesOfWorkers = new Set([
  "assert",
  "async_hooks",
  "buffer",
  "crypto",
  "diagnostics_channel",
  "dns",
  "events",
  "net",
  "path",
  "process",
  "querystring",
  "stream",
  "string_decoder",
  "timers",
  "tls",
  "url",
  "util",
  "util/types",
  "zlib",
]);

/** CommonJS requires Node's modules, often without the prefix; workerd only imports them, with it. */
const nodeModules = {
  name: "node-modules",
  setup({ onResolve, onLoad }) {
    const all = new RegExp(`^(node:)?(${builtinModules.filter((name) => !name.startsWith("_")).join("|")})$`);
    onResolve({ filter: all }, ({ path, kind }) => {
      const name = path.replace("node:", "");
      if (!nodeModulesOfWorkers.has(name)) return { path: name, namespace: "absent" };
      return kind === "require-call"
        ? { path: `node:${name}`, namespace: "required" }
        : { path: `node:${name}`, external: true };
    });
    onLoad({ filter: /.*/, namespace: "required" }, ({ path }) => ({
      contents: `import module_ from "${path}"; module.exports = module_;`,
    }));
    onLoad({ filter: /.*/, namespace: "absent" }, () => ({ contents: "module.exports = {};" }));
  },
};

/**
 * Writes a Worker into `folder`: main.js, and each .wasm that it imports beside it. `entry` is a file, or its text in
 * `source` with imports relative to `resolveDir`; `more` are further settings of esbuild.
 */
export async function bundleWorker({ entry, source, resolveDir = root, folder, more = {} }) {
  await build({
    ...(entry === undefined ? { stdin: { contents: source, resolveDir } } : { entryPoints: [entry] }),
    outfile: join(folder, "main.js"),
    bundle: true,
    format: "esm",
    platform: "browser",
    target: "es2024",
    conditions,
    external: ["cloudflare:*"],
    plugins: [nodeModules],
    loader: { ".wasm": "copy" },
    assetNames: "[name]",
    // Errors show the names of functions.
    keepNames: true,
    logLevel: "warning",
    ...more,
  });
}

const text = (value) => JSON.stringify(String(value));
const list = (items) => `[${items.join(", ")}]`;

/** One Worker's part of the configuration; `folder` holds its bundle. */
function workerConfig(
  name,
  { folder, compatibilityDate = newestDate, compatibilityFlags = [], vars = {}, services = {}, durableObjects = {} },
) {
  const files = readdirSync(folder).filter((file) => file.endsWith(".wasm"));
  const modules = [
    `(name = "main.js", esModule = embed ${text(`${name}/main.js`)})`,
    ...files.map((file) => `(name = ${text(file)}, wasm = embed ${text(`${name}/${file}`)})`),
  ];
  const designator = (target) =>
    typeof target === "string"
      ? text(target)
      : `(name = ${text(target.service)}, entrypoint = ${text(target.entrypoint)})`;
  const namespace = (target) =>
    typeof target === "string"
      ? text(target)
      : `(className = ${text(target.className)}, serviceName = ${text(target.service)})`;
  const bindings = [
    ...Object.entries(vars).map(([key, value]) =>
      typeof value === "string"
        ? `(name = ${text(key)}, text = ${text(value)})`
        : `(name = ${text(key)}, json = ${text(JSON.stringify(value))})`,
    ),
    ...Object.entries(services).map(([key, target]) => `(name = ${text(key)}, service = ${designator(target)})`),
    ...Object.entries(durableObjects).map(
      ([key, target]) => `(name = ${text(key)}, durableObjectNamespace = ${namespace(target)})`,
    ),
  ];
  // The classes of another Worker are for that one to declare.
  const own = new Set(Object.values(durableObjects).filter((target) => typeof target === "string"));
  const classes = [...own].map(
    (className) => `(className = ${text(className)}, uniqueKey = ${text(`${name}-${className}`)})`,
  );
  return `(
    modules = ${list(modules)},
    compatibilityDate = ${text(compatibilityDate)},
    compatibilityFlags = ${list(compatibilityFlags.map(text))},
    bindings = ${list(bindings)},
    durableObjectNamespaces = ${list(classes)},
    durableObjectStorage = (inMemory = void),
  )`;
}

function config(workers, v8Flags) {
  const services = Object.entries(workers).map(
    ([name, worker]) => `(name = ${text(name)}, worker = ${workerConfig(name, worker)})`,
  );
  services.push(
    '(name = "internet", network = (allow = ["public", "private", "local"], tlsOptions = (trustBrowserCas = true)))',
  );
  const sockets = Object.keys(workers).map(
    (name) => `(name = ${text(name)}, address = "127.0.0.1:0", http = (), service = ${text(name)})`,
  );
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = ${list(services)},
  sockets = ${list(sockets)},
  v8Flags = ${list(v8Flags.map(text))},
);
`;
}

/**
 * Runs `workers`, by name, in one workerd, each with an HTTP port of its own. Each is a bundle of its own (`entry`, or
 * `source` with `resolveDir`, and `more`; or written by `bundle(folder)`), with `compatibilityDate`,
 * `compatibilityFlags`, `vars` (texts, or values as JSON), `services` (binding: Worker, or `{ service, entrypoint }`)
 * and `durableObjects` (binding: class, or `{ className, service }` of another Worker). `experimental` allows
 * experimental flags. Resolves once requests are taken.
 */
export async function startWorkerd({ workers, v8Flags = [], inspect = false, show = false, experimental = false }) {
  const folder = mkdtempSync(join(tmpdir(), "edgepool-workerd-"));
  const clear = () => rmSync(folder, { recursive: true, force: true });
  process.once("exit", clear);
  const names = Object.keys(workers);
  for (const [name, worker] of Object.entries(workers)) {
    worker.folder = join(folder, name);
    mkdirSync(worker.folder);
    await (worker.bundle?.(worker.folder) ?? bundleWorker(worker));
  }
  writeFileSync(join(folder, "config.capnp"), config(workers, v8Flags));

  const binary = createRequire(import.meta.url)("workerd").default;
  const args = [
    "serve",
    "--control-fd=3",
    ...(inspect ? ["--inspector-addr=127.0.0.1:0"] : []),
    ...(experimental ? ["--experimental"] : []),
    join(folder, "config.capnp"),
  ];
  const child = spawn(binary, args, { stdio: ["ignore", "pipe", "pipe", "pipe"] });
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  const lines = [];
  for (const stream of /** @type {import("node:stream").Readable[]} */ ([child.stdout, child.stderr])) {
    createInterface({ input: stream }).on("line", (line) => {
      lines.push(line);
      if (show) console.log(`workerd: ${line}`);
    });
  }
  const exited = new Promise((resolve) => child.once("exit", resolve));
  const stop = async () => {
    // SIGTERM would wait for a request that hangs.
    kill();
    await exited;
    process.off("exit", kill);
    process.off("exit", clear);
    clear();
  };
  const { ports, inspectorPort, code } = await Promise.race([
    listening(child.stdio[3], names.length, inspect),
    exited.then((code) => ({ code })),
  ]);
  if (ports === undefined) {
    await stop();
    throw new Error(`workerd ended with exit code ${code}:\n${lines.join("\n")}`);
  }
  return new Workerd({ pid: child.pid, main: names[0], ports, inspectorPort, log: lines, stop });
}

/** The port of each of `count` Workers, by name, and the inspector's, as workerd reports them once it listens. */
function listening(stream, count, inspect) {
  return new Promise((resolve) => {
    const ports = new Map();
    let inspectorPort;
    createInterface({ input: stream }).on("line", (line) => {
      const { event, socket, port } = JSON.parse(line);
      if (event === "listen") ports.set(socket, port);
      if (event === "listen-inspector") inspectorPort = port;
      if (ports.size === count && (!inspect || inspectorPort !== undefined)) resolve({ ports, inspectorPort });
    });
  });
}

/** A running workerd. */
class Workerd {
  #agent = new Agent({ keepAlive: true, maxSockets: 400 });
  #main;
  #ports;

  constructor({ pid, main, ports, inspectorPort, log, stop }) {
    this.#main = main;
    this.#ports = ports;
    this.pid = pid;
    this.inspectorPort = inspectorPort;
    /** Every line that workerd and its Workers wrote. */
    this.log = log;
    this.stop = () => (this.#agent.destroy(), stop());
  }

  /** The port of the first Worker. */
  get port() {
    return this.#ports.get(this.#main);
  }

  /**
   * Returns the answer to a GET: its status, and its body, parsed if it is JSON. If no Worker is named, the first
   * answers. `signal` disconnects. Without an answer within `timeoutMs` it disconnects and rejects.
   *
   * @param {string} path
   * @param {{ worker?: string, signal?: AbortSignal, timeoutMs?: number }} [request]
   * @returns {Promise<{ status: number, body: any }>}
   */
  ask(path, { worker = this.#main, signal, timeoutMs = 20_000 } = {}) {
    return new Promise((resolve, reject) => {
      const request = httpRequest(
        { host: "127.0.0.1", port: this.#ports.get(worker), path, agent: this.#agent, signal },
        (response) => {
          const chunks = [];
          response.on("data", (chunk) => chunks.push(chunk));
          response.on("error", reject);
          response.on("end", () => {
            clearTimeout(timer);
            const body = Buffer.concat(chunks).toString();
            const isJson = response.headers["content-type"]?.includes("json");
            resolve({ status: response.statusCode ?? 0, body: isJson ? JSON.parse(body) : body });
          });
        },
      );
      const timer = setTimeout(
        () => request.destroy(new Error(`no answer to ${path} within ${timeoutMs} ms`)),
        timeoutMs,
      );
      request.on("error", (error) => (clearTimeout(timer), reject(error)));
      request.end();
    });
  }
}

/** An embedded PostgreSQL, and `workers` that find it as the variable DATABASE_URL; `stop()` ends both. */
export async function startWorkerdOnPostgres({ workers, maxConnections, ...options }) {
  const postgres = await startPostgres({ maxConnections });
  const { host, port, user, password, database } = postgres.options;
  const databaseUrl = `postgres://${user}:${password}@${host}:${port}/${database}`;
  for (const worker of Object.values(workers)) worker.vars = { DATABASE_URL: databaseUrl, ...worker.vars };
  try {
    const workerd = await startWorkerd({ workers, ...options });
    return { postgres, workerd, databaseUrl, stop: () => workerd.stop().then(() => postgres.stop()) };
  } catch (error) {
    await postgres.stop();
    throw error;
  }
}
