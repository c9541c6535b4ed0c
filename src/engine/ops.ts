// The ops of a language model that tfjs lacks, or has only slowly, each with its gradient.
//
// Some are ops of our own on a CPU, native/elementwise.cc and native/attention.cc, and TensorFlow's on a GPU.
//
// Shapes are written [rows, columns]. Gradients are checked against finite differences and PyTorch in test/engine/ops.test.ts.
import { batchMatMul, matMul } from "./products.ts";
import { attribute, BOOL, backend, FLOAT, INT32, op, ops, type Tensor, tf } from "./tf.ts";
import type { Variable } from "./variable.ts";

const T = attribute.type("T", FLOAT);

/** What tfjs's customGrad gives the forward pass to keep tensors for the backward pass. */
type Save = (tensors: Tensor[]) => void;

/**
 * tf.customGrad with types for tensors of any rank. `gradients` returns one gradient per input; whatever it needs must be
 * saved, constants too, because tensors made during the forward pass are gone by then.
 */
export function differentiable(
  inputs: readonly Tensor[],
  forward: (inputs: Tensor[], save: Save) => Tensor,
  gradients: (upstream: Tensor, saved: Tensor[]) => Tensor[],
): Tensor {
  const custom = tf.customGrad((...args: unknown[]) => {
    const save = args.pop() as Save;
    const value = forward(args as Tensor[], save);
    return { value, gradFunc: (upstream: Tensor, saved: Tensor[]) => gradients(upstream, saved) };
  });
  return custom(...(inputs as Tensor[]));
}

/** Our own ops trust the shapes of their inputs. */
function checkShapes(name: string, expected: readonly [Tensor, readonly number[]][]): void {
  for (const [{ shape }, wanted] of expected) {
    if (shape.join() !== wanted.join())
      throw new Error(`${name}: expected an input of shape [${wanted}], found [${shape}]`);
  }
}

type Pair = [Tensor, Tensor];

const ints = (values: readonly number[]) => tf.tensor1d([...values], "int32");
const add = (a: Tensor, b: Tensor) => op("AddV2", [T], [a, b]);
const sub = (a: Tensor, b: Tensor) => op("Sub", [T], [a, b]);
const mul = (a: Tensor, b: Tensor) => op("Mul", [T], [a, b]);
const cast = (x: Tensor, from: number, to: number) =>
  op(
    "Cast",
    [attribute.type("SrcT", from), attribute.type("DstT", to), attribute.bool("Truncate", false)],
    [x],
  );
const reduce = (name: "Sum" | "Mean", x: Tensor, axes: readonly number[], keepDims: boolean) =>
  op(
    name,
    [T, attribute.type("Tidx", INT32), attribute.bool("keep_dims", keepDims)],
    [x, ints(axes)],
  );

/**
 * x · weightᵀ, as PyTorch's Linear without bias.
 *
 * @param x [rows, in]
 * @param weight [out, in]
 * @returns [rows, out]
 */
export function linear(x: Tensor, weight: Tensor): Tensor {
  return differentiable(
    [x, weight],
    ([x, weight], save) => {
      save([x!, weight!]);
      return matMul(x!, weight!, false, true);
    },
    (upstream, [x, weight]) => [matMul(upstream, weight!), matMul(upstream, x!, true)],
  );
}

/**
 * This is linear with a matrix that is not trained, so only x has a gradient. One of bf16 is widened when its turn comes, and anew in the
 * backward pass, so that no more than a few matrices are held in float32 at once.
 */
export function frozenLinear(x: Tensor, weight: Variable): Tensor {
  return differentiable(
    [x],
    ([x]) => matMul(x!, weight.read([x!]), false, true),
    (upstream) => [matMul(upstream, weight.read([upstream]))],
  );
}

/**
 * Rows of a matrix. Unlike tf.gather it never reads the indices back; an index outside the table is an error of the op.
 *
 * @param table [size, columns]
 * @param indices int32 [rows]
 * @returns [rows, columns]
 */
export function gatherRows(table: Tensor, indices: Tensor): Tensor {
  const size = table.shape[0]!;
  return differentiable(
    [table],
    ([table], save) => {
      save([indices]);
      return gatherWithoutGradient(table!, indices);
    },
    (upstream, [indices]) => [sumWithoutGradient(upstream, indices!, size)],
  );
}

