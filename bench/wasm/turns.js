// Times modules of network.cpp in turns: node turns.js ROUNDS PASSES A.wasm B.wasm...
// A module's export `run` predicts once, in as many passes as its file's name ends with: X_1.wasm,
// X_11.wasm. Prints a line "A.wasm MILLISECONDS... HASH" each: one time a round, whole predictions.
const fs = require('fs');

const load = (name) => {
  let memory;
  let text = '';
  const write = (place) => {
    const bytes = new Uint8Array(memory.buffer);
    text += Buffer.from(bytes.subarray(place, bytes.indexOf(0, place))).toString();
  };
  const module_ = new WebAssembly.Module(fs.readFileSync(name));
  const instance = new WebAssembly.Instance(module_, {env: {write}});
  memory = instance.exports.memory;
  const run = () => {
    text = '';
    const start = process.hrtime.bigint();
    if (instance.exports.run() !== 0) throw new Error(`${name}: ${text}`);
    return Number(process.hrtime.bigint() - start) / 1e6;
  };
  return {name, run, times: [], text: () => text.trim()};
};

const [rounds, ...names] = process.argv.slice(2);
const modules = names.map(load);
for (let round = -2; round < Number(rounds); ++round) {
  for (const one of modules) {
    const time = one.run();
    if (round >= 0) one.times.push(time);
  }
}
for (const one of modules) console.log(one.name, one.times.join(' '), one.text());
