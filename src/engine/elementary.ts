// TensorFlow's elementary ops by short names, and functions with gradients of their own.
import { attribute, FLOAT, INT32, op, ops, type Tensor, tf } from "./tf.ts";

export const T = attribute.type("T", FLOAT);

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

export const ints = (values: readonly number[]) => tf.tensor1d([...values], "int32");
export const add = (a: Tensor, b: Tensor) => op("AddV2", [T], [a, b]);
export const sub = (a: Tensor, b: Tensor) => op("Sub", [T], [a, b]);
export const mul = (a: Tensor, b: Tensor) => op("Mul", [T], [a, b]);
export const cast = (x: Tensor, from: number, to: number) =>
  op(
    "Cast",
    [attribute.type("SrcT", from), attribute.type("DstT", to), attribute.bool("Truncate", false)],
    [x],
  );
export const reduce = (
  name: "Sum" | "Mean",
  x: Tensor,
  axes: readonly number[],
  keepDims: boolean,
) =>
  op(
    name,
    [T, attribute.type("Tidx", INT32), attribute.bool("keep_dims", keepDims)],
    [x, ints(axes)],
  );

/** The two halves of the last axis, exchanged. */
export function swapHalves(x: Tensor): Tensor {
  const axis = tf.scalar(x.shape.length - 1, "int32");
  const halves = ops("Split", [T, attribute.int("num_split", 2)], [axis, x], 2);
  return op(
    "ConcatV2",
    [T, attribute.int("N", 2), attribute.type("Tidx", INT32)],
    [halves[1]!, halves[0]!, axis],
  );
}
