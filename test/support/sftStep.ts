// One SFT step in a process of its own, because a process has one precision. `sftStep.ts PRECISION` prints the loss, every gradient
// (a tenth of it, which AdamW's first moments have after one step), what 64 · (1 + 2⁻⁹), a number of 10 bits, is by either op, and how
// far products of several shapes are from those of numbers that tfjs has rounded to bf16.
import { precision } from "../../src/config.ts";
import { AdamW } from "../../src/engine/optimizer.ts";
import { batchMatMul, matMul, usePrecision } from "../../src/engine/products.ts";
import { readAndDispose, type Tensor, tf } from "../../src/engine/tf.ts";
import { createResponseBackward } from "../../src/model/backward.ts";
import { plainLlama } from "../../src/model/families.ts";
import { createModel } from "../../src/model/model.ts";
import { Rng } from "../../src/rng.ts";

usePrecision(precision.parse(process.argv[2]));
const config = {
  ...plainLlama,
  ...{ vocabSize: 256, dim: 64, layers: 2, heads: 2, kvHeads: 1, headDim: 32, ffnDim: 128 },
  ...{ normEpsilon: 1e-5, ropeTheta: 10_000, ropeScaling: null, tieEmbeddings: false },
  ...{ maxPositions: 128, initializerStd: 0.1, eosIds: [0] },
};
const model = createModel(config, Rng.named(1, "weights"));
const rng = Rng.named(1, "tokens");
const tokens = (count: number) => Array.from({ length: count }, () => rng.integer(256));
const batch = Array.from({ length: 8 }, () => ({ prompt: tokens(40), response: tokens(40) }));
const optimizer = new AdamW([{ variables: [...model.parameters.values()] }], {
  ...{ beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, maxGradNorm: 1e9 },
});
const backward = createResponseBackward("sft", model, optimizer, { microBatchTokens: 1024 });
const loss = backward(batch);
optimizer.update([0]);
const moments = [...optimizer.moments()].filter(([name]) => name.endsWith(".exp_avg"));
const gradients = moments.map(([name, moment]) => [name, [...moment.values()]]);
const x = tf.fill([64, 64], 1 + 2 ** -9);
const products = [matMul, batchMatMul].map(
  (product) => readAndDispose([product(x, tf.onesLike(x))])[0]![0],
);

/** A matrix whose numbers have 8 bits, to the nearest, even ones of two. */
function rounded(x: Tensor): Tensor {
  const bits = new Uint32Array(Float32Array.from(x.dataSync()).buffer);
  const nearest = bits.map((n) => (n + 0x7fff + ((n >>> 16) & 1)) & 0xffff0000);
  return tf.tensor(new Float32Array(nearest.buffer), x.shape);
}

// Sizes: whole squares of tiles and not; several blocks of the inner axis; of rows and of columns, for several threads.
const shapes = [
  [32, 32, 32],
  [67, 45, 77],
  [100, 300, 1100],
  [1500, 40, 2100],
  [40, 9000, 50],
] as const;
const difference = Math.max(
  ...shapes.flatMap(([rows, columns, inner]) =>
    [0, 1, 2, 3].map((kind) => {
      const [transposesA, transposesB] = [kind % 2 === 1, kind > 1];
      const a = tf.randomNormal(transposesA ? [inner, rows] : [rows, inner], 0, 1, "float32", 1);
      const b = tf.randomNormal(
        transposesB ? [columns, inner] : [inner, columns],
        0,
        1,
        "float32",
        2,
      );
      const expected = tf.matMul(rounded(a), rounded(b), transposesA, transposesB);
      const found = matMul(a, b, transposesA, transposesB);
      return tf.max(tf.abs(tf.sub(found, expected))).dataSync()[0]! / Math.sqrt(inner);
    }),
  ),
);
process.stdout.write(
  JSON.stringify({ loss, gradients: Object.fromEntries(gradients), products, difference }),
);
