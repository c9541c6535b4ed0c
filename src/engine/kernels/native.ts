// The kernels of CPUs: native ops, native/elementwise.cc and native/attention.cc. What they replace waits for memory; TensorFlow's ops
// pass over it for every addition, and keep what lies between for the backward pass.
import { differentiable, swapHalves } from "../elementary.ts";
import { attribute, op, ops, type Tensor, tf } from "../tf.ts";
import type { AttentionPlaces, Kernels } from "./types.ts";

/** Native ops trust the shapes of their inputs. */
function checkShapes(name: string, expected: readonly [Tensor, readonly number[]][]): void {
  for (const [{ shape }, wanted] of expected) {
    if (shape.join() !== wanted.join())
      throw new Error(`${name}: expected an input of shape [${wanted}], found [${shape}]`);
  }
}

type Pair = [Tensor, Tensor];

function rmsNorm(x: Tensor, weight: Tensor, epsilon: number): Tensor {
  checkShapes("rmsNorm", [
    [x, [x.shape[0]!, weight.size]],
    [weight, [weight.size]],
  ]);
  return differentiable(
    [x, weight],
    ([x, weight], save) => {
      const constant = tf.scalar(epsilon);
      save([x!, weight!, constant]);
      return op("LlamaNorm", [], [x!, weight!, constant]);
    },
    (upstream, [x, weight, constant]) =>
      ops("LlamaNormGrad", [], [x!, weight!, upstream, constant!], 2),
  );
}

function rotate(x: Tensor, cos: Tensor, signedSin: Tensor): Tensor {
  const [tokens, heads, headDim] = x.shape as [number, number, number];
  checkShapes("rotate", [
    [x, [tokens, heads, 2 * Math.floor(headDim / 2)]],
    [cos, [tokens, 1, headDim]],
    [signedSin, cos.shape],
  ]);
  return differentiable(
    [x],
    ([x], save) => {
      save([cos, signedSin]);
      return op("LlamaRotation", [], [x!, cos, signedSin]);
    },
    // The way back is a rotation, too.
    (upstream, [cos, signedSin]) => [
      op("LlamaRotation", [], [upstream, cos!, swapHalves(signedSin!)]),
    ],
  );
}

function swiGlu(gate: Tensor, up: Tensor): Tensor {
  checkShapes("swiGlu", [
    [gate, [gate.shape[0]!, gate.shape[1]!]],
    [up, gate.shape],
  ]);
  return differentiable(
    [gate, up],
    ([gate, up], save) => {
      save([gate!, up!]);
      return op("LlamaGate", [], [gate!, up!]);
    },
    (upstream, [gate, up]) => ops("LlamaGateGrad", [], [gate!, up!, upstream], 2),
  );
}

function logProbabilityOf(logits: Tensor, classes: Tensor): Tensor {
  checkShapes("logProbabilityOf", [
    [logits, [classes.size, logits.shape[1]!]],
    [classes, [classes.size]],
  ]);
  return differentiable(
    [logits],
    ([logits], save) => {
      const [logprobs, ...normalisers] = ops("LlamaLogprob", [], [logits!, classes], 3);
      save([logits!, classes, ...normalisers]);
      return logprobs!;
    },
    (upstream, saved) => [op("LlamaLogprobGrad", [], [...saved, upstream])],
  );
}

/** native/attention.cc goes through the sequences of a row, so nothing is computed that a packed row masks. */
function attend(
  { segments, contexts }: AttentionPlaces,
  queries: Tensor,
  keys: Tensor,
  values: Tensor,
  window: number | null,
): Tensor {
  const attributes = [attribute.int("window", window ?? 0)];
  const [tokens, heads, headDim] = queries.shape as [number, number, number];
  const kvHeads = keys.shape[1]!;
  checkShapes("packedAttention", [
    [segments, [segments.shape[0]!, tokens / segments.shape[0]!]],
    [contexts, segments.shape],
    [queries, [tokens, Math.ceil(heads / kvHeads) * kvHeads, headDim]],
    [keys, [tokens, kvHeads, headDim]],
    [values, keys.shape],
  ]);
  return differentiable(
    [queries, keys, values],
    ([queries, keys, values], save) => {
      const inputs = [queries!, keys!, values!, segments, contexts];
      const [mixed, normalisers] = ops("PackedAttention", attributes, inputs, 2) as Pair;
      save([...inputs, mixed, normalisers]);
      return mixed;
    },
    (upstream, saved) => ops("PackedAttentionGrad", attributes, [...saved, upstream], 3),
  );
}

export const nativeKernels: Kernels = {
  rmsNorm,
  rotate,
  swiGlu,
  logProbabilityOf,
  packedAttention: (places) => (queries, keys, values, window) =>
    attend(places, queries, keys, values, window),
};
