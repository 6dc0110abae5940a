// The page: what is chosen in it goes to the engine, what the engine says is shown.
// tools/web/assemble joins this with mu8.js and its neighbours here into one script, and gives it
// its data.
import {load, predictionJson} from "../mu8.js";

import {classChart, settleChart, table, uncertaintyBar} from "./charts.js";
import {Pad} from "./pad.js";
import {prefixes, probabilities, winner} from "./passes.js";
import {readPicture, showPixels} from "./pictures.js";

const byId = (id) => document.getElementById(id);
const fromBase64 = (text) => Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
const nats = (value) => `${value.toFixed(4)} nats`;
const percent = (value) => `${(100 * value).toFixed(2)} %`;
const bytesOf = (count) => `${count.toLocaleString("en")} bytes`;
const LARGE_FILE = 1 << 20;  // bytes: of larger ones each pass takes long
const STOP_ERRORS = [0.05, 0.01, 0.001];
const SHOWN_CLASSES = 10;
const SHOWN_OUTPUTS = 32;

const data = JSON.parse(byId("data").textContent);
const still = matchMedia("(prefers-reduced-motion: reduce)");
let engine;   // of load()
let builtIn;  // [{bits, model}], the widest sigma first
const state = {
  model: null,
  modelName: "",
  own: false,
  pixels: null,
  about: "",
  sample: null,
  picture: null,
  run: null,    // AbortController of the prediction that is being made
  shown: null,  // what redraw() needs
};

// ---- Small things ---------------------------------------------------------------------------

function say(problem) {
  byId("error").textContent = problem === null ? "" : String(problem.message ?? problem);
}

const names = (model) => model.labels.map((label, c) => label ?? String(c));
const isClassifier = (model) =>
    model.head === "softmax" && model.outputHeight * model.outputWidth === 1;
const takesDrawings = (model) => model.inputKind === "pixels" && model.inputChannels === 1 &&
    model.inputHeight > 1 && model.inputWidth > 1;
const takesPictures = (model) => model.inputKind === "pixels" &&
    [1, 3].includes(model.inputChannels) && model.inputHeight * model.inputWidth > 1;

// What is asked for; null, and said, if it is none.
function settings() {
  const whole = (id, least, most, what) => {
    const value = Number(byId(id).value);
    if (byId(id).value !== "" && Number.isSafeInteger(value) && value >= least && value <= most)
      return value;
    throw new RangeError(
        `${what}: is "${byId(id).value}", expected a whole number from ${least} to ${most}`);
  };
  const stop = byId("stop").value;
  return {
    samples: whole("samples-count", 1, 200, "Networks T"),
    seed: whole("seed", 0, Number.MAX_SAFE_INTEGER, "Seed"),
    ...(stop === "" ? {} : {stop: {rule: "label", error: Number(stop)}}),
  };
}

// ---- Input ----------------------------------------------------------------------------------

function setInput(pixels, about, {sample = null, picture = null} = {}) {
  Object.assign(state, {pixels, about, sample, picture});
  for (const button of byId("samples").querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(Number(button.dataset.sample) === sample));
  }
  byId("invert-row").hidden = picture === null;
  byId("seen-text").textContent = pixels === null ? "" : `What the network sees: ${about}.`;
  byId("seen").setAttribute(
      "aria-label", pixels === null ? "No picture" : `What the network sees: ${about}`);
  if (pixels !== null) showPixels(byId("seen"), pixels, state.model);
  predict();
}

function takeSample(index) {
  pad.clear();
  say(null);
  setInput(fromBase64(data.samples[index].pixels), data.samples[index].name, {sample: index});
}

function takeDrawing() {
  if (pad.strokes.length === 0) {
    setInput(null, "");
    return;
  }
  say(null);
  const {inputHeight: height, inputWidth: width} = state.model;
  const centred = byId("centre").checked;
  const how = centred ? "sized and centred" : "where you drew it";
  setInput(
      pad.pixels(height, width, centred), `your drawing, ${height} × ${width} pixels, ${how}`);
}

function takePicture(picture) {
  const inverted = byId("invert").checked;
  const pixels = inverted ? picture.pixels.map((value) => 255 - value) : picture.pixels;
  setInput(pixels, picture.words + (inverted ? "; inverted" : "; not inverted"), {picture});
}

