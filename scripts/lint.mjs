// npm run lint: rustfmt, clippy with warnings denied, oxlint.

import { join } from "node:path";
import { build } from "./build.mjs";
import { root, run } from "./run.mjs";

build();
run("cargo", ["fmt", "--all", "--check"]);
run("cargo", ["clippy", "--quiet", "--locked", "--all-targets", "--", "-D", "warnings"]);
run("cargo", ["clippy", "--quiet", "--locked", "--target", "wasm32-unknown-unknown", "--lib", "--test", "bindings", "--", "-D", "warnings"]);
run(process.execPath, [join(root, "node_modules", "oxlint", "bin", "oxlint"), "--deny-warnings", "src", "scripts", "tests", "examples", "benches", "www"]);
