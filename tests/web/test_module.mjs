// mu8.js in node: the bytes of the mu8 command for every golden model, errors, memory, steps.
//
//   node --test-reporter=tap tests/web/test_module.mjs build/release/mu8 build/wasm
//
// Runs in the repository's root, after tools/web/build.
import assert from "node:assert/strict";
import {execFileSync} from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import test from "node:test";
import {pathToFileURL} from "node:url";

const [command, folder] = process.argv.slice(2);
const web = path.resolve(folder, "web");
const {load, predictionJson, Mu8Error} =
    await import(pathToFileURL(path.join(web, "mu8", "mu8.js")));
const {entropy, prefixes, probabilities} =
    await import(pathToFileURL(path.resolve("tools/web/page/passes.js")));
const scratch = fs.mkdtempSync(path.join(os.tmpdir(), "mu8_web_"));
process.on("exit", () => fs.rmSync(scratch, {recursive: true}));

const mu8 = await load(pathToFileURL(path.join(web, "mu8", "mu8.wasm")));
const lenet5 = path.resolve(folder, "tools/web/lenet5_sigma4.mu8");
const pixels = Uint8Array.from({length: 784}, (_, i) => (i * i * 7 + (i >> 3) * 31) & 255);
const GOLDEN = "tests/data/golden";
const INVALID = "tests/data/invalid";

const predict = (model, input, ...options) =>
    JSON.parse(execFileSync(
                   command, ["predict", model, input, "--json", ...options.map(String)],
                   {stdio: ["ignore", "pipe", "ignore"]}))
        .predictions[0];
const refusal = (...args) => {
  try {
    execFileSync(command, args, {stdio: "pipe"});
  } catch (problem) {
    return problem.stderr.toString();
  }
  return assert.fail(`${args.join(" ")} was not refused`);
};
// An array [1,H,W,C] of u8 or f32 as a .npy file, which --input-layout nhwc takes as it is.
function writeArray(name, values, model) {
  const shape = `(1, ${model.inputHeight}, ${model.inputWidth}, ${model.inputChannels})`;
  const kind = values instanceof Float32Array ? "<f4" : "|u1";
  const text = `{'descr': '${kind}', 'fortran_order': False, 'shape': ${shape}, }`;
  const padded = text.padEnd(Math.ceil((text.length + 11) / 64) * 64 - 11) + "\n";
  const header = Buffer.concat([Buffer.from("\x93NUMPY\x01\x00", "latin1"), Buffer.alloc(2)]);
  header.writeUInt16LE(padded.length, 8);
  fs.writeFileSync(name, Buffer.concat([
    header, Buffer.from(padded), new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  ]));
}
const engineText = (text) => text.slice(text.indexOf("mu8 error")).split("\n")[0];

// Keys of both sides are the same numbers.
function sameNumbers(found, expected, what) {
  let compared = 0;
  for (const key of Object.keys(found)) {
    if (!(key in expected)) continue;
    assert.deepEqual(found[key], expected[key], `${what}: ${key}`);
    ++compared;
  }
  assert.ok(compared >= 3 && "replay" in found && "replay" in expected, what);
}

test("every golden model has the command's bytes, by passes and by moments", () => {
  let predictions = 0;
  let moments = 0;
  const heads = new Set();
  for (const file of fs.readdirSync(GOLDEN).filter((name) => name.endsWith(".mu8"))) {
    const model = mu8.open(fs.readFileSync(path.join(GOLDEN, file)));
    heads.add(model.head);
    // Reconstructions of pixels take pixels alone.
    const ofPixels = model.head === "reconstruction" && model.inputKind === "pixels";
    const input = ofPixels ?
        Uint8Array.from({length: model.inputSize}, (_, i) => (i * 37) & 255) :
        Float32Array.from({length: model.inputSize}, (_, i) => Math.fround(Math.sin(i * 1.7 + 1)));
    if (ofPixels)
      assert.throws(() => model.predict(new Float32Array(model.inputSize)), {status: 70});
    const name = path.join(scratch, "one.npy");
    writeArray(name, input, model);
    const words = ["--input-layout", "nhwc"];
    for (const seed of [1, 2 ** 40 + 5]) {
      const found = predictionJson(model.predict(input, {samples: 9, seed}), model.labels);
      delete found.label_name;
      sameNumbers(
          found, predict(path.join(GOLDEN, file), name, ...words, "--samples", 9, "--seed", seed),
          file);
      ++predictions;
    }
    if (model.hasMoments) {
      const found = predictionJson(model.predict(input, {method: "moments"}), model.labels);
      delete found.label_name;
      sameNumbers(
          found, predict(path.join(GOLDEN, file), name, ...words, "--method", "moments"), file);
      ++moments;
    }
    model.close();
  }
  assert.ok(predictions >= 80 && moments >= 4, `${predictions} predictions, ${moments} by moments`);
  assert.deepEqual(
      [...heads].sort(), ["gaussian", "reconstruction", "sigmoid", "softmax", "values"]);
  console.log(`# ${predictions} predictions and ${moments} by moments compared`);
});

