/** What a `.wasm` import is in workerd and in what bundles for it. */
declare module "*.wasm" {
  const module: WebAssembly.Module;
  export default module;
}

/** What of it is used here; older runtimes have less of it. */
declare module "cloudflare:workers" {
  export const tracing: { getActiveSpan?(): object | undefined } | undefined;
}
