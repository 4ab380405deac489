// npm run lint: rustfmt, prettier, clippy with warnings denied, oxlint.

import { join } from "node:path";
import { build } from "./build.mjs";
import { root, run } from "./run.mjs";

build();
const code = ["src", "scripts", "tests", "examples", "benches", "www"];

run("cargo", ["fmt", "--all", "--check"]);
run(process.execPath, [
  join(root, "node_modules", "prettier", "bin", "prettier.cjs"),
  "--check",
  "--log-level=warn",
  ...code,
]);
run("cargo", ["clippy", "--quiet", "--locked", "--all-targets", "--", "-D", "warnings"]);
run("cargo", [
  "clippy",
  "--quiet",
  "--locked",
  "--target",
  "wasm32-unknown-unknown",
  "--lib",
  "--test",
  "bindings",
  "--",
  "-D",
  "warnings",
]);
run(process.execPath, [join(root, "node_modules", "oxlint", "bin", "oxlint"), "--deny-warnings", ...code]);
