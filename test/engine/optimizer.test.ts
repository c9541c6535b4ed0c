import { describe, expect, test } from "vitest";
import { compile } from "../../src/engine/compile.ts";
import { AdamW, updateIfFinite } from "../../src/engine/optimizer.ts";
import { constantSchedule, linearSchedule } from "../../src/engine/schedule.ts";
import { tf } from "../../src/engine/tf.ts";
import { Variable } from "../../src/engine/variable.ts";
import { largestDifference, readGolden } from "../support/golden.ts";

const options = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, maxGradNorm: 1 };

/** Gives the optimizer gradients, through a compiled step as training does. */
function accumulate(
  optimizer: AdamW,
  gradients: Record<string, { shape: readonly number[]; values: Float32Array }>,
): void {
  const names = Object.keys(gradients);
  const inputs = names.map((name) =>
    tf.tensor(gradients[name]!.values, [...gradients[name]!.shape]),
  );
  compile("accumulate", (...given) => {
    optimizer.accumulate(new Map(names.map((name, i) => [name, given[i]!])));
    return [];
  })(...inputs);
}

const of = (...values: number[]) => ({ shape: [values.length], values: Float32Array.from(values) });

// Expected values: torch.optim.AdamW, clip_grad_norm_ and transformers' schedule, scripts/golden/optim.py.
describe.each(["plain", "decay", "short", "small", "smallDecay"])(
  "five steps of AdamW: %s",
  (name) => {
    test("equal PyTorch's: norms, rates and parameters", () => {
      const golden = readGolden("optim", `${name}.safetensors`);
      const [rate, weightDecay, warmupSteps, totalSteps] = golden.get("settings")!
        .values as Float32Array;
      const names = ["matrix", "vector", "scalar"];
      const variables = names.map((n) => {
        const { shape, values } = golden.get(`start.${n}`)!;
        return new Variable(n, shape, values as Float32Array);
      });
      const optimizer = new AdamW([{ variables }], { ...options, weightDecay: weightDecay! });
      for (let k = 0; k < 5; k++) {
        const gradients = names.map((n) => [n, golden.get(`grad${k}.${n}`)!] as const);
        accumulate(optimizer, Object.fromEntries(gradients) as never);
        const learningRate = rate! * linearSchedule(k, warmupSteps!, totalSteps!);
        expect(learningRate).toBeCloseTo(golden.get("learningRates")!.values[k]!, 8);
        expect(optimizer.update([learningRate])).toBeCloseTo(
          golden.get("gradNorms")!.values[k]!,
          5,
        );
        names.forEach((n, i) => {
          const expected = golden.get(`after${k}.${n}`)!.values;
          expect(
            largestDifference(variables[i]!.values(), expected),
            `${n} after ${k}`,
          ).toBeLessThan(1e-6);
        });
      }
    });
  },
);

describe("AdamW", () => {
  test("eight microbatches add up to one batch", () => {
    const run = (parts: number) => {
      const variable = new Variable("w", [2], Float32Array.from([1, -1]));
      const optimizer = new AdamW([{ variables: [variable] }], options);
      for (let i = 0; i < parts; i++) accumulate(optimizer, { w: of(0.4 / parts, -0.2 / parts) });
      optimizer.update([0.1]);
      return variable.values();
    };
    expect(largestDifference(run(8), run(1))).toBeLessThan(1e-6);
  });

  test("a group whose rate is null keeps values, moments, gradients and step count", () => {
    const [a, b] = ["a", "b"].map((name) => new Variable(name, [1], Float32Array.from([1])));
    const optimizer = new AdamW([{ variables: [a!] }, { variables: [b!] }], options);
    accumulate(optimizer, { b: of(1) });
    optimizer.update([null, 0.1]);
    expect(a!.values()[0]).toBe(1);
    expect(b!.values()[0]).toBeCloseTo(0.9, 5);
    expect(optimizer.updates()).toEqual([0, 1]);
  });

  test("a gradient that is not finite changes nothing", () => {
    const variable = new Variable("w", [1], Float32Array.from([1]));
    const optimizer = new AdamW([{ variables: [variable] }], options);
    accumulate(optimizer, { w: of(Number.NaN) });
    expect(optimizer.update([0.1])).toBeNaN();
    expect(variable.values()[0]).toBe(1);
    expect(optimizer.updates()).toEqual([0]);
    expect(optimizer.moments().get("w.exp_avg")!.values()[0]).toBe(0);
    accumulate(optimizer, { w: of(3) }); // nothing of it is left over
    expect(optimizer.update([0.1])).toBe(3);
  });

  test.each([
    ["a loss", { loss: Number.POSITIVE_INFINITY }, 1, { loss: Number.POSITIVE_INFINITY }],
    ["a gradient", { loss: 1 }, Number.NaN, { gradNorm: Number.NaN }],
  ])("an update with %s that is not finite is left out", (_, figures, gradient, notFinite) => {
    const variable = new Variable("w", [1], Float32Array.from([1]));
    const optimizer = new AdamW([{ variables: [variable] }], options);
    accumulate(optimizer, { w: of(gradient) });
    const update = updateIfFinite(optimizer, [0.1], figures);
    expect(update).toEqual({ gradNorm: Number.NaN, skipped: [notFinite] });
    expect(variable.values()[0]).toBe(1);
    expect(optimizer.updates()).toEqual([0]);
    accumulate(optimizer, { w: of(3) });
    expect(updateIfFinite(optimizer, [0.1], { loss: 1 })).toEqual({ gradNorm: 3, skipped: [] });
    expect(variable.values()[0]).not.toBe(1);
  });

  test("goes on from a saved state as if it had not stopped", () => {
    const first = new Variable("w", [2], Float32Array.from([1, 2]));
    const optimizer = new AdamW([{ variables: [first] }], options);
    const step = (target: AdamW, k: number) => {
      accumulate(target, { w: of(0.3 * k, -0.1) });
      target.update([0.01]);
    };
    step(optimizer, 1);
    step(optimizer, 2);
    const second = new Variable("w", [2], first.values());
    const resumed = new AdamW([{ variables: [second] }], options);
    for (const [name, moment] of resumed.moments())
      moment.load(optimizer.moments().get(name)!.values());
    resumed.resumeAt(optimizer.updates());
    for (const k of [3, 4]) {
      step(optimizer, k);
      step(resumed, k);
    }
    expect(second.values()).toEqual(first.values());
  });

  test("state is kept by name, whatever gradients a step has", () => {
    const variables = ["a", "b"].map((name) => new Variable(name, [1], Float32Array.from([0])));
    const optimizer = new AdamW([{ variables }], options);
    accumulate(optimizer, { b: of(1) });
    optimizer.update([0.1]);
    expect(variables.map((v) => v.values()[0])).toEqual([0, expect.closeTo(-0.1, 5)]);
    expect(() => accumulate(optimizer, { c: of(1) })).toThrow(
      /c is not one of the optimizer's variables/,
    );
  });
});

test("schedules rise over the warm-up; the linear one then falls to 0", () => {
  expect([0, 1, 2, 6, 10, 11].map((step) => linearSchedule(step, 2, 10))).toEqual([
    0, 0.5, 1, 0.5, 0, 0,
  ]);
  expect([0, 1, 2, 100].map((step) => constantSchedule(step, 2))).toEqual([0, 0.5, 1, 1]);
  expect(linearSchedule(0, 0, 10)).toBe(1);
});
