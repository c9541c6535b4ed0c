import { describe, expect, test } from "vitest";
import { readAndDispose, type Tensor, tf } from "../../src/engine/tf.ts";
import { klLoss, policyLoss, type Responses, ratioSums, valueLoss } from "../../src/ppo/loss.ts";
import { type GoldenTensor, largestDifference, readGolden, rowOf } from "../support/golden.ts";

const range = (both: number) => ({ below: both, above: both });

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
      const ofPolicy = policyLoss(surrogate(logprobs), range(clipRange!));
      return tf.add(
        ofPolicy,
        tf.mul(valueLoss(against(values), valueClipRange!), valueCoefficient!),
      );
    };
    const { value, grads } = tf.engine().gradients(loss, [logprobs, values]);
    expect(policyLoss(surrogate(logprobs), range(clipRange!)).dataSync()[0]).toBeCloseTo(
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
    const sums = ratioSums(surrogate(get("newLogprobs")), range(clipRange!));
    const [clipped, k3, ratio] = readAndDispose([sums.clipped, sums.k3, sums.ratio]).map(
      ([sum]) => sum!,
    );
    const tokens = lengths.reduce((a, b) => a + b);
    expect(clipped! / tokens).toBeCloseTo(scalar("clipFraction"), 5);
    expect(k3! / tokens).toBeCloseTo(scalar("approxKl"), 5);
    expect(ratio! / tokens).toBeCloseTo(scalar("meanRatio"), 5);
  });
});

// Expected values: TRL's formulas in PyTorch, scripts/golden/groups.py.
describe("losses without a value head", () => {
  const golden = readGolden("groups", "golden.safetensors");
  const [klCoefficient, clipRange] = golden.get("settings")!.values as Float32Array;
  const lengths = [...golden.get("lengths")!.values];
  const real = [...lengths.keys()].filter((row) => golden.get("isReal")!.values[row] === 1);
  const flat = (name: string) => real.flatMap((row) => rowOf(golden.get(name)!, row, lengths[row]));
  const perToken = (of: (row: number) => number) =>
    tf.tensor1d(real.flatMap((row) => new Array(lengths[row]!).fill(of(row))));
  const means = perToken((row) => 1 / (lengths[row]! * real.length));
  const responses = {
    index: tf.tensor1d(
      real.flatMap((row, i) => new Array(lengths[row]!).fill(i)),
      "int32",
    ),
    shares: perToken(() => 1),
  };
  const surrogate = (advantages: string, logprobs: Tensor, ofResponses?: Responses) =>
    policyLoss(
      {
        logprobs,
        oldLogprobs: tf.tensor1d(flat("logprobs")),
        advantages: perToken((row) => golden.get(advantages)!.values[row]!),
        weights: means,
        ...(ofResponses && { responses: ofResponses }),
      },
      range(clipRange!),
    );
  const drift = (logprobs: Tensor) =>
    klLoss(logprobs, tf.tensor1d(flat("referenceLogprobs")), means);
  const losses: Record<string, (logprobs: Tensor) => Tensor> = {
    klLoss: drift,
    grpoLoss: (logprobs) =>
      tf.add(surrogate("grpoAdvantages", logprobs), tf.mul(drift(logprobs), klCoefficient!)),
    rlooLoss: (logprobs) => surrogate("rlooAdvantages", logprobs, responses),
  };

  test.each(Object.entries(losses))("%s and its gradient equal PyTorch's", (name, loss) => {
    const logprobs = tf.tensor1d(flat("newLogprobs"));
    const { value, grads } = tf.engine().gradients(() => loss(logprobs), [logprobs]);
    expect(value.dataSync()[0]).toBeCloseTo(golden.get(name)!.values[0]!, 5);
    expect(largestDifference(grads[0]!.dataSync(), flat(`grad.${name}`))).toBeLessThan(1e-6);
  });

  test("klLoss keeps the digits of a small drift", () => {
    // d = 1e-3 and weight 1: exp(-d) - 1 + d = 4.99833e-7; exp(-d) - 1 in float32 is off by up to 6e-8
    const loss = klLoss(tf.tensor1d([0]), tf.tensor1d([-1e-3]), tf.tensor1d([1])).dataSync()[0]!;
    expect(Math.abs(loss - 4.99833e-7)).toBeLessThan(2e-10);
  });
});

test("the KL estimate keeps the digits of a small update", () => {
  // d = -1e-3: exp(d) - 1 - d = 4.99833e-7; exp(d) - 1 in float32 is off by up to 6e-8
  const [none, one] = [tf.tensor1d([0]), tf.tensor1d([1])];
  const input = { logprobs: tf.tensor1d([-1e-3]), oldLogprobs: none, advantages: one };
  const k3 = ratioSums({ ...input, weights: one }, range(0.2)).k3.dataSync()[0]!;
  expect(Math.abs(k3 - 4.99833e-7)).toBeLessThan(2e-10);
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
    .gradients(() => policyLoss({ ...input, logprobs }, range(0.2)), [logprobs]);
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
      range(0.2),
    ).dataSync()[0];
  expect(loss([3, -5])).toBe(loss([]));
});
