// Records the memory of every WebAssembly instance that is made after this module is loaded.

const memories = [];
WebAssembly.Instance = new Proxy(WebAssembly.Instance, {
  construct(Instance, parameters) {
    const instance = new Instance(...parameters);
    memories.push(instance.exports.memory);
    return instance;
  },
});

export function wasmBytes() {
  return memories.reduce((sum, { buffer }) => sum + buffer.byteLength, 0);
}