test("every option has the command's bytes", () => {
  const model = mu8.open(fs.readFileSync(lenet5));
  const name = path.join(scratch, "pixels-images-idx3-ubyte");
  fs.writeFileSync(
      name, Buffer.concat([Buffer.from("00000803000000010000001c0000001c", "hex"), pixels]));
  const cases = [
    [{}, []],
    [{samples: 1}, ["--samples", 1]],
    [{samples: 200, seed: 0}, ["--samples", 200, "--seed", 0]],
    [{noise: "antithetic"}, ["--antithetic"]],
    [{stop: {rule: "label", error: 0.01}}, ["--stop-error", 0.01]],
    [{stop: {rule: "label", error: 0.3}, seed: 77}, ["--stop-error", 0.3, "--seed", 77]],
    [
      {stop: {rule: "threshold", error: 0.05, output: 3, threshold: 0.25}},
      ["--stop-error", 0.05, "--stop-class", 3, "--stop-threshold", 0.25]
    ],
    [
      {stop: {rule: "thresholds", error: 0.05, threshold: 0.5, outputs: [1, 8]}},
      ["--stop-error", 0.05, "--stop-class", "1,8", "--stop-threshold", 0.5]
    ],
    [{method: "moments"}, ["--method", "moments"]],
    [
      {method: "auto", stop: {rule: "label", error: 0.01}},
      ["--method", "auto", "--stop-error", 0.01]
    ],
    [
      {method: "auto", stop: {rule: "label", error: 0.01}, doubt: {margin: 0.9}},
      ["--method", "auto", "--stop-error", 0.01, "--margin", 0.9]
    ],
    [{seed: 2n ** 64n - 1n}, ["--seed", (2n ** 64n - 1n).toString()]],
  ];
  const ended = new Set();
  for (const [options, words] of cases) {
    const prediction = model.predict(pixels, options);
    const found = predictionJson(prediction, model.labels);
    const expected = predict(lenet5, `${name}#0`, ...words);
    // 64-bit numbers in JSON are read as doubles here.
    if (typeof found.replay.seed === "bigint") found.replay.seed = Number(found.replay.seed);
    sameNumbers(found, expected, words.join(" "));
    assert.equal(found.verdict, expected.verdict);
    assert.equal(found.why, expected.why);
    ended.add(prediction.ended);
  }
  assert.ok(
      ended.has("label") && ended.has("all_samples") && ended.has("moments"), [...ended].join());
  model.close();
});

test("what inspect says of a file, the model says", () => {
  const model = mu8.open(fs.readFileSync(lenet5));
  const json = JSON.parse(execFileSync(command, ["inspect", lenet5, "--json"]));
  assert.equal(model.fileBytes, fs.statSync(lenet5).size);
  assert.deepEqual([model.inputHeight, model.inputWidth, model.inputChannels], json.input_shape);
  assert.equal(model.classCount, 10);
  assert.deepEqual(model.labels, [..."0123456789"]);
  assert.equal(model.name, "lenet5_mnist");
  assert.equal(model.metadata("name"), "lenet5_mnist");
  assert.equal(model.metadata("no such key"), null);
  assert.equal(model.arenaBytes({samples: 50}), json.arena_bytes);
  assert.equal(model.arenaBytes({samples: 0}), 0);
  model.close();
});