async function takeFile(file) {
  try {
    say(null);
    if (file.name.endsWith(".mu8")) {
      setModel(engine.open(await file.arrayBuffer()), file.name, true);
    } else if (!takesPictures(state.model)) {
      throw new Error(
          `${file.name}: the model takes ${inputWords(state.model)}, which is no picture; ` +
          "its numbers can be given by mu8.js or by the mu8 command");
    } else {
      const picture = await readPicture(file, state.model);
      pad.clear();
      takePicture(picture);
    }
  } catch (problem) {
    say(problem.name === "Mu8Error" ? `${file.name}: ${problem.message}` : problem);
  }
}

// ---- Model ----------------------------------------------------------------------------------

const inputWords = (model) =>
    `${model.inputHeight} × ${model.inputWidth} × ${model.inputChannels} ` +
    (model.inputKind === "pixels" ? "pixels" : "numbers") + " (height, width, channels)";

// What a model is, in a sentence.
function modelInWords(model, name) {
  const positions = model.outputHeight * model.outputWidth;
  return [
    `Model: ${name}${model.name ? ` (${model.name})` : ""}, ${bytesOf(model.fileBytes)}`,
    `takes ${inputWords(model)}`,
    `answers ${model.classCount} × ${model.head}` +
        (positions > 1 ? ` at ${model.outputHeight} × ${model.outputWidth} positions` : ""),
    `${bytesOf(model.arenaBytes({samples: 50}))} of memory for a prediction`,
    `moments: ${model.hasMoments ? "yes" : "no"}.`,
  ].join("; ");
}

function setModel(model, name, own) {
  state.run?.abort();
  if (state.own) state.model.close();
  Object.assign(state, {model, modelName: name, own});
  byId("own-model-off").hidden = !own;
  byId("pad-group").hidden = !takesDrawings(model);
  byId("model-text").textContent = modelInWords(model, name);
  const fits =
      model.inputHeight === data.height && model.inputWidth === data.width && takesDrawings(model);
  for (const button of byId("samples").querySelectorAll("button")) button.disabled = !fits;
  pad.clear();
  if (fits) {
    takeSample(state.sample ?? 0);
  } else {
    setInput(null, "");
  }
}

function backToOwnModel() {
  say(null);
  setModel(
      builtIn.find((one) => one.bits === data.bits).model, `lenet5_sigma${data.bits}.mu8`, false);
}

// ---- Prediction -----------------------------------------------------------------------------

async function predict() {
  state.run?.abort();
  const {model, pixels} = state;
  if (pixels === null) {
    state.shown = null;
    for (const id of ["answer", "outputs", "settle-section", "ways-section"])
      byId(id).hidden = true;
    byId("numbers").textContent = "";
    byId("summary").textContent = takesDrawings(model) ?
        "Draw something, or choose a sample." :
        takesPictures(model) ?
        "Choose a picture." :
        "This model takes numbers: give them by mu8.js or by the mu8 command.";
    return;
  }
  const run = new AbortController();
  state.run = run;
  try {
    const options = settings();
    const large = model.fileBytes > LARGE_FILE;
    if (large) byId("summary").textContent = "The networks vote.";
    const start = performance.now();
    const prediction = await model.predictInSteps(
        pixels, {...options, keepLogits: isClassifier(model)},
        {passes: large ? 1 : 65536, signal: run.signal});
    const took = performance.now() - start;
    say(null);
    show(prediction, options, took, large);
  } catch (problem) {
    if (!run.signal.aborted) say(problem);
  }
}

const ENDINGS = {
  all_samples: (p, options) => (options.stop ? "undecided, so all were asked" : ""),
  label: (p, options) =>
      `then the label was decided, with an error of at most ${options.stop.error}`,
};

