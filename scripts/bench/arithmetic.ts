// What a piece of work needs at the least: the arithmetic of its matrix products, which no packing or caching saves.
import type { Sequence } from "../../src/model/batch.ts";
import type { ModelConfig } from "../../src/model/config.ts";
import type { Kind } from "./workloads.ts";

/** How often a batch goes through the model; forwards and backwards are two products for one. */
const passes: Record<Kind, number> = {
  sft: 3,
  rerank: 3,
  rollout: 1,
  reft: 1 + 1 + 2 * 3, // sampling, which gives the old log-probabilities, too; reference; two passes of updates
  rewards: 0,
  products: 0,
};

/** Frozen weights have no gradients: backwards is one product for one, too. The adapter's own arithmetic, some percent, is not counted. */
const adapterPasses: Partial<Record<Kind, number>> = { sft: 2, reft: 1 + 1 + 2 * 2 };

/** Multiplications and additions that work on these batches needs: real tokens alone, each read once per pass. */
export function operationsOf(
  kind: Kind,
  config: ModelConfig,
  batches: readonly (readonly Sequence[])[],
  trainsAdapter = false,
): number {
  const forward = batches
    .flat()
    .reduce((sum, row) => sum + forwardOperations(kind, config, row), 0);
  return (trainsAdapter ? adapterPasses[kind]! : passes[kind]) * forward;
}

/** 2 m k n for each product of [m, k] and [k, n]; of attention's, what lies under the diagonal. */
function forwardOperations(
  kind: Kind,
  { dim, heads, kvHeads, headDim, ffnDim, layers, vocabSize }: ModelConfig,
  { prompt, response }: Sequence,
): number {
  const tokens = prompt.length + response.length - (kind === "rerank" ? 0 : 1);
  const [predictions, outputs] = kind === "rerank" ? [1, 2] : [response.length, vocabSize];
  const beforeAttention = dim * (heads + 2 * kvHeads) * headDim;
  const afterAttention = heads * headDim * dim + 3 * dim * ffnDim;
  // After the last attention only the places that predict matter.
  const weights =
    layers * tokens * beforeAttention +
    ((layers - 1) * tokens + predictions) * afterAttention +
    predictions * dim * outputs;
  const attention = layers * heads * headDim * tokens * (tokens + 1);
  return 2 * (weights + attention);
}

/** Rows of the products by which the peak is measured: a microbatch. */
export const productRows = 4096;

/** Multiplications and additions of one step of the job "products": into the feed-forward part and back, in each layer. */
export function productOperations({ dim, ffnDim, layers }: ModelConfig): number {
  return 2 * 2 * productRows * dim * ffnDim * layers;
}
