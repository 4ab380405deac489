// Preloaded in each process of another pool's suite: gives PEER_BY to whoever asks for the file PEER_REPLACED.

const Module = require("node:module");

const { PEER_REPLACED: replaced, PEER_BY: by } = process.env;
const resolve = Module._resolveFilename;

Module._resolveFilename = (...given) => {
  const path = Reflect.apply(resolve, Module, given);
  return path === replaced ? by : path;
};
