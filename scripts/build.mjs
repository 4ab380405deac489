// Builds pkg/ from src/: Rust to WebAssembly, the glue, wasm-opt, then TypeScript. Repeats only what changed.

import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { writeNotices } from "./notices.mjs";
import { ask, fail, root, run, say } from "./run.mjs";
import { setUpBuild } from "./setup.mjs";

const pkg = join(root, "pkg");
/** Where tsconfig.json looks for it, too. */
const glue = join(root, "target", "glue", "wasm");
const wasmFile = join(glue, "edgepool_bg.wasm");
/** The same with the names of its functions, and their list, which scripts/symbolize.mjs reads. */
const namedFile = join(glue, "edgepool.named.wasm");
const symbolsFile = join(glue, "edgepool.symbols");
/** Written last: scripts/prepack.mjs takes a package without it for none. */
const noticesFile = join(pkg, "THIRD_PARTY_LICENSES");

/** With `withNames` the WebAssembly in pkg/ has the names of its functions, and traps show them. */
export function build({ withNames = false } = {}) {
  setUpBuild();
  buildWasm();
  // What an earlier state of the sources left would be packed.
  for (const entry of readdirSync(pkg))
    if (entry !== "README.md") rmSync(join(pkg, entry), { recursive: true, force: true });
  const wasm = withNames ? namedFile : wasmFile;
  run(process.execPath, [join(root, "scripts", "bundle.mjs"), glue, wasm]);
  run(process.execPath, [join(root, "node_modules", "typescript", "bin", "tsc"), "-p", "tsconfig.json"]);
  mkdirSync(join(pkg, "wasm"));
  copyFileSync(wasm, join(pkg, "wasm", "edgepool_bg.wasm"));
  for (const file of ["edgepool.d.ts", "edgepool.symbols"]) copyFileSync(join(glue, file), join(pkg, "wasm", file));
  // What edgepool/edgepool.wasm is to a host or bundler that takes it for a module.
  writeFileSync(
    join(pkg, "wasm", "module.d.ts"),
    "declare const module: WebAssembly.Module;\nexport default module;\n",
  );
  writeNotices(noticesFile);
}

function buildWasm() {
  checkVersions();
  if (!existsSync(join(root, "target", "debug", "edgepool-bindgen")))
    say("building the glue writer (usually half a minute, once)");
  run("cargo", ["build", "--quiet", "--locked", "-p", "edgepool-bindgen"]);
  const compiled = join(root, "target", "wasm32-unknown-unknown", "release", "edgepool.wasm");
  if (!existsSync(compiled)) say("compiling the policy to WebAssembly (usually half a minute)");
  const features = ["--no-default-features", "--features", "bindings"];
  const target = ["--release", "--lib", "--target", "wasm32-unknown-unknown"];
  // Only here: a Rust program that has the crate links no library of its own for it.
  run("cargo", ["rustc", "--quiet", "--locked", ...target, ...features, "--crate-type", "cdylib"], {
    env: { CARGO_ENCODED_RUSTFLAGS: compilerFlags().join("\x1f") },
  });

  const stamp = join(root, "target", "pkg-built-from");
  const writer = join(root, "scripts", "bindgen", "src");
  const sources = [
    compiled,
    fileURLToPath(import.meta.url),
    ...readdirSync(writer)
      .sort()
      .map((file) => join(writer, file)),
  ];
  const hash = sources.reduce((hash, file) => hash.update(readFileSync(file)), createHash("sha256")).digest("hex");
  if (existsSync(wasmFile) && existsSync(stamp) && readFileSync(stamp, "utf8") === hash) return;

  // An interrupted build must not be taken for a whole one the next time.
  rmSync(stamp, { force: true });
  rmSync(glue, { recursive: true, force: true });
  mkdirSync(glue, { recursive: true });
  run(join(root, "target", "debug", "edgepool-bindgen"), [compiled, glue]);
  // The names go at the very end: both files have the same functions in the same order.
  const smaller = ["-Oz", "--flatten", "--rereloop", "-Oz", "-Oz", "--converge", "--low-memory-unused"];
  optimize(wasmFile, namedFile, [...smaller, "-g", `--symbolmap=${symbolsFile}`]);
  optimize(namedFile, wasmFile, ["--strip-debug", "--strip-producers", "--strip-target-features"]);
  writeSymbols();
  writeGlue();
  writeDeclarations();
  writeFileSync(stamp, hash);
}