function show(prediction, options, took, large) {
  const {model} = state;
  const json = predictionJson(prediction, names(model));
  byId("numbers").textContent = JSON.stringify(json, null, 2);
  const classifier = isClassifier(model);
  for (const id of ["answer", "settle-section", "ways-section"]) byId(id).hidden = !classifier;
  byId("outputs").hidden = classifier;
  byId("engine-text").textContent = `mu8 ${engine.version}, kernels ${prediction.kernels}; ` +
      `${prediction.samplesUsed} networks took ${took.toFixed(1)} ms here.`;
  if (!classifier) {
    showOutputs(prediction);
    return;
  }
  const passes = probabilities(prediction);
  state.shown = {prediction, options, passes, prefixes: prefixes(passes), count: passes.length};
  byId("entropy").textContent = `${nats(prediction.predictiveEntropy)} ` +
      `(at most ln ${model.classCount} = ${Math.log(model.classCount).toFixed(4)})`;
  byId("aleatoric").textContent = nats(prediction.expectedEntropy);
  byId("epistemic").textContent = nats(prediction.mutualInformation);
  const ending = ENDINGS[prediction.ended](prediction, options);
  const label = names(model)[prediction.label];
  byId("summary").replaceChildren(
      Object.assign(document.createElement("strong"), {textContent: label}),
      ` with ${percent(prediction.mean[prediction.label])}: ${prediction.why}. ` +
          `${prediction.samplesUsed} networks${ending === "" ? "" : `, ${ending}`}.` +
          (prediction.abstains ? " The file's threshold says: abstain." : "") +
          (prediction.clampedInputs > 0 ?
               ` ${prediction.clampedInputs} numbers of the input lie beyond the range ` +
                   "that the file stores." :
               ""));
  showStops(prediction, options, large);
  showWays(prediction, options, took);
  animate();
}

// A head that is no single softmax, in a sentence or two.
function outputsInWords(prediction, positions) {
  const {model} = state;
  const [total, aleatoric, epistemic] = [
    prediction.predictiveEntropy, prediction.expectedEntropy, prediction.mutualInformation
  ].map(nats);
  const entropies = `predictive entropy ${total}, aleatoric ${aleatoric}, epistemic ${epistemic}`;
  if (positions > 1) {
    const where = `${model.outputHeight} × ${model.outputWidth} positions`;
    return `The model answers at ${where}; here are the means over them: ${entropies}. ` +
        "The maps: by mu8.js, or mu8 predict --maps.";
  }
  const networks = `${prediction.samplesUsed} networks`;
  if (model.head === "reconstruction") {
    return `${networks}. Mean squared error ${prediction.error.toPrecision(4)} an output.`;
  }
  return model.head === "sigmoid" ? `${networks}: ${entropies}, of all labels.` : `${networks}.`;
}

// Its outputs as a table.
function showOutputs(prediction) {
  const {model} = state;
  const positions = model.outputHeight * model.outputWidth;
  state.shown = null;
  byId("summary").textContent = outputsInWords(prediction, positions);
  byId("outputs").textContent = "";
  if (positions > 1 || model.head === "reconstruction") return;
  const count = Math.min(model.classCount, SHOWN_OUTPUTS);
  const noise = prediction.noiseVariance;
  const rows = names(model).slice(0, count).map((name, i) => [
    name, prediction.mean[i].toPrecision(6), Math.sqrt(prediction.variance[i]).toPrecision(3),
    ...(noise ? [Math.sqrt(noise[i]).toPrecision(3)] : [])
  ]);
  byId("outputs").innerHTML = table({
    caption: `${count} of ${model.classCount} outputs; deviation over the networks (epistemic)` +
        (noise ? ", and of the noise of an observation (aleatoric)" : ""),
    header: ["output", "mean", "deviation", ...(noise ? ["noise"] : [])],
    rows,
  });
}

// Where the rule ends this picture's passes, of each error. Of a large model only what was asked
// for.
function showStops(shown, options, large) {
  const {model, pixels} = state;
  const {samples, seed, stop} = options;
  const errors = large ? STOP_ERRORS.filter((error) => error === stop?.error) : STOP_ERRORS;
  const runs = errors.map((error) => {
    const options = {samples, seed, stop: {rule: "label", error}};
    return {error, prediction: error === stop?.error ? shown : model.predict(pixels, options)};
  });
  state.shown.stops =
      runs.filter((one) => one.prediction.ended === "label")
          .map((one) => ({at: one.prediction.samplesUsed, name: `error ${one.error}`}));
  byId("stops").innerHTML = runs.length === 0 ? "" : table({
    caption: `The rule about the label, at most ${samples} networks`,
    header: ["error at most", "networks", "the label"],
    rows: runs.map(
        ({error, prediction}) =>
            [String(error), String(prediction.samplesUsed),
             prediction.ended === "label" ? `decided: ${names(model)[prediction.label]}` :
                                            "undecided"]),
  });
}

