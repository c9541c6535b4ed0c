import { expect, test } from "vitest";
import { explainedVariance } from "../../src/ppo/summary.ts";
import { experienceOf } from "../support/experiences.ts";
import { readGolden, rowOf } from "../support/golden.ts";

// Expected values: PyTorch, scripts/golden/ppo.py.
test.each(["program", "language", "discounted"])(
  "explainedVariance equals PyTorch's over all tokens, %s",
  (name) => {
    const golden = readGolden("ppo", `${name}.safetensors`);
    const credited = [...golden.get("lengths")!.values].map((length, row) => {
      const [logprobs, values, returns] = ["newLogprobs", "newValues", "returns"].map((key) =>
        Float32Array.from(rowOf(golden.get(key)!, row, length)),
      );
      const experience = experienceOf({
        ...{ prompt: [row], score: 1 },
        ...{ logprobs: logprobs!, values: values! },
      });
      return { ...experience, advantages: new Float32Array(length), returns: returns! };
    });
    expect(explainedVariance(credited)).toBeCloseTo(golden.get("explainedVariance")!.values[0]!, 5);
  },
);
