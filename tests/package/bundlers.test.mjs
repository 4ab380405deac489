// The tarball in a project of its own, built by every bundler and run where its output belongs: a browser page under a
// Content-Security-Policy, Node, workerd. And what linters of packages say of it.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import nodeResolve from "@rollup/plugin-node-resolve";
import { build as esbuild } from "esbuild";
import { chromium } from "playwright-core";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { rollup } from "rollup";
import { build as vite } from "vite";
import webpack from "webpack";
import { root } from "../../scripts/run.mjs";
import { chromium as findChromium } from "../../scripts/setup.mjs";
import { startWorkerd } from "../integration/workers/workerd.mjs";
import { installTarball } from "./packed.mjs";

/** What every bundle does. That a pool can be made shows that tree-shaking has kept the initialisation. */
const app = `
  import { PoolError, QueuePool } from "edgepool";
  import { pg } from "edgepool/dialects/pg";
  const pool = new QueuePool(() => ({ end() {} }), { dialect: { doClose: pg.doClose }, resetOnReturn: "none" });
  const type = pool.use((connection) => typeof connection.end);
  globalThis.answer = type.then((answer) => answer + " " + new PoolError("ERR_POOL_CLOSED", "").name);
`;
const expected = "function PoolError";

/** The same with the WebAssembly as a file beside the bundle; `url` says where, in the bundler's way. */
const slimApp = (url) => `
  ${url}
  import { initialize, QueuePool } from "edgepool/slim";
  globalThis.answer = fetch(url).then((response) => response.arrayBuffer()).then((bytes) => {
    initialize(bytes);
    return new QueuePool(() => ({ end() {} }), { resetOnReturn: "none" }).use((connection) => typeof connection.end);
  });
`;
const urls = {
  esbuild: 'import url from "edgepool/edgepool.wasm";',
  Vite: 'import url from "edgepool/edgepool.wasm?url";',
  webpack: 'const url = new URL("edgepool/edgepool.wasm", import.meta.url);',
};

/** Each writes main.js into a folder: an ES module, or for webpack a script. */
const bundlers = {
  esbuild: (entry, folder) =>
    esbuild({
      entryPoints: [entry],
      outfile: join(folder, "main.js"),
      bundle: true,
      minify: true,
      format: "esm",
      platform: "browser",
      loader: { ".wasm": "dataurl" },
      logLevel: "error",
    }),
  Vite: (entry, folder) =>
    vite({
      root: join(folder, ".."),
      base: "./",
      logLevel: "error",
      configFile: false,
      build: {
        outDir: folder,
        emptyOutDir: false,
        rolldownOptions: { input: entry, output: { entryFileNames: "main.js" } },
      },
    }),
  async Rollup(entry, folder) {
    const bundle = await rollup({
      input: entry,
      plugins: [nodeResolve({ browser: true })],
      onLog(level, { message }) {
        throw new Error(`${level}: ${message}`);
      },
    });
    await bundle.write({ file: join(folder, "main.js"), format: "esm" });
    await bundle.close();
  },
  webpack: (entry, folder) =>
    new Promise((resolve, reject) => {
      webpack(
        {
          mode: "production",
          target: "web",
          context: join(folder, ".."),
          entry,
          output: { path: folder, filename: "main.js", publicPath: "" },
          performance: false,
        },
        (error, stats) => {
          const told =
            error ??
            (stats.hasErrors() || stats.hasWarnings() ? new Error(stats.toString("errors-warnings")) : undefined);
          if (told) reject(told);
          else resolve();
        },
      );
    }),
};

let project;
let entry;

before(() => {
  project = installTarball();
  entry = join(project.folder, "app.mjs");
  writeFileSync(entry, app);
});

after(() => project.remove());