test("every invalid file is refused with the engine's text", () => {
  const files = fs.readdirSync(INVALID).filter((name) => name.endsWith(".mu8"));
  let refused = 0;
  let compared = 0;
  for (const [at, file] of files.entries()) {
    const name = path.join(INVALID, file);
    let problem = null;
    try {
      mu8.open(fs.readFileSync(name)).close();
    } catch (error) {
      problem = error;
    }
    assert.ok(problem instanceof Mu8Error, `${file}: ${problem}`);
    assert.equal(problem.status, Number(file.split("_")[0]), `${file}: ${problem.message}`);
    const said = at % 16 === 0 ? refusal("inspect", name) : "";
    if (said.includes("mu8 error")) {
      assert.equal(problem.message, engineText(said), file);
      ++compared;
    }
    ++refused;
  }
  assert.ok(refused > 300 && compared > 15, `${refused} refused, ${compared} texts compared`);
  console.log(`# ${refused} files refused, ${compared} texts compared`);
});

test("calls that cannot be meant are refused by name", () => {
  const model = mu8.open(fs.readFileSync(lenet5));
  const refused = [
    [{samples: 2.5}, /samples: is 2\.5/],
    [{samples: -1}, /samples: is -1/],
    [{samples: "50"}, /samples: is "50"/],
    [{seed: 2 ** 60}, /seed: is/],
    [{seed: -1n}, /seed: is -1/],
    [{seed: 1n << 64n}, /seed: is/],
    [{sample: 50}, /there is no "sample", expected samples/],
    [{method: "moment"}, /method: is "moment", expected/],
    [{noise: 1}, /noise: is 1/],
    [{keepLogits: 1}, /keepLogits/],
    [{stop: "label"}, /stop: is "label"/],
    [{stop: {rule: "label"}}, /needs error/],
    [{stop: {rule: "label", error: 0.1, output: 1}}, /no "output"/],
    [{stop: {rule: "threshold", error: 0.1, output: 1}}, /needs error, output, threshold/],
    [{stop: {rule: "label", error: NaN}}, /stop.error: is NaN/],
    [{doubt: {entropyFrom: 1}}, /both or neither/],
    [
      {stop: {rule: "thresholds", error: 0.1, threshold: 0.5, outputs: [10]}}, /stop.outputs: is 10/
    ],
    [null, /options: is null/],
  ];
  for (const [options, message] of refused) {
    assert.throws(
        () => model.predict(pixels, options),
        (problem) => !(problem instanceof Mu8Error) && message.test(problem.message),
        String(message));
  }
  for (const input of [[1, 2], new Float64Array(784), new Uint16Array(784), null, "x"]) {
    assert.throws(() => model.predict(input), TypeError);
  }
  assert.throws(() => mu8.open("lenet5.mu8"), TypeError);
  // The engine's own.
  for (const [options, status] of [
           [{samples: 0}, 62], [{samples: 65537}, 62], [{stop: {rule: "label", error: 0.9}}, 62],
           [{method: "moments", stop: {rule: "label", error: 0.1}}, 62],
           [{stop: {rule: "threshold", error: 0.1, output: 10, threshold: 0.5}}, 62]]) {
    assert.throws(() => model.predict(pixels, options), {name: "Mu8Error", status});
  }
  assert.throws(
      () => model.predict(pixels.subarray(1)), {status: 64, message: /found 783, expected 784/});
  assert.throws(() => model.predict(new Float32Array(784).fill(NaN)), {status: 65});
  model.close();
  assert.throws(() => model.predict(pixels), /closed/);
  model.close();
});

test("the package is found by its name", () => {
  fs.mkdirSync(path.join(scratch, "node_modules"));
  fs.symlinkSync(path.join(web, "mu8"), path.join(scratch, "node_modules", "mu8"));
  fs.writeFileSync(path.join(scratch, "user.mjs"), `
    import {readFile} from "node:fs/promises";
    import {createRequire} from "node:module";
    import {load} from "mu8";
    const mu8 = await load(await readFile(createRequire(import.meta.url).resolve("mu8/mu8.wasm")));
    process.stdout.write(mu8.version);`);
  assert.equal(
      execFileSync(process.execPath, ["user.mjs"], {cwd: scratch}).toString(), mu8.version);
  const described = JSON.parse(fs.readFileSync(path.join(web, "mu8", "package.json")));
  assert.equal(described.version, mu8.version);
  for (const file of described.files) assert.ok(fs.existsSync(path.join(web, "mu8", file)), file);
});

