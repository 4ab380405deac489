/** Node, Deno, Bun, browsers and every bundler: the bytes are in the package and compiled synchronously. */

import { PoolError } from "../errors.js";
import { attach, isAttached, requireWebAssembly } from "../engine/instance.js";
import { initSync } from "../wasm/edgepool.js";
import { bytesOf } from "./text.js";

/** A literal in its place: scripts/bundle.mjs. */
declare const wasmAsText: string;

if (!isAttached()) attach(initSync({ module: compiled() }));

function compiled(): WebAssembly.Module {
  requireWebAssembly();
  try {
    return new WebAssembly.Module(bytesOf(wasmAsText));
  } catch (cause) {
    throw new PoolError(
      "ERR_POOL_INVALID_REQUEST",
      "edgepool cannot compile its WebAssembly here: a page's Content-Security-Policy must allow " +
        "'wasm-unsafe-eval', and a bundle for Cloudflare Workers or an edge runtime needs the condition " +
        '"workerd" or "edge-light": docs/guide.md, "Frameworks" (the cause is the host\'s error)',
      "",
      { cause },
    );
  }
}

export * from "../index.js";
