// Bundles src/shell into the modules of pkg/: one for each that package.json names, and edgepool.js with what they
// share. A module for each source file takes twice as long to import. Called by build.mjs with the glue's folder and
// the WebAssembly.

import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { build, transform } from "esbuild";
import { rollup } from "rollup";
import { root } from "./run.mjs";

const [glue, wasm] = process.argv.slice(2);
const shell = join(root, "src", "shell");
const { exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

/** The paths to which package.json leads, whatever the conditions. */
const pathsOf = (target) => (typeof target === "string" ? [target] : Object.values(target).flatMap(pathsOf));

/** By their names in pkg/, without the extension: the sources of the modules that package.json names. */
const entries = Object.fromEntries(
  pathsOf(exports)
    .map((path) => /^\.\/pkg\/(.+)(?<!\.d)\.[jt]s$/.exec(path)?.[1])
    .filter((name) => name !== undefined)
    .map((name) => [name, join(shell, `${name}.ts`)]),
);

/** What entries of one folder share, by source: a bundle of clients() alone leaves out the pool. */
const sharedChunks = {
  "dialects/redis-session.ts": "dialects/redis-session",
  "dialects/mysql-server.ts": "dialects/mysql-server",
  "pg/connecting.ts": "pg/connecting",
  "pg/pool.ts": "pg/pool",
  "pg/client.ts": "pg/pool",
  "pg/settings.ts": "pg/pool",
  "pg/pipeline.ts": "pg/pool",
  "pg/shareable.ts": "pg/pool",
};

const bundle = await rollup({
  input: entries,
  external: /^edgepool$|^pg$|^mysql2$|^node:events$|^cloudflare:|\.wasm(\?module)?$/,
  plugins: [{ name: "typescript", resolveId: sourceOf, transform: toJavaScript }],
  onLog(level, { message }) {
    throw new Error(`${level}: ${message}`);
  },
});
await bundle.write({
  dir: join(root, "pkg"),
  format: "esm",
  sourcemap: true,
  entryFileNames: "[name].js",
  chunkFileNames: "[name].js",
  manualChunks: (path) => sharedChunks[relative(shell, path)] ?? (isOfOneEntry(path) ? undefined : "edgepool"),
  onlyExplicitManualChunks: true,
  // What errors and stacks name.
  minifyInternalExports: false,
  hoistTransitiveImports: false,
});
await bundle.close();

/** The others are in edgepool.js, whichever entry is imported: each class must be there once. */
function isOfOneEntry(path) {
  const facades = ["pg", "mysql2", "resources", "tarn", "generic-pool"];
  const folders = ["entry", "dialects", "durable-object", ...facades, "otel", "diagnostics", "inspect"];
  return folders.includes(relative(shell, path).split(/[\\/]/)[0]);
}

/** TypeScript's rule for a relative import. The glue is no source: TypeScript finds its types by rootDirs. */
function sourceOf(path, importer) {
  if (importer === undefined) return path;
  if (path.endsWith("/wasm/edgepool.js")) return join(glue, basename(path));
  return path.includes(".wasm") ? undefined : join(dirname(importer), path).replace(/js$/, "ts");
}

async function toJavaScript(code, path) {
  if (!path.endsWith(".ts")) return undefined;
  return transform(withNumbers(code, path), {
    loader: "ts",
    target: "es2022",
    sourcefile: path,
    sourcemap: true,
    define: await definitionsOf(relative(shell, path)),
  });
}

/** What a source has from elsewhere, by the names that it declares. */
async function definitionsOf(source) {
  if (source === join("entry", "inline.ts")) return { wasmAsText: JSON.stringify(asText()) };
  if (source === join("inspect", "page.ts")) return { pageAssets: JSON.stringify(await pageAssets()) };
  return {};
}

/** Returns the script and the style of the page of edgepool/inspect, and the hashes by which its policy names them. */
async function pageAssets() {
  const picture = join(root, "src", "picture");
  const bundled = async (options) => {
    const { outputFiles } = await build({ bundle: true, minify: true, write: false, target: "es2022", ...options });
    return outputFiles[0].text.trim();
  };
  const script = await bundled({ entryPoints: [join(picture, "page", "main.js")], format: "esm", charset: "ascii" });
  const style = await bundled({
    stdin: { contents: '@import "./picture.css"; @import "./page/page.css";', resolveDir: picture, loader: "css" },
  });
  const hashOf = (text) => `sha256-${createHash("sha256").update(text).digest("base64")}`;
  return { script, style, scriptHash: hashOf(script), styleHash: hashOf(style) };
}

/**
 * Writes the numbers of constant enumerations in their place, as TypeScript does: esbuild sees one file at a time, and
 * would load them from an object.
 */
function withNumbers(code, path) {
  let text = code;
  for (const [, names, from] of code.matchAll(/^import \{([^}]+)\} from "(\.[^"]+)\.js";$/gm)) {
    const enumerations = enumerationsOf(join(dirname(path), `${from}.ts`));
    for (const name of names.split(",").map((name) => name.trim())) {
      const numbers = enumerations.get(name);
      if (numbers === undefined) continue;
      text = text.replace(new RegExp(`\\b${name}\\.(\\w+)\\b`, "g"), (member, key) => numbers.get(key) ?? member);
    }
  }
  return text;
}

/** Returns the constant enumerations that a file exports: the number of each member, by names. */
function enumerationsOf(path) {
  if (!existsSync(path)) return new Map();
  const source = readFileSync(path, "utf8").replaceAll(/\/\*\*[\s\S]*?\*\//g, "");
  return new Map(
    [...source.matchAll(/^export const enum (\w+) \{([^}]*)\}/gm)].map(([, name, body]) => {
      let next = 0;
      const members = [...body.matchAll(/(\w+)(?: = (-?\d+))?,/g)].map(([, member, number]) => {
        const value = number === undefined ? next : Number(number);
        next = value + 1;
        return [member, String(value)];
      });
      return [name, new Map(members)];
    }),
  );
}

/**
 * Returns the WebAssembly as printable ASCII, which src/shell/entry/text.ts reads: a byte below 90 is one character,
 * any other is two. In base64 equal bytes become different characters, and gzip finds no repetition: it adds 9 kB. The
 * most frequent of the others change places with the rarest below 90, which takes off half a kB. The text begins with
 * these pairs.
 */
function asText() {
  const bytes = readFileSync(wasm);
  const counts = new Array(256).fill(0);
  for (const byte of bytes) counts[byte]++;
  const byCount = [...counts.keys()].sort((one, other) => counts[other] - counts[one] || one - other);
  const frequent = byCount.filter((byte) => byte >= 90).slice(0, 16);
  const rare = byCount.filter((byte) => byte < 90).slice(-16);
  const pairs = frequent.flatMap((byte, place) => [byte, rare[place]]);
  const swapped = [...counts.keys()];
  for (const [place, byte] of pairs.entries()) swapped[byte] = pairs[place ^ 1];
  const text = [];
  for (const byte of [...pairs, ...bytes.map((byte) => swapped[byte])]) {
    if (byte < 90) text.push(35 + byte);
    else text.push(125 + Math.floor((byte - 90) / 92), 35 + ((byte - 90) % 92));
  }
  return Buffer.from(text).toString("latin1");
}
