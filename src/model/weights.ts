// The one seam through which a step uses a model's weights: the forward pass says what it multiplies with what, and nothing of how
// the weights are held.
import { gatherRows, linear } from "../engine/ops.ts";
import type { Tensor } from "../engine/tf.ts";
import type { Variable } from "../engine/variable.ts";
import { EMBEDDING } from "./model.ts";

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

/** Reads all variables, once per step. */
export function readWeights(variables: ReadonlyMap<string, Variable>): Weights {
  return weightsOf(new Map([...variables].map(([name, variable]) => [name, variable.read()])));
}

function weightsOf(tensors: ReadonlyMap<string, Tensor>): Weights {
  const at = (name: string): Tensor => {
    const tensor = tensors.get(name);
    if (!tensor) throw new Error(`the model has no weight ${name}`);
    return tensor;
  };
  return {
    tensors,
    embed: (tokens) => gatherRows(at(EMBEDDING), tokens),
    project: (x, matrix) => linear(x, at(matrix)),
    vector: at,
  };
}
