// Compiles, or mu8.d.ts says something else than README.md of tools/web. Each line marked
// expect-error would otherwise compile, and tsc complains where it does.
import {load, Mu8Error, predictionJson} from "./mu8/mu8.js";
import type {Model, Options, Prediction} from "./mu8/mu8.js";

export async function use(bytes: ArrayBuffer, pixels: Uint8Array): Promise<string> {
  const mu8 = await load(new URL("https://example.org/mu8.wasm"));
  const model: Model = mu8.open(bytes);
  const options: Options = {samples: 50, seed: 2n ** 63n, stop: {rule: "label", error: 0.01}};
  const prediction: Prediction = model.predict(pixels, options);
  const label: number|null = prediction.label;
  const controller = new AbortController();
  await model.predictInSteps(new Float32Array(model.inputSize), {method: "moments"}, {
    passes: 5,
    onPasses: (done: number) => done > 10 && controller.abort(),
    signal: controller.signal
  });
  const name: string|null = label === null ? null : model.labels[label] ?? null;
  model.close();
  // @ts-expect-error: there is no such option
  model.predict(pixels, {sample: 50});
  // @ts-expect-error: the rule needs its error
  model.predict(pixels, {stop: {rule: "label"}});
  // @ts-expect-error: neither pixels nor numbers
  model.predict([1, 2, 3]);
  // @ts-expect-error: cannot be written
  model.inputSize = 3;
  try {
    mu8.open(bytes);
  } catch (problem) {
    if (problem instanceof Mu8Error) return `${problem.status}: ${problem.message}`;
  }
  return `${name} ${JSON.stringify(predictionJson(prediction, ["0", "1"]))} ${mu8.version} ${
      mu8.memoryBytes}`;
}
