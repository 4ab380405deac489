// @ts-check
// npm run lint: the formatters, clippy and oxlint with warnings denied, the types of JavaScript, the width of all code.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "./build.mjs";
import { ask, fail, root, run } from "./run.mjs";

const code = ["src", "scripts", "tests", "examples", "benches", "www"];
const widest = 120;

checkWidth();
build();
run("cargo", ["fmt", "--all", "--check"]);
const crates = ["scripts/test-runner", "examples/rust-quickstart", "examples/rust-worker"];
const workers = ["cases", "native", "size"].map((name) => `tests/field/rust-worker/${name}`);
for (const folder of [...crates, ...workers])
  run("cargo", ["fmt", "--check", "--manifest-path", `${folder}/Cargo.toml`]);
runPackage("prettier/bin/prettier.cjs", "--check", "--log-level=warn", ...code);
clippy("--all-targets", "--features", "tokio,tokio-postgres");
// Each set of features that a Rust program may have.
for (const features of [[], ["--features", "tokio"], ["--no-default-features"]]) clippy("--lib", ...features);
for (const features of [[], ["--features", "tokio-postgres"]])
  clippy("--lib", "--target", "wasm32-unknown-unknown", ...features);
clippy(
  "--target",
  "wasm32-unknown-unknown",
  "--features",
  "bindings,tokio-postgres",
  "--lib",
  "--test",
  "bindings",
  "--test",
  "javascript",
);
run("cargo", ["doc", "--quiet", "--locked", "--no-deps", "--lib", "--features", "tokio,tokio-postgres"], {
  env: { RUSTDOCFLAGS: "-D warnings" },
});
runPackage("oxlint/bin/oxlint", "--deny-warnings", ...code);
runPackage("typescript/bin/tsc", "-p", "tests/tsconfig.json");

/** Ends this process if a line of code is too wide. The formatters leave comments and strings as they are. */
function checkWidth() {
  const files = ask("git", ["ls-files", ...code])?.split("\n") ?? [];
  const wide = files
    .filter((file) => /\.(rs|ts|mjs|js)$/.test(file))
    .flatMap((file) =>
      readFileSync(join(root, file), "utf8")
        .split("\n")
        .flatMap((line, at) => (line.length > widest ? [`${file}:${at + 1}: ${line.length} columns`] : [])),
    );
  if (wide.length > 0) fail(`these lines are wider than ${widest} columns:\n${wide.join("\n")}`);
}

/** Runs a program of an npm package. */
function runPackage(program, ...args) {
  run(process.execPath, [join(root, "node_modules", program), ...args]);
}

function clippy(...targets) {
  run("cargo", ["clippy", "--quiet", "--locked", ...targets, "--", "-D", "warnings"]);
}
