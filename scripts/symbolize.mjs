// npm run symbolize < stack.txt: writes Rust's names into a stack of the published WebAssembly, which has no names.
// Reads the list of functions in pkg/wasm/edgepool.symbols, or in the file that the argument names.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./run.mjs";

const list = process.argv[2] ?? join(root, "pkg", "wasm", "edgepool.symbols");
const names = new Map(
  readFileSync(list, "utf8")
    .trim()
    .split("\n")
    .map((line) => /^(\d+):(.*)$/.exec(line)?.slice(1)),
);

process.stdout.write(
  readFileSync(0, "utf8").replace(
    /wasm-function\[(\d+)\]/g,
    (place, index) => `${names.get(index) ?? "unknown"} (${place})`,
  ),
);