function optimize(input, output, flags) {
  const features = ["bulk-memory", "nontrapping-float-to-int", "sign-ext", "mutable-globals", "reference-types"];
  run(process.execPath, [
    join(root, "node_modules", "binaryen", "bin", "wasm-opt"),
    input,
    "-o",
    output,
    ...flags,
    ...[...features, "multivalue"].map((feature) => `--enable-${feature}`),
  ]);
}

/** Takes the hashes out of the names. The file has a line for each function: its index, a colon, its name. */
function writeSymbols() {
  const symbols = readFileSync(symbolsFile, "utf8");
  writeFileSync(symbolsFile, symbols.replace(/::h[\da-f]{16}$|\[[\da-f]{16}\]/gm, ""));
}

/**
 * Returns the flags, in place of the machine's own. The places in panic messages name no folder of this machine. The
 * stack has half of the memory's first page, and lies below the data: an overflow traps. tests/package/size.test.mjs
 * has its depth.
 */
function compilerFlags() {
  const folders = [
    join(process.env.CARGO_HOME ?? join(homedir(), ".cargo"), "registry", "src"),
    join(ask("rustc", ["--print", "sysroot"]), "lib", "rustlib", "src", "rust"),
  ];
  const memory = ["--stack-first", "-zstack-size=32768"];
  // Less inlining and no unrolled loops: 2.6 kB less, gzipped. What a checkout and a return need is `inline(always)`.
  const size = ["-inline-threshold=80", "-inlinehint-threshold=120", "-unroll-threshold=0"];
  return [
    ...memory.map((argument) => `-Clink-arg=${argument}`),
    ...size.map((argument) => `-Cllvm-args=${argument}`),
    ...folders.map((folder) => `--remap-path-prefix=${folder}=`),
  ];
}

/** The entries give a compiled module. Of another realm, the glue would take it for bytes. */
function writeGlue() {
  const path = join(glue, "edgepool.js");
  const check = /\n +if \(!\(module instanceof WebAssembly\.Module\)\) \{\n.*\n +\}/;
  const written = readFileSync(path, "utf8");
  if (!check.test(written))
    fail("the glue does not check its module any more: look at writeGlue() in scripts/build.mjs");
  writeFileSync(path, written.replace(check, ""));
}

/** Without the types of the DOM that the generated ones name, which a project for Node need not have. */
function writeDeclarations() {
  const path = join(glue, "edgepool.d.ts");
  const declarations = readFileSync(path, "utf8")
    .replace(/WebAssembly\.(Memory|Table);/g, "object;")
    .replace(/export type InitInput = .*;\n/, "")
    .replace(/export type SyncInitInput = .*;/, "export type SyncInitInput = object;")
    .replace(/\/\*\*(?:(?!\*\/)[^])*\*\/\nexport default function __wbg_init .*\n/, "");
  const left = /RequestInfo|Response|BufferSource|WebAssembly\./.exec(declarations.replace(/^ \*.*$/gm, ""));
  if (left)
    fail(`the glue's declarations name ${left[0]}, which is a type of the DOM: take it out in scripts/build.mjs`);
  writeFileSync(path, declarations);
}

/** The crate, the glue writer and the test runner must be of one version of wasm-bindgen, or the glue is wrong. */
function checkVersions() {
  const read = (path) => readFileSync(join(root, path), "utf8");
  const pin = /wasm-bindgen(?:-cli|-cli-support)?\s*=\s*(?:\{[^}]*version\s*=\s*)?"=([\d.]+)"/;
  const versions = {
    "Cargo.lock": /^name = "wasm-bindgen"\nversion = "(.*)"$/m.exec(read("Cargo.lock"))?.[1],
    ...Object.fromEntries(
      ["scripts/bindgen/Cargo.toml", "scripts/test-runner/Cargo.toml"].map((path) => [path, pin.exec(read(path))?.[1]]),
    ),
  };
  const pins = Object.entries(versions).map((entry) => entry.join(": "));
  if (new Set(Object.values(versions)).size !== 1)
    fail(`wasm-bindgen is pinned to different versions: ${pins.join(", ")}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  build({ withNames: process.argv.includes("--debug") });
  say(`built pkg/ (${ask("du", ["-sh", pkg])?.split("\t")[0] ?? "done"})`);
}
