/** Node, Deno, Bun, browsers and every bundler: the bytes are in the package and compiled synchronously. */

import { bytes } from "../wasm/bytes.js";
import { initSync } from "../wasm/edgepool.js";
import { attach, isAttached } from "../instance.js";

if (!isAttached()) attach(initSync({ module: new WebAssembly.Module(bytes()) }));

export * from "../index.js";