test("load refuses what is no module, and says what it needs", async () => {
  await assert.rejects(load(new Uint8Array(10)), /128-bit vectors/);
  await assert.rejects(load(12), TypeError);
  const module = await WebAssembly.compile(fs.readFileSync(path.join(web, "mu8", "mu8.wasm")));
  assert.equal((await load(module)).version, mu8.version);
});

test("memory is given back: by close, by predictions, by refusals", async () => {
  const own = await load(fs.readFileSync(path.join(web, "mu8", "mu8.wasm")));
  const bytes = fs.readFileSync(lenet5);
  const round = () => {
    const model = own.open(bytes);
    model.predict(pixels, {
      samples: 2,
      keepLogits: true,
      stop: {rule: "thresholds", error: 0.1, threshold: 0.5, outputs: [1]}
    });
    assert.throws(() => model.predict(pixels, {samples: 0}));
    assert.throws(() => model.predict(pixels.subarray(2)));
    assert.throws(() => own.open(bytes.subarray(0, 50000)));
    model.metadata("name");
    model.close();
  };
  round();
  const before = own.memoryBytes;
  for (let i = 0; i < 300; ++i) round();
  assert.equal(own.memoryBytes, before);
  // Without close they pile up: the figure above can tell.
  for (let i = 0; i < 20; ++i) own.open(bytes);
  assert.ok(own.memoryBytes > before);
});

test("the module without memory says so and goes on", async () => {
  const own = await load(fs.readFileSync(path.join(web, "mu8", "mu8.wasm")));
  const model = own.open(fs.readFileSync(lenet5));
  assert.throws(
      () => own.open(new Uint8Array(2 ** 31 - 1024)), {status: -1, message: /out of memory/});
  assert.equal(model.predict(pixels).samplesUsed, 50);
  model.close();
});

test(
    "a prediction in steps has the same bytes, can be ended, and is told of its passes",
    async () => {
      const model = mu8.open(fs.readFileSync(lenet5));
      const told = [];
      const inSteps = await model.predictInSteps(
          pixels, {seed: 9}, {passes: 7, onPasses: (done) => told.push(done)});
      assert.deepEqual(
          predictionJson(inSteps, model.labels),
          predictionJson(model.predict(pixels, {seed: 9}), model.labels));
      assert.deepEqual(told, [7, 14, 21, 28, 35, 42, 49]);
      const controller = new AbortController();
      const ended = model.predictInSteps(
          pixels, {},
          {signal: controller.signal, onPasses: (done) => done > 3 && controller.abort()});
      await assert.rejects(ended, {name: "AbortError"});
      await assert.rejects(model.predictInSteps(pixels, {}, {passes: 0}), RangeError);
      // Two at a time, and one that the model's end ends.
      const [a, b] = await Promise.all(
          [model.predictInSteps(pixels, {seed: 1}), model.predictInSteps(pixels, {seed: 2})]);
      assert.notEqual(a.replay.prediction_crc, b.replay.prediction_crc);
      const left = model.predictInSteps(pixels);
      model.close();
      await assert.rejects(left, /closed/);
    });

test("what the page draws of the first t passes ends at the engine's numbers", () => {
  const model = mu8.open(fs.readFileSync(lenet5));
  for (const samples of [1, 2, 50]) {
    const prediction = model.predict(pixels, {samples, keepLogits: true});
    const passes = probabilities(prediction);
    const all = prefixes(passes);
    assert.equal(all.length, samples);
    const last = all[samples - 1];
    for (const [found, expected] of [
             [last.total, prediction.predictiveEntropy],
             [last.aleatoric, prediction.expectedEntropy],
             [last.epistemic, prediction.mutualInformation],
             ...last.mean.map((one, c) => [one, prediction.mean[c]])]) {
      assert.ok(Math.abs(found - expected) < 2e-6, `T = ${samples}: ${found}, ${expected}`);
    }
    // And on the way there, those of fewer passes.
    const fewer = model.predict(pixels, {samples: Math.ceil(samples / 2)});
    assert.ok(Math.abs(all[Math.ceil(samples / 2) - 1].total - fewer.predictiveEntropy) < 2e-6);
  }
  assert.equal(entropy([1, 0, 0]), -0);
  model.close();
});
