// The ops of a language model that tfjs lacks, or has only slowly, each with its gradient; those that differ between CPUs and GPUs are in kernels/.
//
// Shapes are written [rows, columns]. Gradients are checked against finite differences and PyTorch in test/engine/ops.test.ts.
import { add, cast, differentiable, mul, reduce, sub, T } from "./elementary.ts";
import { batchMatMul, matMul } from "./products.ts";
import { attribute, BOOL, FLOAT, INT32, op, type Tensor, tf } from "./tf.ts";
import type { Variable } from "./variable.ts";

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