describe("in a browser", () => {
  let browser;
  let server;
  let csp;

  before(async () => {
    server = createServer((request, response) => {
      response.setHeader("content-security-policy", csp);
      const isPage = request.url.endsWith("/");
      response.setHeader("content-type", isPage ? "text/html" : "text/javascript");
      response.end(
        isPage
          ? '<!doctype html><script type="module" src="main.js"></script>'
          : readFileSync(join(project.folder, request.url)),
      );
    });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    const args = [
      "--no-sandbox",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--no-first-run",
      "--disable-gpu",
    ];
    browser = await chromium.launch({ executablePath: findChromium(), args });
  });

  after(async () => {
    await browser.close();
    server.close();
  });

  /** What a page says that loads the bundle under this policy: its answer, or the first error. */
  async function open(folder, policy) {
    csp = policy;
    const page = await browser.newPage();
    const failed = new Promise((resolve) => page.once("pageerror", ({ message }) => resolve(message)));
    await page.goto(`http://127.0.0.1:${server.address().port}/${folder}/`);
    const answer = page.waitForFunction(() => globalThis.answer).then((handle) => handle.jsonValue());
    answer.catch(() => {}); // the page was closed
    const first = await Promise.race([answer, failed]);
    await page.close();
    return first;
  }

  for (const [name, bundle] of Object.entries(bundlers)) {
    test(`what ${name} builds runs under script-src 'self' 'wasm-unsafe-eval'`, async () => {
      const folder = `out-${name}`;
      mkdirSync(join(project.folder, folder));
      await bundle(entry, join(project.folder, folder));
      assert.equal(await open(folder, "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'"), expected);
    });
  }

  for (const [name, url] of Object.entries(urls)) {
    test(`what ${name} builds of slim finds the WebAssembly as the guide says`, async () => {
      const folder = `slim-${name}`;
      mkdirSync(join(project.folder, folder));
      const slim = join(project.folder, `${folder}.mjs`);
      writeFileSync(slim, slimApp(url));
      await bundlers[name](slim, join(project.folder, folder));
      assert.equal(
        await open(folder, "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self' data:"),
        "function",
      );
    });
  }

  test("without 'wasm-unsafe-eval' the page is told what its policy must allow", async () => {
    assert.match(
      await open("out-esbuild", "default-src 'none'; script-src 'self'"),
      /edgepool cannot compile its WebAssembly here: .*'wasm-unsafe-eval'/,
    );
  });
});

test("what esbuild builds for Node runs from one file", async () => {
  const outfile = join(project.folder, "node.mjs");
  await esbuild({
    stdin: { contents: `${app} console.log(await globalThis.answer);`, resolveDir: project.folder },
    outfile,
    bundle: true,
    format: "esm",
    platform: "node",
    logLevel: "error",
  });
  assert.equal(execFileSync(process.execPath, [outfile], { encoding: "utf8", cwd: "/" }).trim(), expected);
});

test("what is built under wrangler's conditions runs in workerd", async () => {
  const source = `
    import { QueuePool } from "edgepool";
    const pool = new QueuePool(() => ({ end() {} }), { resetOnReturn: "none" });
    export default { fetch: async () => new Response(await pool.use((connection) => typeof connection.end)) };
  `;
  const workerd = await startWorkerd({ workers: { main: { source, resolveDir: project.folder } } });
  try {
    assert.equal((await workerd.ask("/")).body, "function");
  } finally {
    await workerd.stop();
  }
});

test("publint finds nothing to say", async () => {
  const pkg = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const { messages } = await publint({ pkgDir: root, strict: true });
  assert.deepEqual(
    messages.map((message) => formatMessage(message, pkg)),
    [],
  );
});

test("are-the-types-wrong finds them right for an ESM package", () => {
  const attw = join(root, "node_modules", ".bin", "attw");
  const { status, stdout } = spawnSync(
    attw,
    [join(project.folder, project.tarball), "--profile", "esm-only", "--no-color", "--no-emoji"],
    { encoding: "utf8" },
  );
  assert.equal(status, 0, stdout);
});
