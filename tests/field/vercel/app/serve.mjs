// Serves a bundle in an edge runtime that compiles no WebAssembly, as on Vercel. What the bundle imports with ?module
// is a global of the runtime, compiled outside.

import { readFileSync } from "node:fs";
import { EdgeRuntime, runServer } from "edge-runtime";

const [port, bundle, wasm] = process.argv.slice(2);
const runtime = new EdgeRuntime({
  initialCode: readFileSync(bundle, "utf8"),
  codeGeneration: { strings: false, wasm: false },
  extend: (context) => Object.assign(context, { edgepoolWasm: new WebAssembly.Module(readFileSync(wasm)) }),
});
await runServer({ runtime, port: Number(port) });
