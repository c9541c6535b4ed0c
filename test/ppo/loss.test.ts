import { describe, expect, test } from "vitest";
import { type Tensor, take, tf } from "../../src/engine/tf.ts";
import { policyLoss, ratioSums, valueLoss } from "../../src/ppo/loss.ts";
import { type GoldenTensor, largestDifference, readGolden, rowOf } from "../support/golden.ts";

// Expected values: the authors' formulas in PyTorch, scripts/golden/ppo.py.
describe.each(["program", "language", "discounted"])("golden case %s", (name) => {
  const golden = readGolden("ppo", `${name}.safetensors`);
  const lengths = [...golden.get("lengths")!.values];
  const [, , , clipRange, valueClipRange, valueCoefficient] = golden.get("settings")!
    .values as Float32Array;
  const flat = (tensor: GoldenTensor) =>
    lengths.flatMap((length, row) => rowOf(tensor, row, length));
  const get = (key: string) => tf.tensor1d(flat(golden.get(key)!));
  const scalar = (key: string) => golden.get(key)!.values[0]!;
  const weights = tf.tensor1d(lengths.flatMap((n) => new Array(n).fill(1 / (n * lengths.length))));
  const surrogate = (logprobs: Tensor) => ({
    logprobs,
    oldLogprobs: get("logprobs"),
    advantages: get("whitenedAdvantages"),
    weights,
  });
  const against = (values: Tensor) => ({
    values,
    oldValues: get("values"),
    returns: get("returns"),
    weights,
  });

  test("losses and their gradients equal PyTorch's", () => {
    const logprobs = get("newLogprobs");
    const values = get("newValues");
    const loss = () => {
      const ofPolicy = policyLoss(surrogate(logprobs), clipRange!);
      return tf.add(
        ofPolicy,
        tf.mul(valueLoss(against(values), valueClipRange!), valueCoefficient!),
      );
    };
    const { value, grads } = tf.engine().gradients(loss, [logprobs, values]);
    expect(policyLoss(surrogate(logprobs), clipRange!).dataSync()[0]).toBeCloseTo(
      scalar("policyLoss"),
      5,
    );
    expect(valueLoss(against(values), valueClipRange!).dataSync()[0]).toBeCloseTo(
      scalar("valueLoss"),
      5,
    );
    expect(value.dataSync()[0]).toBeCloseTo(scalar("loss"), 5);
    expect(
      largestDifference(grads[0]!.dataSync(), flat(golden.get("grad.newLogprobs")!)),
    ).toBeLessThan(1e-5);
    expect(
      largestDifference(grads[1]!.dataSync(), flat(golden.get("grad.newValues")!)),
    ).toBeLessThan(1e-5);
  });

  test("ratio, clip fraction and KL estimate equal PyTorch's", () => {
    const [sums] = take([ratioSums(surrogate(get("newLogprobs")), clipRange!)]);
    const tokens = lengths.reduce((a, b) => a + b);
    expect(sums![0]! / tokens).toBeCloseTo(scalar("clipFraction"), 5);
    expect(sums![1]! / tokens).toBeCloseTo(scalar("approxKl"), 5);
    expect(sums![2]! / tokens).toBeCloseTo(scalar("meanRatio"), 5);
  });
});

test("has no gradient where the clip is active", () => {
  // ratios e and 1, advantages 1: the first is clipped at 1.2, the second is not; weights 1/2
  const input = {
    oldLogprobs: tf.tensor1d([0, 0]),
    advantages: tf.tensor1d([1, 1]),
    weights: tf.tensor1d([0.5, 0.5]),
  };
  const logprobs = tf.tensor1d([1, 0]);
  const { grads } = tf
    .engine()
    .gradients(() => policyLoss({ ...input, logprobs }, 0.2), [logprobs]);
  expect([...grads[0]!.dataSync()]).toEqual([0, -0.5]);
});

test("padding, whose weight is 0, changes nothing", () => {
  const loss = (padding: number[]) =>
    policyLoss(
      {
        logprobs: tf.tensor1d([-1, ...padding]),
        oldLogprobs: tf.tensor1d([-1.1, ...padding.map(() => 0)]),
        advantages: tf.tensor1d([2, ...padding.map(() => 7)]),
        weights: tf.tensor1d([1, ...padding.map(() => 0)]),
      },
      0.2,
    ).dataSync()[0];
  expect(loss([3, -5])).toBe(loss([]));
});
