// mu8 for JavaScript: inference with quantized Bayesian neural networks, in a browser or in node,
// by the same engine as everywhere (mu8.wasm, SIMD128) with the same bytes for the same seed.
//
//   const mu8 = await load(new URL("mu8.wasm", import.meta.url));
//   const model = mu8.open(bytes);                              // of a .mu8 file
//   const prediction = model.predict(pixels, {samples: 50, seed: 1});
//   model.close();
//
// Words and views below are those of bindings.cpp. A problem of the engine is a Mu8Error with the
// engine's own text; a call that cannot be meant as it stands (a fraction for a count, an option
// that there is none of) is a TypeError or RangeError and reaches no engine.

export const HEADS = ["softmax", "sigmoid", "values", "gaussian", "reconstruction"];
export const INPUT_KINDS = ["pixels", "numbers"];
const METHODS = ["sampling", "moments", "auto"];
const NOISES = ["independent", "antithetic"];
const ENDED =
    ["all_samples", "label", "above", "below", "deadline", "within", "decided", "moments"];
const DECISIONS = ["not_chosen", "undecided", "above", "below"];
const ABSTAIN =
    ["none", "predictive_entropy", "mutual_information", "variance", "total_variance", "error"];
// What each rule of `stop` takes: its number, the keys that it needs and those that it may have.
const STOP_RULES = {
  label: {number: 1, needs: ["error"], may: []},
  threshold: {number: 2, needs: ["error", "output", "threshold"], may: []},
  within: {number: 3, needs: ["error", "output", "within"], may: []},
  thresholds: {number: 4, needs: ["error", "threshold"], may: ["outputs"]},
};
const OPTION_KEYS = ["samples", "seed", "method", "noise", "keepLogits", "stop", "doubt"];
const NO_LABEL = 0xffffffff;
const IN_PROGRESS = 77;

/** What the engine refused. `status` is a number of mu8/status.h, -1 where memory ran out. */
export class Mu8Error extends Error {
  constructor(message, status) {
    super(message);
    this.name = "Mu8Error";
    this.status = status;
  }
}

// ---- Arguments --------------------------------------------------------------------------------

const shown = (value) => (typeof value === "string" ? `"${value}"` : String(value));

function wholeNumber(name, value, most) {
  if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value > most) {
    throw new RangeError(`${name}: is ${shown(value)}, expected a whole number from 0 to ${most}`);
  }
  return value;
}

function number(name, value) {
  if (typeof value !== "number" || Number.isNaN(value)) {
    throw new TypeError(`${name}: is ${shown(value)}, expected a number`);
  }
  return value;
}

function oneOf(name, value, among) {
  const index = among.indexOf(value);
  if (index < 0) {
    throw new RangeError(`${name}: is ${shown(value)}, expected one of ${among.join(", ")}`);
  }
  return index;
}

function checkKeys(name, object, known) {
  if (object === null || typeof object !== "object" || Array.isArray(object)) {
    throw new TypeError(`${name}: is ${shown(object)}, expected an object`);
  }
  for (const key of Object.keys(object)) {
    if (!known.includes(key)) {
      throw new TypeError(`${name}: there is no ${shown(key)}, expected ${known.join(", ")}`);
    }
  }
}

// A number of 64 bits, as a BigInt.
function seedOf(value) {
  if (typeof value === "bigint" && value >= 0n && value < 1n << 64n) return value;
  if (Number.isSafeInteger(value) && value >= 0) return BigInt(value);
  throw new RangeError(
      `seed: is ${shown(value)}, expected a whole number from 0 to 2^53 - 1, or a ` +
      "BigInt below 2^64");
}

// ---- The module's memory ----------------------------------------------------------------------

// Memory may move whenever the module allocates: no array over it outlives a call.
class Memory {
  constructor(exports) {
    this.exports = exports;
  }

  bytes(place, count) {
    return new Uint8Array(this.exports.memory.buffer, place, count);
  }

  words(place, count) {
    return new Uint32Array(this.exports.memory.buffer, place, count);
  }

  floats(place, count) {
    return new Float32Array(this.exports.memory.buffer, place, count);
  }

  text(place, count) {
    return new TextDecoder().decode(this.bytes(place, count).slice());
  }

  textAt(place) {
    const all = new Uint8Array(this.exports.memory.buffer);
    return this.text(place, all.indexOf(0, place) - place);
  }

  problem() {
    const {mu8_js_status: status, mu8_js_message: message} = this.exports;
    return new Mu8Error(this.textAt(message()), status());
  }

  // A copy of a typed array, of an ArrayBuffer's bytes.
  put(values) {
    const place = this.exports.mu8_js_allocate(values.byteLength);
    if (place === 0) throw this.problem();
    this.bytes(place, values.byteLength)
        .set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    return place;
  }
}

