// The kernels of GPUs, put together of TensorFlow's ops. test/engine/kernels.test.ts holds them against the native ones.
import { add, differentiable, mul, reduce, sub, swapHalves, T } from "../elementary.ts";
import { attend, biasWhere } from "../ops.ts";
import { attribute, INT32, op, ops, type Tensor, tf } from "../tf.ts";
import type { Attention, AttentionPlaces, Kernels } from "./types.ts";

function rmsNorm(x: Tensor, weight: Tensor, epsilon: number): Tensor {
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

function rotate(x: Tensor, cos: Tensor, signedSin: Tensor): Tensor {
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

function swiGlu(gate: Tensor, up: Tensor): Tensor {
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

function logProbabilityOf(logits: Tensor, classes: Tensor): Tensor {
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

/** Batched products over whole rows; empty places attend to each other. */
function packedAttention(
  { positions, segments, contexts }: AttentionPlaces,
  windows: readonly (number | null)[],
  groups: number,
): Attention {
  const [rows, rowLength] = segments.shape as [number, number];
  const biases = new Map(
    [...new Set(windows)].map((window) => {
      const allowed = visibleTokens(positions, segments, contexts, window);
      const bias = tf.reshape(biasWhere(allowed), [rows, 1, rowLength, rowLength]);
      return [window, groups === 1 ? bias : tf.tile(bias, [1, 1, groups, 1])];
    }),
  );
  return (queries, keys, values, window) => {
    const bias = biases.get(window)!; // [rows, 1, groups * rowLength, rowLength]
    const [, kvHeads, headDim] = keys.shape as [number, number, number];
    // The query heads that share keys are stacked along the rows of the score matrix.
    const q = tf.reshape(
      tf.transpose(
        tf.reshape(queries, [rows, rowLength, kvHeads, groups, headDim]),
        [0, 2, 3, 1, 4],
      ),
      [rows, kvHeads, groups * rowLength, headDim],
    );
    const perHead = (x: Tensor) =>
      tf.transpose(tf.reshape(x, [rows, rowLength, kvHeads, headDim]), [0, 2, 1, 3]);
    const mixed = tf.reshape(attend(q, perHead(keys), perHead(values), bias), [
      rows,
      kvHeads,
      groups,
      rowLength,
      headDim,
    ]);
    return tf.reshape(tf.transpose(mixed, [0, 3, 1, 2, 4]), queries.shape);
  };
}

/** Which tokens (last axis) each token (second axis) sees: bool [rows, rowLength, rowLength]. */
function visibleTokens(
  positions: Tensor,
  segments: Tensor,
  contexts: Tensor,
  window: number | null,
): Tensor {
  const [rows, rowLength] = segments.shape as [number, number];
  const order = tf.range(0, rowLength, 1, "int32");
  const notLater = tf.greaterEqual(
    tf.reshape(order, [rowLength, 1]),
    tf.reshape(order, [1, rowLength]),
  );
  const ofQueries = (x: Tensor) => tf.reshape(x, [rows, rowLength, 1]);
  const ofKeys = (x: Tensor) => tf.reshape(x, [rows, 1, rowLength]);
  const isSeen = (of: Tensor) => tf.equal(ofQueries(of), ofKeys(segments));
  const allowed = tf.logicalAnd(tf.logicalOr(isSeen(segments), isSeen(contexts)), notLater);
  if (window === null) return allowed;
  const distance = tf.sub(ofQueries(positions), ofKeys(positions));
  return tf.logicalAnd(allowed, tf.less(distance, tf.scalar(window, "int32")));
}

export const tensorflowKernels: Kernels = {
  rmsNorm,
  rotate,
  swiGlu,
  logProbabilityOf,
  packedAttention,
};
