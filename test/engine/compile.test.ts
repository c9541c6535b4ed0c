import { describe, expect, test } from "vitest";
import { compile, compileNamed } from "../../src/engine/compile.ts";
import { liveTensors, native, readAndDispose, type Tensor, tf } from "../../src/engine/tf.ts";
import { Variable } from "../../src/engine/variable.ts";

describe("compile", () => {
  test("gives what the step gives eagerly, autodiff and updates in place included", () => {
    const run = (
      wrap: (step: (...inputs: Tensor[]) => Tensor[]) => (...inputs: Tensor[]) => Tensor[],
    ) => {
      const weight = new Variable("weight", [2, 2], Float32Array.from([1, 2, 3, 4]));
      const step = wrap((x) => {
        const w = weight.read();
        const { value, grads } = tf
          .engine()
          .gradients(() => tf.sum(tf.square(tf.matMul(x as never, w as never))), [w]);
        weight.assignSub(tf.mul(grads[0]!, 0.01));
        return [value, weight.read()];
      });
      const x = tf.tensor2d([
        [1, 2],
        [3, 4],
      ]);
      const results = [1, 2, 3].map(() => readAndDispose(step(x)));
      const final = weight.values();
      weight.dispose();
      return { results, final };
    };
    const eager = run((step) => (x) => tf.tidy(() => step(x!)));
    expect(run((step) => compile("step", step))).toEqual(eager);
    expect(eager.results[0]![0]![0]).toBe(858); // [[7, 10], [15, 22]]: 49 + 100 + 225 + 484
  });

  test("a read sees the writes before it in the step, and not those after", () => {
    const counter = new Variable("counter", [1]);
    const step = compile("count", (one) => {
      const before = counter.read();
      counter.assignAdd(one!);
      const between = counter.read();
      counter.assignAdd(one!);
      return [before, between, counter.read()];
    });
    const one = tf.ones([1]);
    expect(readAndDispose(step(one)).map((x) => x[0])).toEqual([0, 1, 2]);
    expect(readAndDispose(step(one)).map((x) => x[0])).toEqual([2, 3, 4]);
    counter.dispose();
  });

  test("by name: whatever the order of the names, and once per shape", () => {
    let traced = 0;
    const step = compileNamed("lead", ({ a, b }: { a: Tensor; b: Tensor }) => {
      traced++;
      return { lead: tf.sub(a, b), sum: tf.add(a, b) };
    });
    const [one, two] = [tf.tensor1d([1]), tf.tensor1d([2])];
    const figures = [step({ a: two, b: one }), step({ b: one, a: two })];
    for (const { lead, sum } of figures)
      expect(readAndDispose([lead, sum]).map((x) => x[0])).toEqual([1, 3]);
    expect(traced).toBe(1);
  });

  test("traces once per shape and type", () => {
    let traced = 0;
    const step = compile("square", (x) => {
      traced++;
      return [tf.square(x!)];
    });
    for (const shape of [[2], [3], [2], [2, 1], [3]]) readAndDispose(step(tf.ones(shape)));
    expect(traced).toBe(3);
  });

  test("computes nothing and allocates nothing while it traces", () => {
    const before = native.getNumOfTensors();
    let during = -1;
    const step = compile("trace", (x) => {
      const y = tf.matMul(x as never, x as never);
      during = native.getNumOfTensors();
      return [y];
    });
    const input = tf.ones([3, 3]);
    readAndDispose(step(input));
    input.dispose();
    expect(during).toBeLessThanOrEqual(before + 1);
  });

  test.each([
    {
      name: "dataSync",
      step: (x: Tensor) => [tf.scalar(x.dataSync()[0]!)],
      message: /dataSync\(\) reads data back/,
    },
    {
      name: "a kernel that reads",
      step: (x: Tensor) => [tf.gather(x, tf.cast(x, "int32"))],
      message: /the op \w+ reads data back/,
    },
    {
      name: "an outside tensor",
      step: (x: Tensor) => [tf.add(x, outside)],
      message: /outside the step/,
    },
    {
      name: "a fresh outside tensor",
      step: (x: Tensor) => [tf.add(x, tf.engine().keep(lazy))],
      message: /outside the step/,
    },
    {
      name: "a shape that depends on data",
      step: (x: Tensor) => [tf.scalar(0), ...whereIn(x)],
      message: /shape depends on data/,
    },
  ])("refuses $name during a trace, and works on afterwards", ({ step, message }) => {
    const x = tf.tensor1d([0, 1]);
    expect(() => compile("bad", (input) => step(input!))(x)).toThrow(message);
    expect(readAndDispose(compile("good", (input) => [tf.add(input!, 1)])(x))[0]).toEqual(
      Float32Array.from([1, 2]),
    );
  });

  test("keeps the number of tensors constant", () => {
    const step = compile("add", (x) => [tf.add(x!, 1)]);
    const once = () => {
      const x = tf.ones([4]);
      readAndDispose(step(x));
      x.dispose();
    };
    once();
    const before = liveTensors();
    for (let i = 0; i < 200; i++) once();
    expect(liveTensors()).toBe(before);
  });

  test("tensor ids go past 2^31", () => {
    native.setNextTensorId(2 ** 31 - 3);
    const step = compile("past", (x) => [tf.mul(x!, 2)]);
    for (let i = 0; i < 6; i++) {
      const x = tf.tensor1d([i]);
      expect(readAndDispose(step(x))[0]).toEqual(Float32Array.from([2 * i]));
      x.dispose();
    }
  });

  test("an error names the compiled step and the op", () => {
    const step = compile("mismatch", (x) => [tf.matMul(x as never, tf.ones([3, 1]))]);
    expect(() => step(tf.ones([2, 2]))).toThrow(/compiling mismatch_\d+/);
  });
});

const outside = tf.add(tf.ones([2]), 1);
const lazy = tf.tensor1d([5, 6]);

/** An op whose output has as many rows as there are true values. */
function whereIn(x: Tensor): Tensor[] {
  const backend = tf.backend() as unknown as { where(condition: Tensor): Tensor };
  return [backend.where(tf.greater(x, 0))];
}
