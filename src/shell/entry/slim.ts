/** Bring your own WebAssembly: for hosts that forbid synchronous compilation or load the bytes in a way of their own. */

import { initSync } from "../wasm/edgepool.js";
import { attach, isAttached } from "../instance.js";

/**
 * Gives the package its WebAssembly: `edgepool/edgepool.wasm`, as its bytes or compiled. Before the first pool is made;
 * calling it again does nothing.
 */
export function initialize(module: WebAssembly.Module | BufferSource): void {
  if (!isAttached()) attach(initSync({ module: module as WebAssembly.Module }));
}

export * from "../index.js";
