/** What a network's outputs are: `docs/HEADS.md` of mu8. */
export type Head = "softmax"|"sigmoid"|"values"|"gaussian"|"reconstruction";
export type InputKind = "pixels"|"numbers";
export const HEADS: readonly Head[];
export const INPUT_KINDS: readonly InputKind[];

/** What the engine refused, with its own text. */
export class Mu8Error extends Error {
  /** A number of `mu8/status.h`; -1: the module's memory cannot grow any further. */
  readonly status: number;
}

/**
 * When an image has had enough passes. `error` (1e-6 to 0.5) bounds the probability, over the
 * seeds, that it ends early with a decision that infinitely many passes would not confirm:
 * `engine/STOPPING.md`.
 */
export type Stop =
    /** Softmax: the most probable class is decided. */
    |{
  rule: "label";
  error: number
}
/** Whether one output's probability, or value, is above the threshold. */
|{
  rule: "threshold";
  error: number;
  output: number;
  threshold: number
}
/** Values: one output's mean is known up to `within`, in its unit. */
|{
  rule: "within";
  error: number;
  output: number;
  within: number
}
/** Softmax, sigmoid: whether each of these outputs (all unless given) is above the threshold. */
|{
  rule: "thresholds";
  error: number;
  threshold: number;
  outputs?: Iterable<number>
};

export interface Options {
  /** T, drawn networks: 1 to 65536. 50 unless given. */
  samples?: number;
  /** Names the networks: below 2^53, or a BigInt below 2^64. 1 unless given. */
  seed?: number|bigint;
  /**
   * "moments": one pass with means and variances; "auto": that first, then sampling where it
   * leaves doubt.
   */
  method?: "sampling"|"moments"|"auto";
  noise?: "independent"|"antithetic";
  /** Keep each pass's logits. */
  keepLogits?: boolean;
  stop?: Stop;
  /** Of method "auto": `mu8/options.h`. Entropies in nats. */
  doubt?: {margin?: number; entropyFrom?: number; entropyTo?: number};
}

/** All arrays are copies and hold for ever. Entropies are in nats. */
export interface Prediction {
  head: Head;
  /** The most probable class, the lowest among equals; null where the head has none. */
  label: number|null;
  /** Passes made; 0 of a prediction by moments. */
  samplesUsed: number;
  ended: "all_samples"|"label"|"above"|"below"|"deadline"|"within"|"decided"|"moments";
  /** H(mean of p), the sum of the next two; of a sigmoid summed over the labels, else 0. */
  predictiveEntropy: number;
  /** Mean of H(p) over the passes: aleatoric. */
  expectedEntropy: number;
  /** Epistemic; grows with the passes: compare at equal samplesUsed. */
  mutualInformation: number;
  /** [outputHeight][outputWidth][classCount]: mean probabilities, or values. */
  mean: Float32Array;
  /** The same shape: variance over the passes. */
  variance: Float32Array;
  /** Sigmoid: of each label; softmax at several positions: of each; else null. */
  outputEntropy: Float32Array|null;
  outputExpectedEntropy: Float32Array|null;
  /**
   * [samplesUsed] rows, logitsStride floats apart; of moments one, their mean. Null unless kept.
   */
  logits: Float32Array|null;
  logitsStride: number;
  /** Variance of an observation's noise, where it is known. */
  noiseVariance: Float32Array|null;
  /** Reconstruction: what each output ought to have been. */
  target: Float32Array|null;
  /** Of the rule "thresholds". */
  decisions: ("not_chosen"|"undecided"|"above"|"below")[]|null;
  /** Numbers of the input beyond the range that the file stores. */
  clampedInputs: number;
  clampedScales: number;
  clippedPasses: number;
  /** Reconstruction: mean squared error, and its variance over the passes. */
  error: number;
  errorVariance: number;
  /** The file's measure of uncertainty is above its threshold. */
  abstains: boolean;
  /** Softmax that answers once: the word and the sentence of `mu8 predict`. */
  verdict: "confident"|"epistemic"|"aleatoric"|"mixed"|"unexplained"|null;
  why: string|null;
  /** Which kernels ran. */
  kernels: string;
  /** The object `replay` of `mu8 predict --json`: `mu8 replay` computes the prediction again. */
  replay: Record<string, number|bigint|string|number[]>;
}

/**
 * The prediction as `mu8 predict --json` has it, shortest decimals of each float; what its head has
 * none of is left out. `names` are those of the outputs.
 */
export function predictionJson(
    prediction: Prediction, names: readonly string[]): Record<string, unknown>;

export interface Steps {
  /** Passes between two returns to the event loop: 1 unless given. */
  passes?: number;
  /** Told how many passes are done. */
  onPasses?: (done: number) => void;
  /** Ends the prediction; the promise is rejected with its reason. */
  signal?: AbortSignal;
}

export interface Model {
  readonly inputHeight: number;
  readonly inputWidth: number;
  readonly inputChannels: number;
  /** Elements of one input, their product. */
  readonly inputSize: number;
  readonly classCount: number;
  readonly outputHeight: number;
  readonly outputWidth: number;
  readonly head: Head;
  readonly inputKind: InputKind;
  /** Whether method "moments" can be asked for. */
  readonly hasMoments: boolean;
  readonly abstainMeasure: "none"|"predictive_entropy"|"mutual_information"|"variance"|
      "total_variance"|"error";
  /** 16 hexadecimal digits that name the file. */
  readonly hash: string;
  readonly fileBytes: number;
  /** Empty where the file has none. */
  readonly name: string;
  /** Names of the outputs; null where the file has none. */
  readonly labels: readonly(string|null)[];
  metadata(key: string): string|null;
  /** Bytes of memory that a prediction takes; 0 where an option is out of range. */
  arenaBytes(options?: Options): number;
  /**
   * One prediction. `input` is one image, height by width by channels: a Uint8Array of raw pixels,
   * or a Float32Array in the network's own units. Throws Mu8Error.
   */
  predict(input: Uint8Array|Uint8ClampedArray|Float32Array, options?: Options): Prediction;
  /** The same, the same bytes, returning to the event loop between passes. */
  predictInSteps(
      input: Uint8Array|Uint8ClampedArray|Float32Array, options?: Options,
      steps?: Steps): Promise<Prediction>;
  /**
   * Gives the module's memory back. Predictions that are being made are rejected. May be called
   * again.
   */
  close(): void;
}

export interface Mu8 {
  /** The library's. */
  readonly version: string;
  /** Bytes of the module's memory; it never shrinks, and what is closed is used again. */
  readonly memoryBytes: number;
  /** Validates a .mu8 file and copies it into the module. Throws Mu8Error. */
  open(bytes: ArrayBuffer|ArrayBufferView): Model;
}

/** Compiles mu8.wasm: its bytes, its URL, or a WebAssembly.Module of it. */
export function load(source: ArrayBuffer|ArrayBufferView|string|URL|
                     WebAssembly.Module): Promise<Mu8>;
