// The one seam through which a step uses a model's weights: the forward pass says what it multiplies with what, and nothing of how
// the weights are held.
import { frozenLinear, gatherRows, linear } from "../engine/ops.ts";
import { BFLOAT16, type Tensor, tf } from "../engine/tf.ts";
import type { Variable } from "../engine/variable.ts";
import { adapterNames } from "./adapter.ts";
import { EMBEDDING, type Model } from "./model.ts";

/** A model's weights in a step, by Hugging Face's names. */
export interface Weights {
  /** Those that the step can differentiate. */
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** Rows of the embedding: int32 [tokens] gives [tokens, dim]. */
  embed(tokens: Tensor): Tensor;
  /** x · matrixᵀ: [rows, in] gives [rows, out]. */
  project(x: Tensor, matrix: string): Tensor;
  /** A norm's weights, or a bias: [size]. */
  vector(name: string): Tensor;
}

/**
 * Reads all variables of float32, once per step. Those of bf16 are read where they are used.
 *
 * @param heads what stands on the model: a value head, a classifier's head
 */
export function readWeights(
  { parameters, adapter }: Pick<Model, "parameters" | "adapter">,
  heads: ReadonlyMap<string, Variable> = new Map(),
): Weights {
  const tensors = new Map<string, Tensor>();
  const frozen = new Map<string, Variable>();
  for (const [name, variable] of [...parameters, ...(adapter?.variables ?? []), ...heads]) {
    if (variable.type === BFLOAT16) frozen.set(name, variable);
    else tensors.set(name, variable.read());
  }
  const vector = (name: string): Tensor => {
    const tensor = tensors.get(name);
    if (!tensor) throw new Error(`the model has no weight ${name}`);
    return tensor;
  };
  return {
    tensors,
    embed: (tokens) =>
      frozen.get(EMBEDDING)?.readRows(tokens) ?? gatherRows(vector(EMBEDDING), tokens),
    project: (x, matrix) => {
      const variable = frozen.get(matrix);
      const product = variable ? frozenLinear(x, variable) : linear(x, vector(matrix));
      const { a, b } = adapterNames(matrix);
      if (!adapter?.variables.has(a)) return product;
      const scale = adapter.settings.alpha / adapter.settings.rank;
      const raised = linear(linear(x, vector(a)), vector(b));
      return tf.add(product, tf.mul(raised, tf.scalar(scale)));
    },
    vector,
  };
}
