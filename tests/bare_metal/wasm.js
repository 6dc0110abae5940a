// Runs a module of wasm.c under node: node wasm.js MODULE.wasm
const fs = require('fs');

let memory;
const write = (place) => {
  const bytes = new Uint8Array(memory.buffer);
  fs.writeSync(1, bytes.subarray(place, bytes.indexOf(0, place)));
};
const module_ = new WebAssembly.Module(fs.readFileSync(process.argv[2]));
const instance = new WebAssembly.Instance(module_, {env: {write}});
memory = instance.exports.memory;
process.exitCode = instance.exports.run();