/**
 * Adds rows up: the opposite of gatherRows.
 *
 * @param rows [rows, columns], or [rows]
 * @param indices int32 [rows] to which sum each belongs
 * @returns [size, columns], or [size]; 0 where nothing belongs
 */
export function sumRows(rows: Tensor, indices: Tensor, size: number): Tensor {
  return differentiable(
    [rows],
    ([rows], save) => {
      save([indices]);
      return sumWithoutGradient(rows!, indices, size);
    },
    (upstream, [indices]) => [gatherWithoutGradient(upstream, indices!)],
  );
}

function sumWithoutGradient(rows: Tensor, indices: Tensor, size: number): Tensor {
  const attributes = [T, attribute.type("Tindices", INT32), attribute.type("Tnumsegments", INT32)];
  return op("UnsortedSegmentSum", attributes, [rows, indices, tf.scalar(size, "int32")]);
}

/** As gatherRows, for any table that is not differentiated. */
export function gatherWithoutGradient(table: Tensor, indices: Tensor): Tensor {
  const type = table.dtype === "int32" ? INT32 : FLOAT;
  const attributes = [
    attribute.type("Tparams", type),
    attribute.type("Tindices", INT32),
    attribute.type("Taxis", INT32),
    attribute.int("batch_dims", 0),
  ];
  return op("GatherV2", attributes, [table, indices, tf.scalar(0, "int32")]);
}

/**
 * x / sqrt(mean(x²) + epsilon) · weight. Reference: Zhang and Sennrich, arXiv 1910.07467.
 *
 * @param x [rows, dim]
 * @param weight [dim]
 */
