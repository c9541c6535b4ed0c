// A model as the metadata and tensors of a GGUF file: the inverse of ggufModel.ts.
// Reference: ggml-org/llama.cpp v0.5.0 (de3ff815), conversion/llama.py, qwen.py and base.py.
import { UserError } from "../errors.ts";
import { blockFormats } from "../formats/ggufBlocks.ts";
import { type GgufDtype, ggufOverflows, ggufTypeId } from "../formats/ggufQuantize.ts";
import type { GgufTensorToWrite, GgufWritten } from "../formats/ggufWriter.ts";
import type { TensorToWrite } from "../formats/safetensors.ts";
import type { ModelConfig } from "../model/config.ts";
import { families } from "../model/families.ts";
import { modelWeights } from "../model/modelWeights.ts";
import { ropeInverseFrequencies } from "../model/ropeFrequencies.ts";
import type { Llama3RopeScaling } from "../model/ropeSettings.ts";
import { isInterleaved, ropeDivisors } from "./ggufModel.ts";

/** llama.cpp's numbers for what most of a file's weights are (`llama_ftype`). */
const fileTypes: Readonly<Record<GgufDtype, number>> = { F32: 0, F16: 1, Q8_0: 7, BF16: 32 };

/** The keys "general." and those of the architecture. */
export function modelToGguf(config: ModelConfig, dtype: GgufDtype): Map<string, GgufWritten> {
  const { ropeScaling } = config;
  const { architecture } = families[config.modelType].gguf;
  const own = (key: string) => `${architecture}.${key}`;
  return new Map<string, GgufWritten>([
    ["general.architecture", architecture],
    ["general.type", "model"],
    ["general.file_type", fileTypes[dtype]],
    ["general.quantization_version", 2],
    [own("vocab_size"), config.vocabSize],
    [own("block_count"), config.layers],
    [own("context_length"), config.maxPositions],
    [own("embedding_length"), config.dim],
    [own("feed_forward_length"), config.ffnDim],
    [own("attention.head_count"), config.heads],
    [own("attention.head_count_kv"), config.kvHeads],
    [own("attention.key_length"), config.headDim],
    [own("attention.value_length"), config.headDim],
    [own("attention.layer_norm_rms_epsilon"), { float32: config.normEpsilon }],
    [own("rope.dimension_count"), config.headDim],
    [own("rope.freq_base"), { float32: config.ropeTheta }],
    ...(ropeScaling?.type === "linear"
      ? ([
          [own("rope.scaling.type"), "linear"],
          [own("rope.scaling.factor"), { float32: ropeScaling.factor }],
        ] as const)
      : []),
  ]);
}

/**
 * The tensors in llama.cpp's names and order of rows; each is read when its `data` are asked for.
 *
 * @param weights by Hugging Face's names
 * @param dtype of the matrices
 * @param where the model, for messages
 * @throws UserError where rows are not made of whole blocks of the type; asking for `data` throws it where the type cannot hold them
 */
export function tensorsToGguf(
  config: ModelConfig,
  weights: ReadonlyMap<string, TensorToWrite>,
  dtype: GgufDtype,
  where: string,
): Map<string, GgufTensorToWrite> {
  const tensors = new Map<string, GgufTensorToWrite>();
  if (config.ropeScaling?.type === "llama3" && families[config.modelType].gguf.hasRopeDivisors) {
    const data = llama3Divisors(config, config.ropeScaling);
    tensors.set(ropeDivisors, { dtype: "F32", shape: [data.length], data });
  }
  const names = new Map(modelWeights(config).map(({ name, gguf }) => [name, gguf]));
  for (const [name, weight] of weights) {
    const { shape } = weight;
    const own = ggufDtypeOf(shape, dtype);
    checkRows(shape, own, `${where}: ${name}`);
    tensors.set(names.get(name)!, {
      dtype: own,
      shape,
      get data() {
        const values = weight.data as Float32Array;
        checkRange(values, own, `${where}: ${name}`);
        return isInterleaved(config, name)
          ? intoNeighbours(values, config.headDim, shape[1]!)
          : values;
      },
    });
  }
  return tensors;
}

/** Norms and biases stay float32 whatever the type of the matrices. */
export function ggufDtypeOf(shape: readonly number[], dtype: GgufDtype): GgufDtype {
  return shape.length === 1 ? "F32" : dtype;
}

function checkRows(shape: readonly number[], dtype: GgufDtype, where: string): void {
  const { values } = blockFormats.get(ggufTypeId(dtype))!;
  const innermost = shape.at(-1)!;
  if (innermost % values === 0) return;
  throw new UserError(
    `${where} [${shape}] has rows of ${innermost} values, expected a multiple of ${values} for ${dtype}; ` +
      "export with the option dtype f16, bf16 or f32",
  );
}

function checkRange(values: Float32Array, dtype: GgufDtype, where: string): void {
  const limit = ggufOverflows[dtype];
  let largest = 0;
  for (let i = 0; i < values.length; i++) largest = Math.max(largest, Math.abs(values[i]!));
  if (largest < limit) return;
  const value = values.find((v) => Math.abs(v) >= limit);
  throw new UserError(
    `${where} holds ${value}, which ${dtype} cannot hold; export with the option dtype bf16 or f32`,
  );
}

/**
 * By what the frequency of each pair is divided, computed as llama.cpp's converter does.
 *
 * @returns headDim / 2 values
 */
function llama3Divisors(config: ModelConfig, scaling: Llama3RopeScaling): Float32Array {
  const { factor, lowFreqFactor, highFreqFactor, originalMaxPositions } = scaling;
  const plain = ropeInverseFrequencies({ ...config, ropeScaling: null });
  return plain.map((frequency) => {
    const turns = (originalMaxPositions * frequency) / (2 * Math.PI);
    if (turns > highFreqFactor) return 1;
    if (turns < lowFreqFactor) return factor;
    const kept = (turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
    return 1 / ((1 - kept) / factor + kept);
  });
}

/** Reorders the rows of queries or keys: i and i + headDim / 2 of a head become its neighbours 2i and 2i + 1. */
function intoNeighbours(rows: Float32Array, headDim: number, dim: number): Float32Array {
  const result = new Float32Array(rows.length);
  for (let row = 0; row < rows.length / dim; row++) {
    const inHead = row % headDim;
    const half = headDim / 2;
    const place = row - inHead + 2 * (inHead % half) + Math.floor(inHead / half);
    result.set(rows.subarray(row * dim, (row + 1) * dim), place * dim);
  }
  return result;
}
