// The logits of whole sequences, and how far those of two models are apart.
import { compile } from "../engine/compile.ts";
import { readAndDispose, tf } from "../engine/tf.ts";
import type { Model } from "./model.ts";
import { causalAttention, hiddenStates, logits } from "./transformer.ts";
import { readWeights } from "./weights.ts";

/** The logits after every token: per sequence [tokens, vocabSize], row-major. */
export function sequenceLogits(
  model: Model,
  sequences: readonly (readonly number[])[],
): Float32Array[] {
  const { config } = model;
  const run = compile("logits", (tokens) => {
    const length = tokens!.shape[0]!;
    const weights = readWeights(model);
    const positions = tf.range(0, length, 1, "int32");
    const makeAttention = () => causalAttention(config, positions, tf.zeros([1, length], "int32"));
    const hidden = hiddenStates(config, weights, tokens!, positions, makeAttention);
    return [logits(config, weights, hidden)];
  });
  const results = sequences.map((sequence) => {
    const tokens = tf.tensor1d([...sequence], "int32");
    const [result] = readAndDispose(run(tokens));
    tokens.dispose();
    return result!;
  });
  run.dispose();
  return results;
}

/** How far two models' logits are apart. */
export interface LogitComparison {
  /** How many were compared. */
  readonly positions: number;
  /** The most that a logit differs, at any position. */
  readonly maxDifference: number;
  /** Kullback-Leibler divergence of the second from the first, mean over positions, in nats. */
  readonly meanKl: number;
  /** Share of positions at which both find the same token the most likely. */
  readonly agreement: number;
}

/** @param width numbers per position */
export function compareLogits(
  first: readonly Float32Array[],
  second: readonly Float32Array[],
  width: number,
): LogitComparison {
  let [positions, maxDifference, kl, agreed] = [0, 0, 0, 0];
  first.forEach((logits, i) => {
    for (let begin = 0; begin < logits.length; begin += width) {
      const p = logits.subarray(begin, begin + width);
      const q = second[i]!.subarray(begin, begin + width);
      for (let k = 0; k < width; k++)
        maxDifference = Math.max(maxDifference, Math.abs(p[k]! - q[k]!));
      kl += divergence(p, q);
      if (indexOfLargest(p) === indexOfLargest(q)) agreed++;
      positions++;
    }
  });
  return { positions, maxDifference, meanKl: kl / positions, agreement: agreed / positions };
}

/** sum p (log p - log q), with p and q the softmax of the logits given. */
function divergence(p: Float32Array, q: Float32Array): number {
  const [normP, normQ] = [logSumExp(p), logSumExp(q)];
  return p.reduce((sum, logit, k) => {
    const logprob = logit - normP;
    return sum + Math.exp(logprob) * (logprob - (q[k]! - normQ));
  }, 0);
}

function logSumExp(logits: Float32Array): number {
  const largest = logits[indexOfLargest(logits)]!;
  return largest + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - largest), 0));
}

function indexOfLargest(values: Float32Array): number {
  return values.reduce((best, value, k) => (value > values[best]! ? k : best), 0);
}
