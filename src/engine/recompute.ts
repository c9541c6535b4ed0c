// Values that are computed again in the backward pass, so that what they are made of need not be kept until then.
// Reference: Chen et al., arXiv 1604.06174.
import { differentiable } from "./elementary.ts";
import { attribute, backend, executeOp, FLOAT, type Tensor, tf } from "./tf.ts";

/** @param isAgain in the backward pass: tensors that were made on the way, but are no inputs, are gone by then */
type Compute = (inputs: readonly Tensor[], isAgain: boolean) => Tensor;

/** compute(inputs), which the backward pass computes again. Only the inputs have gradients. */
export function recomputed(inputs: readonly Tensor[], compute: Compute): Tensor {
  return differentiable(
    inputs,
    (own, save) => {
      save(own);
      return compute(own, false);
    },
    (upstream, saved) => {
      const again = saved.map((input) => identityAfter(input, upstream));
      return gradientsOf(compute, again, upstream);
    },
  );
}

/** tfjs ends the tape of a gradient that is taken within another one's backward pass, so the outer tape is put back. */
function gradientsOf(compute: Compute, inputs: Tensor[], upstream: Tensor): Tensor[] {
  const { state } = tf.engine() as unknown as { state: { activeTape: unknown } };
  const { activeTape } = state;
  try {
    return tf.engine().gradients(() => compute(inputs, true), inputs, upstream).grads;
  } finally {
    state.activeTape = activeTape;
  }
}

/**
 * The same values, not before another tensor is there. Without that edge TensorFlow would compute both times at once, side by side, and
 * nothing would be gained.
 */
function identityAfter(x: Tensor, after: Tensor): Tensor {
  const [id, control] = backend.getInputTensorIds([x, after]);
  const [info] = executeOp("Identity", [attribute.type("T", FLOAT)], [id!], 1, [control!]);
  return backend.createOutputTensor(info!);
}
