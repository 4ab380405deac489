// Notes the memory of the WebAssembly that is instantiated next. Imported before edgepool.

export let memory;

WebAssembly.Instance = class extends WebAssembly.Instance {
  constructor(...parameters) {
    super(...parameters);
    memory = this.exports.memory;
  }
};