function rowOf(name, bytes, label, mean, total, aleatoric, epistemic) {
  return [
    name, bytes === null ? null : bytes.toLocaleString("en"), label, percent(mean),
    total.toFixed(4), aleatoric.toFixed(4), epistemic.toFixed(4)
  ];
}

// Moments and other widths of sigma, and what was recorded of FP32.
function showWays(prediction, {samples, seed, stop}, took) {
  const {model, pixels, own, sample} = state;
  const row = (name, bytes, of, p) => [...rowOf(
      name, bytes, names(of)[p.label], p.mean[p.label], p.predictiveEntropy, p.expectedEntropy,
      p.mutualInformation)];
  const header = ["", "file bytes", "label", "probability", "entropy", "aleatoric", "epistemic"];
  const rows = [];
  const notes = [];
  let here = 0;
  if (model.hasMoments) {
    const start = performance.now();
    const moments = model.predict(pixels, {method: "moments"});
    const spent = (performance.now() - start).toFixed(1);
    notes.push(
        `One pass of moments took ${spent} ms, the networks above ${took.toFixed(1)} ms; it ` +
        "draws nothing, so seed and T mean nothing to it, and it approximates what infinitely many " +
        "networks would say.");
    rows.push(row("moments, one pass", model.fileBytes, model, moments));
  }
  if (own) {
    rows.unshift(row(
        `${state.modelName}, T = ${prediction.samplesUsed}`, model.fileBytes, model, prediction));
    notes.push("The other widths of sigma and FP32 are of the page's own model.");
  } else {
    const study = (format) =>
        data.study.rows[format].map((value) => (value === null ? "–" : value));
    header.push(...data.study.header);
    for (const one of rows) one.push(...data.study.header.map(() => null));
    const fp32 = sample === null ? null : data.samples[sample].fp32;
    const widths = builtIn.map(
        ({bits, model: other}) =>
            [...row(
                 `sigma of ${bits} bits, T = ${samples}`, other.fileBytes, other,
                 bits === data.bits && !stop ? prediction : other.predict(pixels, {samples, seed})),
             ...study(`sigma${bits}`)]);
    rows.unshift(...widths);
    here = builtIn.findIndex((one) => one.bits === data.bits);
    if (fp32 !== null) {
      const label = winner(fp32.mean);
      rows.unshift([
        ...rowOf(
            `FP32, recorded, T = ${data.fp32.samples}`, null, names(model)[label], fp32.mean[label],
            ...fp32.entropies),
        ...study("fp32")
      ]);
    } else {
      rows.unshift(
          ["FP32, not recorded of this picture", ...Array(6).fill(null), ...study("fp32")]);
    }
    ++here;
    notes.push(
        `FP32's rows were recorded when the page was built (${data.fp32.command}, ` +
        `seed ${data.fp32.seed}), of the samples alone; its networks are others than those of a ` +
        `file. ${data.study.note}`);
  }
  byId("ways").innerHTML = table({caption: "Entropies in nats", header, rows, here});
  byId("ways-text").textContent = notes.join(" ");
}

// ---- Drawing --------------------------------------------------------------------------------

const widthOf = (id) => Math.max(260, Math.floor(byId(id).clientWidth));

