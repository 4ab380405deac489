/**
 * Bring your own WebAssembly: for hosts that forbid synchronous compilation or load the bytes in a way of their own.
 */

import { initSync } from "../wasm/edgepool.js";
import { ArgumentError } from "../errors.js";
import { attach, isAttached, requireWebAssembly } from "../engine/instance.js";
import { show } from "../validate.js";

/**
 * Gives the package its WebAssembly: `edgepool/edgepool.wasm` of the same version, as its bytes or compiled. Before the
 * first pool is made; a second call does nothing. Throws an {@link ArgumentError} for another value, and the host's
 * CompileError for bytes that are not WebAssembly.
 */
export function initialize(module: WebAssembly.Module | BufferSource): void {
  if (!isAttached()) attach(initSync({ module: checked(module) }));
}

/** Checks the module: the glue keeps the first instance that it is given. */
function checked(module: WebAssembly.Module | BufferSource): WebAssembly.Module {
  requireWebAssembly();
  // Edge runtimes give modules of another realm, and these are no instances of this realm's class.
  const kind = Object.prototype.toString.call(module);
  const isCompiled = kind === "[object WebAssembly.Module]";
  if (!isCompiled && !ArrayBuffer.isView(module) && kind !== "[object ArrayBuffer]") {
    throw new ArgumentError(
      `initialize() wants the bytes of edgepool/edgepool.wasm, or a WebAssembly.Module; it got ${show(module)}`,
    );
  }
  const compiled = isCompiled ? (module as WebAssembly.Module) : new WebAssembly.Module(module as BufferSource);
  const names = new Set(WebAssembly.Module.exports(compiled).map(({ name }) => name));
  if (!names.has("checkout_within") || !names.has("__wbindgen_start")) {
    throw new ArgumentError("initialize() wants edgepool/edgepool.wasm; it got another WebAssembly");
  }
  return compiled;
}

export * from "../index.js";
