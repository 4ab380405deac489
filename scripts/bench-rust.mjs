// @ts-check
// npm run bench:rust: builds, then measures the crate beside deadpool and bb8, natively and in WebAssembly. Its
// options, after a `--`: --quick, --write.

import { writeFileSync, mkdirSync } from "node:fs";
import os from "node:os";
import { join } from "node:path";
import { printTable } from "../benches/table.mjs";
import { documentOf, documentPath, judge, rowsOf } from "../benches/rust/document.mjs";
import { setUpBuild } from "./setup.mjs";
import { ask, fail, root, run, say } from "./run.mjs";

const quick = process.argv.includes("--quick");
const [rounds, cycles] = quick ? [5, 50_000] : [25, 200_000];
const crate = join(root, "benches", "rust");
const target = join(crate, "target");

setUpBuild();
run("cargo", ["build", "--quiet", "--locked", "--release"], { cwd: crate });
run("cargo", ["build", "--quiet", "--locked", "-p", "edgepool-bindgen"]);
const forWasm = ["--lib", "--target", "wasm32-unknown-unknown", "--crate-type", "cdylib"];
run("cargo", ["rustc", "--quiet", "--locked", "--release", ...forWasm], { cwd: crate });
const glue = join(target, "glue");
mkdirSync(glue, { recursive: true });
const compiled = join(target, "wasm32-unknown-unknown", "release", "edgepool_rust_bench.wasm");
run(join(root, "target", "debug", "edgepool-bindgen"), [compiled, glue, "index"]);

say(`measuring (usually ${quick ? "ten seconds" : "half a minute"})`);
const numbers = [String(rounds), String(cycles)];
const results = {
  native: measure(join(target, "release", "edgepool-rust-bench"), numbers),
  wasm: measure(process.execPath, [join(crate, "wasm.mjs"), glue, ...numbers]),
};
printTable(["natively, in ns", "one caller", "1,000 tasks"], rowsOf(results.native));
printTable(["in WebAssembly, in ns", "one caller", "1,000 tasks"], rowsOf(results.wasm));
printTable(
  ["target", "figure", "bound", ""],
  judge(results).map(({ title, figure, bound, isReached }) => [
    title,
    figure.toFixed(2),
    `<= ${bound}`,
    isReached ? "reached" : "MISSED",
  ]),
);
if (process.argv.includes("--write")) {
  const host = `${os.cpus()[0]?.model.trim()}, ${os.cpus().length} cores, Node ${process.versions.node}`;
  writeFileSync(documentPath, documentOf(results, { host, rounds, cycles }));
  say(`wrote ${documentPath}`);
}

/** Runs one half. Returns what it has written. */
function measure(command, args) {
  const written = ask(command, args);
  if (written === undefined) return fail(`${command} has failed`);
  return JSON.parse(written);
}
