// Prints what the own attention makes of random numbers, in a process of its own, because a process keeps to one instruction set.
import { nativeKernels } from "../../src/engine/kernels/native.ts";
import { type Tensor, tf } from "../../src/engine/tf.ts";

const rowLength = 64;
const zeros = () => tf.zeros([1, rowLength], "int32");
const places = {
  positions: tf.range(0, rowLength, 1, "int32"),
  segments: zeros(),
  contexts: zeros(),
};
const random = (seed: number) => tf.randomNormal([rowLength, 2, 80], 0, 1, "float32", seed);
const attention = nativeKernels.packedAttention(places, [null], 1);
const attended = attention(random(1), random(2), random(3), null) as Tensor;
process.stdout.write(JSON.stringify([...attended.dataSync()]));
