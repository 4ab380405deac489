// Runs Workers that share Durable Objects in one workerd: bundles each as wrangler does, gives each its own HTTP port, and
// ends it all. Decides how they are built and configured; what they do, and at which date, its callers say.

import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { builtinModules, createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { build } from "esbuild";

/** Modules of Node that a Worker has under nodejs_compat at every date tested; of the others pg only needs that they load. */
const nodeModulesOfWorkers = ["assert", "buffer", "crypto", "dns", "events", "net", "path", "stream", "string_decoder", "tls", "url", "util", "util/types"];

/** CommonJS requires Node's modules without the prefix; workerd imports them with it. */
const nodeModules = {
  name: "node-modules",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: new RegExp(`^(node:)?(${builtinModules.join("|")})$`) }, ({ path, kind }) => {
      const name = path.replace("node:", "");
      if (!nodeModulesOfWorkers.includes(name)) return { path: name, namespace: "absent" };
      return kind === "require-call" ? { path: `node:${name}`, namespace: "required" } : { path: `node:${name}`, external: true };
    });
    onLoad({ filter: /.*/, namespace: "required" }, ({ path }) => ({ contents: `import module_ from "${path}"; module.exports = module_;` }));
    onLoad({ filter: /.*/, namespace: "absent" }, () => ({ contents: "module.exports = {};" }));
  },
};

/** Bundles the Worker in the file `entry` into `folder`. */
async function bundleWorker(entry, folder) {
  mkdirSync(folder);
  await build({
    entryPoints: [entry],
    outfile: join(folder, "main.js"),
    bundle: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    conditions: ["workerd", "worker", "browser"],
    external: ["cloudflare:*"],
    plugins: [nodeModules],
    loader: { ".wasm": "copy" },
    assetNames: "[name]",
    keepNames: true,
    logLevel: "warning",
  });
}

const text = (value) => JSON.stringify(value);
const list = (items) => `[${items.join(", ")}]`;

/** `durableObjects` are classes of this Worker by binding, or `{ className, service }` of another. */
function workerConfig(name, folder, { compatibilityDate, compatibilityFlags = [], vars = {}, durableObjects = {} }) {
  const wasm = readdirSync(folder).filter((file) => file.endsWith(".wasm"));
  const modules = [`(name = "main.js", esModule = embed ${text(`${name}/main.js`)})`, ...wasm.map((file) => `(name = ${text(file)}, wasm = embed ${text(`${name}/${file}`)})`)];
  const own = Object.values(durableObjects).filter((target) => typeof target === "string");
  const target = (of) => (typeof of === "string" ? text(of) : `(className = ${text(of.className)}, serviceName = ${text(of.service)})`);
  const bindings = [
    ...Object.entries(vars).map(([binding, value]) => `(name = ${text(binding)}, text = ${text(value)})`),
    ...Object.entries(durableObjects).map(([binding, of]) => `(name = ${text(binding)}, durableObjectNamespace = ${target(of)})`),
  ];
  return `(
    modules = ${list(modules)},
    compatibilityDate = ${text(compatibilityDate)},
    compatibilityFlags = ${list(compatibilityFlags.map(text))},
    bindings = ${list(bindings)},
    durableObjectNamespaces = ${list(own.map((className) => `(className = ${text(className)}, uniqueKey = ${text(`${name}-${className}`)})`))},
    durableObjectStorage = (inMemory = void),
  )`;
}

/**
 * Runs `workers` (by name: `entry`, `compatibilityDate`, `compatibilityFlags`, `vars`, `durableObjects`); answers `ask`,
 * which gets a path from one of them and answers what it said, the lines `log`, and `stop`.
 */
export async function startWorkers(workers) {
  const folder = mkdtempSync(join(tmpdir(), "edgepool-workerd-"));
  const names = Object.keys(workers);
  for (const name of names) await bundleWorker(workers[name].entry, join(folder, name));
  writeFileSync(join(folder, "config.capnp"), `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = ${list([
    ...names.map((name) => `(name = ${text(name)}, worker = ${workerConfig(name, join(folder, name), workers[name])})`),
    '(name = "internet", network = (allow = ["public", "private", "local"]))',
  ])},
  sockets = ${list(names.map((name) => `(name = ${text(name)}, address = "127.0.0.1:0", http = (), service = ${text(name)})`))},
);
`);

  const binary = createRequire(import.meta.url)("workerd").default;
  const child = spawn(binary, ["serve", "--control-fd=3", join(folder, "config.capnp")], { stdio: ["ignore", "pipe", "pipe", "pipe"] });
  // SIGTERM would wait for a request that hangs.
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  const log = [];
  for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on("line", (line) => log.push(line));
  const exited = new Promise((resolve) => child.once("exit", resolve));
  const stop = async () => {
    kill();
    await exited;
    process.off("exit", kill);
    rmSync(folder, { recursive: true, force: true });
  };
  const ports = await Promise.race([listening(child.stdio[3], names.length), exited]);
  if (!(ports instanceof Map)) {
    await stop();
    throw new Error(`workerd ended with exit code ${ports}:\n${log.join("\n")}`);
  }

  const ask = async (path, { worker = names[0], signal } = {}) => {
    const response = await fetch(`http://127.0.0.1:${ports.get(worker)}/${path}`, { signal: signal ?? AbortSignal.timeout(20_000) });
    const body = await response.text();
    return response.headers.get("content-type")?.includes("json") ? JSON.parse(body) : `${response.status} ${body}`;
  };
  return { ask, log, stop };
}

/** The port of each socket, as workerd reports them once it listens. */
function listening(stream, count) {
  return new Promise((resolve) => {
    const ports = new Map();
    createInterface({ input: stream }).on("line", (line) => {
      const { event, socket, port } = JSON.parse(line);
      if (event === "listen") ports.set(socket, port);
      if (ports.size === count) resolve(ports);
    });
  });
}
