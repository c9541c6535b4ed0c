// What a model takes in memory, in bytes, by its shape and the sizes of what goes through it alone: nothing is loaded or computed.
// What a pass keeps follows from the ops: those of engine/ops.ts say what each of them saves for its backward pass.
import type { KvCacheDtype } from "../config.ts";
import { type AdapterSettings, type AdapterTarget, adapterShapes } from "./adapter.ts";
import type { ModelConfig } from "./config.ts";
import { parameterShapes } from "./model.ts";

const float = 4; // bytes

const sizeOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
const sum = (numbers: Iterable<number>) => [...numbers].reduce((a, b) => a + b, 0);

/** The weights of a model; vectors are held as float32 whatever matrices are. */
export function weightBytes(config: ModelConfig, heldAs: "float32" | "bf16"): number {
  const ofMatrix = heldAs === "bf16" ? 2 : float;
  const shapes = [...parameterShapes(config).values()];
  return sum(shapes.map((shape) => sizeOf(shape) * (shape.length === 2 ? ofMatrix : float)));
}

/** Number of an adapter's weights. */
export function adapterCount(config: ModelConfig, adapter: AdapterSettings): number {
  return sum([...adapterShapes(parameterShapes(config), adapter).values()].map(sizeOf));
}

/** How many variables are trained. */
export function trainedVariables(
  config: ModelConfig,
  adapter: AdapterSettings | undefined,
): number {
  const all = parameterShapes(config);
  return (adapter ? adapterShapes(all, adapter) : all).size;
}

/** The largest weight that goes through JavaScript when it is read or saved: those of bf16 do not. */
export function largestCopy(
  config: ModelConfig,
  heldAs: "float32" | "bf16",
  adapter: AdapterSettings | undefined,
): number {
  const all = parameterShapes(config);
  const own = adapter ? [...adapterShapes(all, adapter).values()] : [];
  const read = heldAs === "float32" ? [...all.values()] : [];
  return float * Math.max(0, ...[...own, ...read].map(sizeOf));
}

/** Responses in the making. */
export interface GeneratorSize {
  readonly slots: number;
  /** Places of each slot. */
  readonly capacity: number;
  /** float32 unless given. */
  readonly kvCacheDtype?: KvCacheDtype | undefined;
}

/** Keys and values of all layers. */
export function cacheBytes(
  { layers, kvHeads, headDim }: ModelConfig,
  { slots, capacity, kvCacheDtype }: GeneratorSize,
): number {
  const ofNumber = kvCacheDtype === "bf16" ? 2 : float;
  return 2 * ofNumber * layers * slots * capacity * kvHeads * headDim;
}

/** What LlamaDecode works in, on a CPU: activations and logits of all slots. */
export function decodeBytes(config: ModelConfig, slots: number, rank = 0): number {
  const { dim, heads, headDim, ffnDim, vocabSize } = config;
  const lanes = Math.ceil(slots / 32) * 32;
  return float * lanes * (2 * dim + 2 * heads * headDim + ffnDim + vocabSize + 3 * rank);
}

/** A packed batch, by its sizes. */
export interface BatchSize {
  readonly rows: number;
  readonly rowLength: number;
  /** Places that are predicted, padding included. */
  readonly predictions: number;
}

/** How a pass with a backward pass is computed. */
export interface Pass {
  readonly heldAs: "float32" | "bf16";
  /** Undefined: all weights are trained. */
  readonly adapter: AdapterSettings | undefined;
  readonly recompute: boolean;
  /** Columns of what is predicted: the vocabulary, or the labels of a classifier. */
  readonly classes: number;
  /** Matrices as large as the logits that the loss needs at once. */
  readonly logitsCopies: number;
  readonly isOnGpu: boolean;
}

/** What a pass needs at its fullest, beside what is there all the time. */
export interface PassBytes {
  /** What layers keep for their backward pass, and what the layer at hand works with. */
  readonly activations: number;
  readonly logits: number;
  /** Gradients on their way to where they are added up. */
  readonly gradients: number;
}

/** Floats of one layer that its backward pass waits for. @param after tokens that go on after attention */
function keptFloats(config: ModelConfig, pass: Pass, tokens: number, after: number): number {
  const { dim, heads, kvHeads, headDim, ffnDim, qkNorm } = config;
  const { adapter, isOnGpu } = pass;
  const [queries, keys] = [heads * headDim, kvHeads * headDim];
  const isTrained = (...targets: AdapterTarget[]) =>
    Number(adapter === undefined || targets.some((target) => adapter.targets.includes(target)));
  // An adapter keeps what its two matrices are multiplied with; frozen matrices keep nothing.
  const lowered = (...targets: AdapterTarget[]) =>
    adapter
      ? adapter.rank * targets.filter((target) => adapter.targets.includes(target)).length
      : 0;
  const attention =
    dim + // what the norm reads
    dim * isTrained("q_proj", "k_proj", "v_proj") +
    2 * queries + // and what is mixed
    2 * keys +
    (qkNorm ? queries + keys : 0) +
    heads +
    lowered("q_proj", "k_proj", "v_proj");
  const afterwards =
    dim +
    dim * isTrained("gate_proj", "up_proj") +
    2 * ffnDim +
    ffnDim * isTrained("down_proj") +
    (isOnGpu ? ffnDim : 0) + // the sigmoid
    lowered("o_proj", "gate_proj", "up_proj", "down_proj");
  return tokens * attention + after * afterwards;
}