export function rmsNorm(x: Tensor, weight: Tensor, epsilon: number): Tensor {
  if (backend.isUsingGpuDevice) return composed.rmsNorm(x, weight, epsilon);
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

function composedRmsNorm(x: Tensor, weight: Tensor, epsilon: number): Tensor {
  return differentiable(
    [x, weight],
    ([x, weight], save) => {
      const meanSquare = reduce("Mean", op("Square", [T], [x!]), [1], true);
      const inverse = op("Rsqrt", [T], [add(meanSquare, tf.scalar(epsilon))]); // [rows, 1]
      const normed = mul(x!, inverse);
      save([normed, inverse, weight!]);
      return mul(normed, weight!);
    },
    (upstream, [normed, inverse, weight]) => {
      // n = x·r with r = (mean(x²)+ε)^-½ gives dx = r·(dn - n·mean(dn·n)).
      const upstreamNormed = mul(upstream, weight!);
      const projection = reduce("Mean", mul(upstreamNormed, normed!), [1], true);
      const gradX = mul(inverse!, sub(upstreamNormed, mul(normed!, projection)));
      return [gradX, reduce("Sum", mul(upstream, normed!), [0], false)];
    },
  );
}

/** The two halves of the last axis, exchanged. */
function swapHalves(x: Tensor): Tensor {
  const axis = tf.scalar(x.shape.length - 1, "int32");
  const halves = ops("Split", [T, attribute.int("num_split", 2)], [axis, x], 2);
  return op(
    "ConcatV2",
    [T, attribute.int("N", 2), attribute.type("Tidx", INT32)],
    [halves[1]!, halves[0]!, axis],
  );
}

/**
 * Rotary position embedding over halves, as Hugging Face's LLaMA: x·cos + rotateHalf(x)·sin.
 * Reference: Su et al., arXiv 2104.09864.
 *
 * @param x [tokens, heads, headDim]
 * @param cos [tokens, 1, headDim]
 * @param signedSin like cos, with the first half of the last axis negated, so that no op is spent on the sign
 */
export function rotate(x: Tensor, cos: Tensor, signedSin: Tensor): Tensor {
  if (backend.isUsingGpuDevice) return composed.rotate(x, cos, signedSin);
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

function composedRotate(x: Tensor, cos: Tensor, signedSin: Tensor): Tensor {
  return differentiable(
    [x],
    ([x], save) => {
      save([cos, signedSin]);
      return add(mul(x!, cos), mul(swapHalves(x!), signedSin));
    },
    (upstream, [cos, signedSin]) => [
      add(mul(upstream, cos!), swapHalves(mul(upstream, signedSin!))),
    ],
  );
}

/**
 * softmax(queries · keysᵀ · scale + bias) · values.
 *
 * @param queries [batch, heads, rows, headDim]; for grouped queries the group's heads are stacked in `rows`
 * @param keys [batch, heads, columns, headDim]
 * @param values [batch, heads, columns, headDim]
 * @param bias broadcastable to [batch, heads, rows, columns]: 0 where attention is allowed, very negative elsewhere
 */
export function attend(queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor): Tensor {
  const scale = 1 / Math.sqrt(queries.shape.at(-1)!);
  return differentiable(
    [queries, keys, values],
    ([queries, keys, values], save) => {
      const scaled = mul(queries!, tf.scalar(scale));
      const weights = op("Softmax", [T], [add(batchMatMul(scaled, keys!, false, true), bias)]);
      save([scaled, keys!, values!, weights]);
      return batchMatMul(weights, values!);
    },
    (upstream, [scaled, keys, values, weights]) => {
      const gradWeights = batchMatMul(upstream, values!, false, true);
      const projection = reduce("Sum", mul(gradWeights, weights!), [3], true);
      const gradScores = mul(sub(gradWeights, projection), weights!);
      return [
        mul(batchMatMul(gradScores, keys!), tf.scalar(scale)),
        batchMatMul(gradScores, scaled!, true),
        batchMatMul(weights!, upstream, true),
      ];
    },
  );
}

/**
 * Causal attention within rows of packed segments, as our own op for the CPU computes it: native/attention.cc.
 *
 * @param queries [rows * rowLength, heads, headDim]
 * @param keys [rows * rowLength, kvHeads, headDim]
 * @param values [rows * rowLength, kvHeads, headDim]
 * @param segments int32 [rows, rowLength]; the tokens of one stand next to each other, -1 marks empty places
 * @param contexts int32 [rows, rowLength] an earlier segment of the row that a token sees beside its own, or its own
 * @param window how many tokens one sees, itself included, as if its context stood right before its own segment; null: all
 * @returns [rows * rowLength, heads, headDim]; 0 in empty places
 */
export function packedAttention(
  queries: Tensor,
  keys: Tensor,
  values: Tensor,
  segments: Tensor,
  contexts: Tensor,
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

/**
 * silu(gate) · up. Reference: Shazeer, arXiv 2002.05202.
 *
 * @param gate [rows, ffnDim]
 * @param up [rows, ffnDim]
 */
export function swiGlu(gate: Tensor, up: Tensor): Tensor {
  if (backend.isUsingGpuDevice) return composed.swiGlu(gate, up);
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

function composedSwiGlu(gate: Tensor, up: Tensor): Tensor {
  return differentiable(
    [gate, up],
    ([gate, up], save) => {
      const sigmoid = op("Sigmoid", [T], [gate!]);
      save([gate!, up!, sigmoid]);
      return mul(mul(gate!, sigmoid), up!);
    },
    (upstream, [gate, up, sigmoid]) => {
      const silu = mul(gate!, sigmoid!);
      // d silu = sigmoid · (1 + gate · (1 - sigmoid)) = sigmoid + silu · (1 - sigmoid)
      const slope = add(sigmoid!, sub(silu, mul(silu, sigmoid!)));
      return [mul(mul(upstream, up!), slope), mul(upstream, silu)];
    },
  );
}

/**
 * The natural log-probability of one class per row, with one pass over the logits for value and gradient.
 *
 * @param logits [rows, classes]
 * @param classes int32 [rows]
 * @returns [rows]
 */
export function logProbabilityOf(logits: Tensor, classes: Tensor): Tensor {
  if (backend.isUsingGpuDevice) return composed.logProbabilityOf(logits, classes);
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

function composedLogProbabilityOf(logits: Tensor, classes: Tensor): Tensor {
  return differentiable(
    [logits],
    ([logits], save) => {
      const attributes = [T, attribute.type("Tlabels", INT32)];
      const [loss, gradLoss] = ops(
        "SparseSoftmaxCrossEntropyWithLogits",
        attributes,
        [logits!, classes],
        2,
      );
      save([gradLoss!]); // softmax - onehot
      return op("Neg", [T], [loss!]);
    },
    (upstream, [gradLoss]) => {
      const column = tf.reshape(op("Neg", [T], [upstream]), [logits.shape[0]!, 1]);
      return [mul(gradLoss!, column)];
    },
  );
}

/**
 * The entropy of each row's distribution, in nats: -Σ p log p with p the softmax of the logits. The backward pass computes p again
 * rather than keep a second matrix as large as the logits.
 *
 * @param logits [rows, classes]
 * @returns [rows]
 */
export function entropyOf(logits: Tensor): Tensor {
  return differentiable(
    [logits],
    ([logits], save) => {
      const logprobs = op("LogSoftmax", [T], [logits!]);
      const entropy = op(
        "Neg",
        [T],
        [reduce("Sum", mul(op("Exp", [T], [logprobs]), logprobs), [1], false)],
      );
      save([logits!, entropy]);
      return entropy;
    },
    (upstream, [logits, entropy]) => {
      // dH / dlogit = -p (log p + H)
      const column = (x: Tensor) => tf.reshape(x, [logits!.shape[0]!, 1]);
      const logprobs = op("LogSoftmax", [T], [logits!]);
      const slope = mul(op("Exp", [T], [logprobs]), add(logprobs, column(entropy!)));
      return [mul(slope, column(op("Neg", [T], [upstream])))];
    },
  );
}

/** 0 where `allowed` (bool) is true, -1e9 elsewhere: added to scores before a softmax. */
export function biasWhere(allowed: Tensor): Tensor {
  return mul(sub(cast(allowed, BOOL, FLOAT), tf.scalar(1)), tf.scalar(1e9));
}

/**
 * Writes rows of a matrix in place and returns it: the input's memory *is* the output's.
 *
 * @param matrix [size, columns]
 * @param indices int32 [rows]
 * @param rows [rows, columns]
 */
export function writeRowsInPlace(matrix: Tensor, indices: Tensor, rows: Tensor): Tensor {
  return op("InplaceUpdate", [T], [matrix, indices, rows]);
}

/** Sum of squares of all values: one pass, no temporary. */
export function sumOfSquares(x: Tensor): Tensor {
  return mul(op("L2Loss", [T], [x]), tf.scalar(2));
}

/**
 * Samples one class per row by the inverse of the cumulative distribution, so that a row's sample depends on its own logits
 * and its own random number alone, whatever else is in the batch.
 *
 * @param logits [rows, classes], already divided by the temperature
 * @param uniforms [rows] in [0, 1)
 * @returns int32 [rows]
 */
export function sampleClasses(logits: Tensor, uniforms: Tensor): Tensor {
  const [rows, classes] = logits.shape as [number, number];
  const probabilities = op("Softmax", [T], [logits]);
  const cumulative = op(
    "Cumsum",
    [
      T,
      attribute.type("Tidx", INT32),
      attribute.bool("exclusive", false),
      attribute.bool("reverse", false),
    ],
    [probabilities, tf.scalar(1, "int32")],
  );
  // The sum of all rounds to something near 1; scaling by it makes sure that some class lies above the threshold.
  const total = tf.slice(cumulative, [0, classes - 1], [rows, 1]);
  const threshold = mul(tf.reshape(uniforms, [rows, 1]), total);
  const isBelow = op("LessEqual", [T], [cumulative, threshold]);
  // Counted in float32, which is exact up to 2^24 classes: sums of integers are left to the host by a GPU, which would have to send all
  // of them there.
  const below = reduce("Sum", cast(isBelow, BOOL, FLOAT), [1], false);
  const index = cast(below, FLOAT, INT32);
  // uniform · total can round up to total itself.
  return op("Minimum", [attribute.type("T", INT32)], [index, tf.scalar(classes - 1, "int32")]);
}

/** The class with the largest logit per row: int32 [rows]. */
export function greedyClasses(logits: Tensor): Tensor {
  return op(
    "ArgMax",
    [T, attribute.type("Tidx", INT32), attribute.type("output_type", INT32)],
    [logits, tf.scalar(1, "int32")],
  );
}

/** By TensorFlow's ops what are ops of our own on a CPU: for GPUs. */
export const composed = {
  rmsNorm: composedRmsNorm,
  rotate: composedRotate,
  swiGlu: composedSwiGlu,
  logProbabilityOf: composedLogProbabilityOf,
};