// A file's bytes, whatever they are in.
function asBytes(name, bytes) {
  if (bytes instanceof ArrayBuffer) return new Uint8Array(bytes);
  if (ArrayBuffer.isView(bytes)) {
    return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
  throw new TypeError(`${name}: expected an ArrayBuffer or a view of one`);
}

// An input as the engine takes it: u8 pixels or f32 numbers; what holds neither is not converted.
function asInput(input) {
  if (input instanceof Uint8Array || input instanceof Uint8ClampedArray) return input;
  if (input instanceof Float32Array) return input;
  throw new TypeError(
      "input: expected a Uint8Array (pixels) or a Float32Array (numbers, height by " +
      "width by channels)");
}

// ---- Options ----------------------------------------------------------------------------------

function setStop(stop, outputs, words, floats) {
  checkKeys("stop", stop, ["rule", "error", "output", "threshold", "within", "outputs"]);
  const names = Object.keys(STOP_RULES);
  const rule = STOP_RULES[names[oneOf("stop.rule", stop.rule, names)]];
  for (const key of rule.needs) {
    if (stop[key] === undefined) {
      throw new TypeError(`stop: rule "${stop.rule}" needs ${rule.needs.join(", ")}`);
    }
  }
  checkKeys("stop", stop, ["rule", ...rule.needs, ...rule.may]);
  words[6] = rule.number;
  floats[7] = number("stop.error", stop.error);
  if (stop.output !== undefined) words[8] = wholeNumber("stop.output", stop.output, 0xffffffff);
  if (stop.threshold !== undefined) floats[9] = number("stop.threshold", stop.threshold);
  if (stop.within !== undefined) floats[10] = number("stop.within", stop.within);
  if (stop.outputs === undefined) return null;
  const chosen = new Uint8Array(outputs);
  for (const output of stop.outputs) {
    chosen[wholeNumber("stop.outputs", output, outputs - 1)] = 1;
  }
  return chosen;
}

function setDoubt(doubt, floats) {
  checkKeys("doubt", doubt, ["margin", "entropyFrom", "entropyTo"]);
  if ((doubt.entropyFrom === undefined) !== (doubt.entropyTo === undefined)) {
    throw new TypeError("doubt: expected entropyFrom and entropyTo, both or neither");
  }
  if (doubt.margin !== undefined) floats[13] = number("doubt.margin", doubt.margin);
  if (doubt.entropyFrom !== undefined) {
    floats[14] = number("doubt.entropyFrom", doubt.entropyFrom);
    floats[15] = number("doubt.entropyTo", doubt.entropyTo);
  }
}

// Writes the options over the engine's own defaults; answers their place and the chosen outputs.
function writeOptions(memory, options, outputs) {
  checkKeys("options", options, OPTION_KEYS);
  const place = memory.exports.mu8_js_default_options();
  const words = memory.words(place, 16);
  const floats = memory.floats(place, 16);
  if (options.samples !== undefined) words[0] = wholeNumber("samples", options.samples, 0xffffffff);
  if (options.seed !== undefined) {
    const seed = seedOf(options.seed);
    words[1] = Number(seed & 0xffffffffn);
    words[2] = Number(seed >> 32n);
  }
  if (options.keepLogits !== undefined) {
    if (typeof options.keepLogits !== "boolean") {
      throw new TypeError(`keepLogits: is ${shown(options.keepLogits)}, expected true or false`);
    }
    words[3] = options.keepLogits ? 1 : 0;
  }
  if (options.method !== undefined) words[4] = oneOf("method", options.method, METHODS);
  if (options.noise !== undefined) words[5] = oneOf("noise", options.noise, NOISES);
  const chosen = options.stop === undefined ? null : setStop(options.stop, outputs, words, floats);
  if (options.doubt !== undefined) setDoubt(options.doubt, floats);
  return {place, chosen};
}

// ---- Predictions ------------------------------------------------------------------------------

const hex = (value, digits) => value.toString(16).padStart(digits, "0");
// The shortest decimal that is this float again, as `mu8 predict --json` writes it.
const shortest = (value) => {
  for (let digits = 1; digits < 9; ++digits) {
    const rounded = Number(value.toPrecision(digits));
    if (Math.fround(rounded) === value) return rounded;
  }
  return Number(value.toPrecision(9));
};

// The object "replay" of `mu8 predict --json`, which `mu8 replay` reads. The seed is a BigInt where
// it is beyond 2^53.
function readReplay(memory, place, crc, decisions) {
  const view = new DataView(memory.exports.memory.buffer, place, 56);
  const word = (at) => view.getUint32(at, true);
  const float = (at) => shortest(view.getFloat32(at, true));
  const seed = view.getBigUint64(8, true);
  const record = {
    model_hash: hex(view.getBigUint64(0, true), 16),
    seed: seed <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(seed) : seed,
    mc_samples: word(16),
    samples_used: word(20),
    method: view.getUint8(52),
    noise: view.getUint8(53),
    stop_rule: view.getUint8(54),
    ended: view.getUint8(55),
    stop_error: float(24),
    stop_threshold: float(28),
    stop_within: float(32),
    stop_class: word(36),
    stop_chosen_crc: hex(word(40), 8),
    library_version: word(44),
    format_major: view.getUint16(48, true),
    format_minor: view.getUint16(50, true),
    prediction_crc: hex(crc, 8),
  };
  if (word(40) !== 0) record.stop_chosen = decisions.map((one) => (one === "not_chosen" ? 0 : 1));
  return record;
}

// Copies a result out of the module: it holds when the module's memory is given back.
function readPrediction(memory, place, head) {
  const words = memory.words(place, 52);
  const floats = memory.floats(place, 52);
  const array = (at) => memory.floats(words[at], words[at + 1]).slice();
  const optional = (at) => (words[at + 1] === 0 ? null : array(at));
  const text = (at) => (words[at + 1] === 0 ? null : memory.text(words[at], words[at + 1]));
  const decisions = words[22] === 0 ?
      null :
      Array.from(memory.bytes(words[21], words[22]), (one) => DECISIONS[one]);
  return {
    head,
    label: words[0] === NO_LABEL ? null : words[0],
    samplesUsed: words[1],
    ended: ENDED[words[2]],
    predictiveEntropy: floats[3],
    expectedEntropy: floats[4],
    mutualInformation: floats[5],
    mean: array(6),
    variance: array(8),
    outputEntropy: optional(10),
    outputExpectedEntropy: optional(12),
    logits: optional(14),
    logitsStride: words[16],
    noiseVariance: optional(17),
    target: optional(19),
    decisions,
    clampedInputs: words[23],
    clampedScales: words[24],
    clippedPasses: words[25],
    error: floats[26],
    errorVariance: floats[27],
    abstains: words[28] !== 0,
    verdict: text(29),
    why: text(31),
    kernels: text(49),
    replay: readReplay(memory, place + 34 * 4, words[48], decisions),
  };
}

/** The prediction as `mu8 predict --json` has it (what its head has none of is left out). */
export function predictionJson(prediction, names) {
  const list = (values) => Array.from(values, shortest);
  const json = {
    head: prediction.head,
    samples_used: prediction.samplesUsed,
    ended: prediction.ended,
    clamped_inputs: prediction.clampedInputs,
    mean: list(prediction.mean),
    standard_deviation: list(prediction.variance.map((one) => Math.sqrt(Math.max(one, 0)))),
  };
  if (prediction.head === "softmax" || prediction.head === "sigmoid") {
    json.predictive_entropy = shortest(prediction.predictiveEntropy);
    json.expected_entropy = shortest(prediction.expectedEntropy);
    json.mutual_information = shortest(prediction.mutualInformation);
  }
  if (prediction.label !== null) {
    json.label = prediction.label;
    json.label_name = names[prediction.label];
    json.probability = shortest(prediction.mean[prediction.label]);
    json.verdict = prediction.verdict;
    json.why = prediction.why;
  }
  json.replay = prediction.replay;
  return json;
}

// ---- Model ------------------------------------------------------------------------------------

class Model {
  #memory;
  #handle;
  #running = new Set();

  constructor(memory, handle) {
    this.#memory = memory;
    this.#handle = handle;
    const words = memory.words(memory.exports.mu8_js_model(handle), 15).slice();
    this.inputHeight = words[0];
    this.inputWidth = words[1];
    this.inputChannels = words[2];
    this.inputSize = words[0] * words[1] * words[2];
    this.classCount = words[3];
    this.outputHeight = words[4];
    this.outputWidth = words[5];
    this.head = HEADS[words[6]];
    this.inputKind = INPUT_KINDS[words[7]];
    this.hasMoments = words[8] !== 0;
    this.abstainMeasure = ABSTAIN[words[9]];
    this.hash = hex(words[11], 8) + hex(words[10], 8);
    this.fileBytes = words[12];
    this.name = memory.text(words[13], words[14]);
    this.labels = Array.from({length: this.classCount}, (_, output) => this.#label(output));
    Object.freeze(this.labels);
    Object.freeze(this);
  }

  #open() {
    if (this.#handle === 0) throw new TypeError("the model is closed");
    return this.#handle;
  }

  #label(output) {
    const [place, count] =
        this.#memory.words(this.#memory.exports.mu8_js_label(this.#handle, output), 2);
    return count === 0 ? null : this.#memory.text(place, count);
  }

  metadata(key) {
    const memory = this.#memory;
    const name = new TextEncoder().encode(key);
    const handle = this.#open();
    const place = memory.put(name);
    const [value, count] =
        memory.words(memory.exports.mu8_js_metadata(handle, place, name.length), 2);
    const text = count === 0 ? null : memory.text(value, count);
    memory.exports.mu8_js_free(place);
    return text;
  }

  arenaBytes(options = {}) {
    const {place} = writeOptions(this.#memory, options, this.classCount);
    return this.#memory.exports.mu8_js_arena_bytes(this.#open(), place);
  }

  #begin(input, options) {
    const memory = this.#memory;
    const handle = this.#open();
    const values = asInput(input);
    const {place, chosen} = writeOptions(memory, options, this.classCount);
    const chosenPlace = chosen === null ? 0 : memory.put(chosen);
    let inputPlace;
    try {
      inputPlace = memory.put(values);
    } catch (problem) {
      memory.exports.mu8_js_free(chosenPlace);
      throw problem;
    }
    memory.words(place, 16).set([chosenPlace, chosen === null ? 0 : chosen.length], 11);
    const running = memory.exports.mu8_js_begin(
        handle, place, inputPlace, values.length, values instanceof Float32Array ? 1 : 0);
    if (running === 0) throw memory.problem();
    this.#running.add(running);
    return running;
  }

  #end(running) {
    if (this.#running.delete(running)) this.#memory.exports.mu8_js_end(running);
  }

  // Whether there is more to do.
  #step(running, passes) {
    const status = this.#memory.exports.mu8_js_step(running, passes);
    if (status !== 0 && status !== IN_PROGRESS) throw this.#memory.problem();
    return status === IN_PROGRESS;
  }

  #result(running) {
    return readPrediction(this.#memory, this.#memory.exports.mu8_js_result(running), this.head);
  }

  predict(input, options = {}) {
    const running = this.#begin(input, options);
    try {
      while (this.#step(running, 0xffffffff))
        ;
      return this.#result(running);
    } finally {
      this.#end(running);
    }
  }

  async predictInSteps(input, options = {}, {passes = 1, onPasses, signal} = {}) {
    const least = wholeNumber("passes", passes, 65536);
    if (least === 0) throw new RangeError("passes: is 0, expected 1 to 65536");
    signal?.throwIfAborted();
    const running = this.#begin(input, options);
    try {
      while (this.#step(running, least)) {
        onPasses?.(this.#memory.exports.mu8_js_passes_done(running));
        await new Promise((resolve) => setTimeout(resolve));
        signal?.throwIfAborted();
        if (!this.#running.has(running)) throw new TypeError("the model is closed");
      }
      return this.#result(running);
    } finally {
      this.#end(running);
    }
  }

  close() {
    if (this.#handle === 0) return;
    for (const running of [...this.#running]) this.#end(running);
    this.#memory.exports.mu8_js_close(this.#handle);
    this.#handle = 0;
  }
}

class Mu8 {
  #memory;

  constructor(memory) {
    this.#memory = memory;
    const version = memory.exports.mu8_js_library_version();
    this.version = `${version >> 16}.${(version >> 8) & 255}.${version & 255}`;
    Object.freeze(this);
  }

  open(bytes) {
    const file = asBytes("open", bytes);
    const handle = this.#memory.exports.mu8_js_open(this.#memory.put(file), file.length);
    if (handle === 0) throw this.#memory.problem();
    return new Model(this.#memory, handle);
  }

  get memoryBytes() {
    return this.#memory.exports.memory.buffer.byteLength;
  }
}

// ---- Load -------------------------------------------------------------------------------------

async function compile(source) {
  if (source instanceof WebAssembly.Module) return source;
  let bytes = source;
  if (typeof source === "string" || source instanceof URL) {
    const url = String(source);
    if (url.startsWith("file:") && globalThis.process?.versions?.node) {
      bytes = await (await import("node:fs/promises")).readFile(new URL(url));
    } else {
      const response = await fetch(url);
      if (!response.ok) throw new Error(`${url}: ${response.status} ${response.statusText}`);
      bytes = await response.arrayBuffer();
    }
  }
  const module = asBytes("load", bytes);
  if (!WebAssembly.validate(module)) {
    throw new Error(
        "load: these bytes are no WebAssembly module that this engine takes; mu8.wasm " +
        "needs 128-bit vectors (SIMD), which browsers have since 2021 to 2023");
  }
  return WebAssembly.compile(module);
}

/** Compiles mu8.wasm: its bytes, its URL, or a WebAssembly.Module of it. */
export async function load(source) {
  const instance = await WebAssembly.instantiate(
      await compile(source), {env: {emscripten_notify_memory_growth() {}}});
  instance.exports._initialize();
  return new Mu8(new Memory(instance.exports));
}