/** Floats of the score matrices of a layer, which a GPU keeps. */
function scoreFloats({ heads }: ModelConfig, { rows, rowLength }: BatchSize): number {
  return rows * heads * rowLength ** 2;
}

/**
 * The most floats of copies of matrices that products make at once: those of a layer that begin together, or the output matrix. A product
 * has its matrix in an order of its own (oneDNN), made from a widened copy where it is held as bf16.
 */
function copiedFloats({ dim, ffnDim, vocabSize }: ModelConfig, { heldAs, classes }: Pass) {
  const copies = heldAs === "bf16" ? 2 : 1;
  return {
    ofLayer: copies * 2 * ffnDim * dim,
    ofOutput: classes === vocabSize ? copies * vocabSize * dim : 0,
  };
}

/** A forward and backward pass over a batch. */
export function trainingBytes(config: ModelConfig, pass: Pass, batch: BatchSize): PassBytes {
  const { dim, ffnDim, layers, vocabSize, heads, kvHeads, headDim } = config;
  const { recompute, classes, logitsCopies, isOnGpu } = pass;
  const tokens = batch.rows * batch.rowLength;
  const { predictions } = batch;
  const scores = isOnGpu ? scoreFloats(config, batch) : 0;
  const last = keptFloats(config, pass, tokens, predictions) + scores;
  const other = keptFloats(config, pass, tokens, tokens) + scores;
  const trainsAll = pass.adapter === undefined;
  const hasOutput = classes === vocabSize;
  const embedding = vocabSize * dim;
  const logits = predictions * classes;
  const copied = copiedFloats(config, pass);
  const outputGradient = trainsAll && hasOutput ? embedding : 0;
  /** What a layer's backward pass works with: gradients of the gated, the gate, the up projection and of the states; an adapter's products. */
  const working = (count: number) => count * ((trainsAll ? 3 : 5) * ffnDim + 2 * dim) + 3 * scores;
  const layerGradients = trainsAll
    ? (3 * ffnDim + 2 * heads * headDim + 2 * kvHeads * headDim) * dim
    : 0;
  const kept = recompute ? layers * tokens * dim : last + (layers - 1) * other;
  const stages = [
    // the loss
    { activations: kept + copied.ofOutput, logits: logitsCopies * logits, gradients: 0 },
    { activations: kept + copied.ofOutput, logits, gradients: outputGradient },
    // the first layers of the backward pass, while the output's gradient is still to be added
    {
      activations:
        copied.ofLayer +
        (recompute
          ? kept + other + working(tokens)
          : kept - (layers > 1 ? last : 0) + working(layers > 1 ? tokens : predictions)),
      logits: 0,
      gradients: layerGradients + outputGradient,
    },
    // its end: the embedding's own gradient
    { activations: tokens * dim, logits: 0, gradients: trainsAll ? embedding + outputGradient : 0 },
  ];
  return inBytes(fullest(stages));
}

/** A forward pass over a batch, whose logits are read at once. */
export function scoringBytes(config: ModelConfig, pass: Pass, batch: BatchSize): PassBytes {
  const { dim, ffnDim, heads, headDim, kvHeads } = config;
  const tokens = batch.rows * batch.rowLength;
  const scores = pass.isOnGpu ? 3 * scoreFloats(config, batch) : 0;
  const copied = copiedFloats(config, pass);
  const layer = Math.max(
    3 * dim + 2 * ffnDim,
    2 * dim + 2 * heads * headDim + 2 * kvHeads * headDim,
  );
  return inBytes({
    activations: tokens * layer + scores + Math.max(copied.ofLayer, copied.ofOutput),
    logits: batch.predictions * pass.classes,
    gradients: 0,
  });
}

/** All of it together. */
export function totalOf({ activations, logits, gradients }: PassBytes): number {
  return activations + logits + gradients;
}

/** The one that takes the most. */
export function fullest(stages: readonly PassBytes[]): PassBytes {
  return stages.reduce((a, b) => (totalOf(b) > totalOf(a) ? b : a));
}

function inBytes({ activations, logits, gradients }: PassBytes): PassBytes {
  return {
    activations: float * activations,
    logits: float * logits,
    gradients: float * gradients,
  };
}
