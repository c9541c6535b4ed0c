import { describe, expect, test } from "vitest";
import type { PpoConfig } from "../../src/config.ts";
import type { StepSigns } from "../../src/ppo/alarms.ts";
import { objectiveOf } from "../../src/ppo/objectives/choose.ts";
import type { Experience } from "../../src/ppo/rollout.ts";
import { rightLesson } from "../../src/ppo/selfTraining.ts";
import { experienceOf } from "../support/experiences.ts";
import { largestDifference, readGolden, rowOf } from "../support/golden.ts";

// Expected values: TRL's formulas in PyTorch, scripts/golden/groups.py.
const golden = readGolden("groups", "golden.safetensors");
const [klCoefficient] = golden.get("settings")!.values as Float32Array;
const settings = {
  ppoEpochs: 1,
  miniBatchSize: 12,
  clipRange: 0.2,
  klCoefficient: klCoefficient!,
  partialReward: 0.1,
};
const gaeSettings = {
  ...{
    advantages: "gae" as const,
    gamma: 1,
    gaeLambda: 0.95,
    valueClipRange: 0.2,
    valueCoefficient: 5,
  },
  valueWarmupSteps: 0,
} as const;
const withAdvantages = (experiences: readonly Experience[], ppo: PpoConfig) =>
  objectiveOf(ppo).credit(experiences);
const samples = 4;
const prompts = Array.from({ length: 4 }, (_, question) => [question]);

/** The golden responses that the sandbox could judge, question by question, with their rows. */
const rows = [...golden.get("isReal")!.values.keys()].filter(
  (row) => golden.get("isReal")!.values[row] === 1,
);
const experiences = rows.map((row) => {
  const of = (name: string) => rowOf(golden.get(name)!, row, golden.get("lengths")!.values[row]!);
  return experienceOf({
    prompt: prompts[Math.floor(row / samples)]!,
    // As the reward has it: 0.1 is a double, the golden file holds the nearest float.
    score: Math.round(10 * golden.get("scores")!.values[row]!) / 10,
    logprobs: of("logprobs"),
    referenceLogprobs: of("referenceLogprobs"),
  });
});

describe.each(["grpo", "rloo"] as const)("%s", (advantages) => {
  const credited = withAdvantages(experiences, { advantages, ...settings });

  test("equals TRL, groups that lost responses included", () => {
    const expected = golden.get(`${advantages}Advantages`)!.values;
    expect(
      largestDifference(
        credited.map((experience) => experience.advantages[0]!),
        rows.map((row) => expected[row]!),
      ),
    ).toBeLessThan(1e-6);
  });

  test("gives all tokens of a response the same, and has nothing for a value head", () => {
    for (const { advantages, returns, response } of credited) {
      expect(advantages).toEqual(new Float32Array(response.length).fill(advantages[0]!));
      expect(returns).toHaveLength(0);
    }
  });

  test("a response that is alone with its question has advantage 0", () => {
    const [alone] = withAdvantages([experiences.at(-1)!], { advantages, ...settings });
    expect([...new Set(alone!.advantages)]).toEqual([0]);
  });

  test("groups by question, in whatever order the responses come", () => {
    const interleaved = experiences.toSorted((a, b) => b.response.length - a.response.length);
    const again = withAdvantages(interleaved, { advantages, ...settings });
    const byLogprobs = (list: typeof credited) =>
      new Map(list.map((e) => [e.answer, e.advantages[0]!]));
    for (const [answer, advantage] of byLogprobs(again))
      expect(advantage).toBeCloseTo(byLogprobs(credited).get(answer)!, 6);
  });
});

// Expected values: the authors' formulas in PyTorch, scripts/golden/ppo.py.
test.each(["program", "language", "discounted"])(
  "gae makes PyTorch's advantages and returns of scores, log-probabilities and values, %s",
  (name) => {
    const authors = readGolden("ppo", `${name}.safetensors`);
    const [klCoefficient, gamma, gaeLambda] = authors.get("settings")!.values as Float32Array;
    const lengths = [...authors.get("lengths")!.values];
    const rowsOf = (key: string) =>
      lengths.map((length, row) => rowOf(authors.get(key)!, row, length));
    const given = ["logprobs", "referenceLogprobs", "values"].map(rowsOf);
    const responses = lengths.map((_, row) => {
      const [logprobs, referenceLogprobs, values] = given.map((rows) => rows[row]!);
      const score = authors.get("scores")!.values[row]!;
      return experienceOf({
        ...{ prompt: [row], score },
        ...{ logprobs: logprobs!, referenceLogprobs: referenceLogprobs!, values: values! },
      });
    });
    const credited = withAdvantages(responses, {
      ...{ ...settings, ...gaeSettings, klCoefficient: klCoefficient! },
      ...{ gamma: gamma!, gaeLambda: gaeLambda! },
    });
    const [advantages, returns] = ["whitenedAdvantages", "returns"].map(rowsOf);
    credited.forEach((response, row) => {
      expect(largestDifference(response.advantages, advantages![row]!)).toBeLessThan(2e-6);
      expect(largestDifference(response.returns, returns![row]!)).toBeLessThan(1e-6);
    });
  },
);

test("grpo ignores the reference, rloo takes the summed penalty off the reward", () => {
  const prompt = [1];
  const pair = [
    { prompt, score: 1, logprobs: [-1, -1], referenceLogprobs: [-2, -2] }, // penalty 0.5 * 2
    { prompt, score: 0, logprobs: [-1, -1], referenceLogprobs: [-1, -1] },
  ].map(experienceOf);
  const advantageOf = (advantages: "grpo" | "rloo") =>
    withAdvantages(pair, { advantages, ...settings, klCoefficient: 0.5 })[0]!.advantages[0];
  // deviation of 1 and 0: sqrt(0.5); 0.5 / (0.7071 + 0.0001)
  expect(advantageOf("grpo")).toBeCloseTo(0.7070068, 6);
  expect(advantageOf("rloo")).toBe(0); // 1 - 1 against 0
});

// In `flatGroups` each question has its own score, the same for all of its responses: value heads learn from it, groups do not.
const signs: StepSigns = {
  ...{ isScoreConstant: false, groupsWithoutSpread: 0.5, correctFraction: 0.3, klReference: 0 },
  ...{
    score: 0.3,
    entropy: 1,
    extractedFraction: 1,
    truncatedFraction: 0,
    timeoutFraction: 0,
    isFull: true,
  },
};
const flatGroups = { groupsWithoutSpread: 1 };
const constant = { isScoreConstant: true, groupsWithoutSpread: 1, correctFraction: 1 };
const lessons = {
  gae: objectiveOf({ ...settings, ...gaeSettings }).lesson,
  grpo: objectiveOf({ ...settings, advantages: "grpo" }).lesson,
  rloo: objectiveOf({ ...settings, advantages: "rloo" }).lesson,
  selfTraining: rightLesson,
};
test.each([
  ["gae", flatGroups, false],
  ["gae", constant, true],
  ["grpo", {}, false],
  ["grpo", flatGroups, true],
  ["rloo", flatGroups, true],
  ["selfTraining", constant, false],
  ["selfTraining", { correctFraction: 0 }, true],
] as const)("%s, given %o: nothing to learn from? %s", (name, sign, isMissing) => {
  expect(lessons[name].isMissing({ ...signs, ...sign })).toBe(isMissing);
});
