/** What a `.wasm` import is in workerd and in what bundles for it. */
declare module "*.wasm" {
  const module: WebAssembly.Module;
  export default module;
}

/** The same in bundlers for other edge runtimes. */
declare module "*.wasm?module" {
  const module: WebAssembly.Module;
  export default module;
}
