// The one seam through which a step uses a model's weights: the forward pass says what it multiplies with what, and nothing of how
// the weights are held.
import { frozenLinear, gatherRows, linear } from "../engine/ops.ts";
import { recomputed } from "../engine/recompute.ts";
import { BFLOAT16, type Tensor, tf } from "../engine/tf.ts";
import type { Variable } from "../engine/variable.ts";
import { type Adapter, adapterNames, adapterScale } from "./adapter.ts";
import type { Model } from "./model.ts";
import { EMBEDDING } from "./modelWeights.ts";

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
  /**
   * What a layer makes of x. With recomputation the backward pass computes it again.
   *
   * @param compute is told whether it is again: then what was made before, outside of it, is gone
   */
  layer(
    index: number,
    x: Tensor,
    compute: (x: Tensor, weights: Weights, isAgain: boolean) => Tensor,
  ): Tensor;
}

export interface ReadOptions {
  /** What stands on the model: a value head, a classifier's head. */
  readonly heads?: ReadonlyMap<string, Variable> | undefined;
  /** Whether the backward pass computes layers again instead of keeping all that they are made of. */
  readonly recompute?: boolean | undefined;
}

/** Reads all variables of float32, once per step. Those of bf16 are read where they are used. */
export function readWeights(
  { parameters, adapter }: Pick<Model, "parameters" | "adapter">,
  { heads = new Map(), recompute = false }: ReadOptions = {},
): Weights {
  const tensors = new Map<string, Tensor>();
  const frozen = new Map<string, Variable>();
  for (const [name, variable] of [...parameters, ...(adapter?.variables ?? []), ...heads]) {
    if (variable.type === BFLOAT16) frozen.set(name, variable);
    else tensors.set(name, variable.read());
  }
  return weightsOf({ tensors, frozen, adapter, recompute });
}

interface Held {
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** Of bf16. */
  readonly frozen: ReadonlyMap<string, Variable>;
  readonly adapter: Adapter | undefined;
  readonly recompute: boolean;
}

function weightsOf(held: Held): Weights {
  const { tensors, frozen, adapter, recompute } = held;
  const vector = (name: string): Tensor => {
    const tensor = tensors.get(name);
    if (!tensor) throw new Error(`the model has no weight ${name}`);
    return tensor;
  };
  const weights: Weights = {
    tensors,
    embed: (tokens) =>
      frozen.get(EMBEDDING)?.readRows(tokens) ?? gatherRows(vector(EMBEDDING), tokens),
    project: (x, matrix) => {
      const variable = frozen.get(matrix);
      const product = variable ? frozenLinear(x, variable) : linear(x, vector(matrix));
      const { a, b } = adapterNames(matrix);
      if (!adapter?.variables.has(a)) return product;
      const raised = linear(linear(x, vector(a)), vector(b));
      return tf.add(product, tf.mul(raised, tf.scalar(adapterScale(adapter.settings))));
    },
    vector,
    layer: (index, x, compute) => {
      if (!recompute) return compute(x, weights, false);
      const own = [...tensors].filter(([name]) => name.startsWith(`model.layers.${index}.`));
      const names = own.map(([name]) => name);
      return recomputed([x, ...own.map(([, tensor]) => tensor)], ([x, ...values], isAgain) => {
        const replaced = names.map((name, i) => [name, values[i]!] as const);
        return compute(x!, weightsOf({ ...held, tensors: new Map(replaced) }), isAgain);
      });
    },
  };
  return weights;
}