// All figures, with the first `count` votes.
function draw(count) {
  const {prediction, options, passes, prefixes: all, stops} = state.shown;
  const {model} = state;
  const labels = names(model);
  state.shown.count = count;
  const most = Math.log(model.classCount);
  const now = all[count - 1];
  const whole = count === passes.length;
  byId("bar").innerHTML = uncertaintyBar({
    aleatoric: whole ? prediction.expectedEntropy : now.aleatoric,
    epistemic: whole ? prediction.mutualInformation : now.epistemic,
    most,
    width: widthOf("answer"),
  });
  const order = labels.map((_, c) => c);
  if (order.length > SHOWN_CLASSES) {
    order.sort((a, b) => prediction.mean[b] - prediction.mean[a]).length = SHOWN_CLASSES;
  }
  const deviation = Array.from(prediction.variance, (one) => Math.sqrt(Math.max(0, one)));
  byId("classes").innerHTML = classChart({
    names: labels,
    order,
    passes,
    n: count,
    mean: whole ? prediction.mean : now.mean,
    deviation: whole ? deviation : now.deviation,
    width: widthOf("answer"),
  });
  byId("votes").innerHTML =
      Array
          .from(
              {length: options.samples},
              (_, pass) => {
                if (pass >= count) return '<span class="none"></span>';
                const vote = winner(passes[pass]);
                return `<span${vote === prediction.label ? "" : ' class="other"'}></span>`;
              })
          .join("");
  byId("votes").querySelectorAll("span:not(.none)").forEach((cell, pass) => {
    cell.textContent = labels[winner(passes[pass])].slice(0, 2);
  });
  const votes = new Map();
  for (const p of passes.slice(0, count)) votes.set(winner(p), (votes.get(winner(p)) ?? 0) + 1);
  byId("votes-text").textContent = `Of ${count} networks ` +
      [...votes]
          .sort((a, b) => b[1] - a[1])
          .map(([c, n]) => `${n} vote for ${labels[c]}`)
          .join(", ") +
      "." +
      (passes.length < options.samples && whole ?
           ` ${options.samples - passes.length} were not needed.` :
           "");
  const series =
      ["total", "aleatoric", "epistemic"].map((key) => ({
                                                key,
                                                values: all.slice(0, count).map((one) => one[key]),
                                              }));
  const looks = {
    total: ["predictive", "--fp32", ""],
    aleatoric: ["aleatoric", "--aleatoric", "7 3"],
    epistemic: ["epistemic", "--epistemic", "2 3"],
  };
  const top = Math.max(0.01, ...all.map((one) => one.total)) * 1.05;
  byId("settle").innerHTML = settleChart({
    series: series.map(({key, values}) => {
      const [name, colour, dash] = looks[key];
      return {name, colour, dash, values};
    }),
    total: options.samples,
    most: top,
    stops: stops ?? [],
    width: widthOf("settle"),
  });
}

// The votes come in one after the other, in about a second; at once for who wants no motion.
function animate() {
  const shown = state.shown;
  const total = shown.passes.length;
  if (still.matches || total === 1) {
    draw(total);
    return;
  }
  const start = performance.now();
  const frame = (now) => {
    if (state.shown !== shown) return;
    const count = Math.min(total, 1 + Math.floor(Math.max(0, now - start) / 900 * total));
    draw(count);
    if (count < total) requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}

// ---- Start ----------------------------------------------------------------------------------

function listSamples() {
  data.samples.forEach((sample, index) => {
    const picture = document.createElement("canvas");
    showPixels(
        picture, fromBase64(sample.pixels),
        {inputHeight: data.height, inputWidth: data.width, inputChannels: 1});
    const button = Object.assign(document.createElement("button"), {type: "button"});
    button.dataset.sample = index;
    button.append(picture, sample.name);
    button.addEventListener("click", () => takeSample(index));
    const item = document.createElement("li");
    item.append(button);
    byId("samples").append(item);
  });
}

function listen() {
  byId("clear").addEventListener("click", () => {
    pad.clear();
    setInput(null, "");
  });
  byId("centre").addEventListener("change", () => pad.strokes.length > 0 && takeDrawing());
  byId("invert").addEventListener("change", () => takePicture(state.picture));
  byId("options").addEventListener("submit", (event) => event.preventDefault());
  for (const id of ["samples-count", "seed", "stop"]) byId(id).addEventListener("change", predict);
  byId("next-seed").addEventListener("click", () => {
    byId("seed").value = String((Number(byId("seed").value) + 1) % Number.MAX_SAFE_INTEGER);
    predict();
  });
  byId("own-model-off").addEventListener("click", backToOwnModel);
  for (const id of ["image-file", "model-file"]) {
    byId(id).addEventListener("change", () => {
      const [file] = byId(id).files;
      byId(id).value = "";  // the same file again is a change again
      if (file) takeFile(file);
    });
  }
  addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dragging");
  });
  addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) document.body.classList.remove("dragging");
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dragging");
    for (const file of event.dataTransfer.files) takeFile(file);
  });
  new ResizeObserver(() => {
    if (state.shown !== null) draw(state.shown.count);
  }).observe(byId("result"));
}

const pad = new Pad(byId("pad"), takeDrawing);
try {
  engine = await load(fromBase64(byId("wasm").textContent.trim()));
  builtIn = data.models.map(({bits, bytes}) => ({bits, model: engine.open(fromBase64(bytes))}));
  listSamples();
  listen();
  backToOwnModel();
  document.documentElement.dataset.ready = "yes";
} catch (problem) {
  byId("summary").textContent = "The engine could not be loaded.";
  say(problem);
}
