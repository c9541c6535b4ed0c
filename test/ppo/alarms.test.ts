import { describe, expect, test } from "vitest";
import { createAlarms, type Lesson, type StepSigns } from "../../src/ppo/alarms.ts";

const healthy: StepSigns = {
  isScoreConstant: false,
  score: 0.3,
  entropy: 1,
  groupsWithoutSpread: 0.5,
  correctFraction: 0.3,
  klReference: 0.01,
  extractedFraction: 0.9,
  truncatedFraction: 0.1,
  timeoutFraction: 0,
  isFull: true,
};

const limits = {
  maxLogprobGap: 1e-4,
  maxInfrastructureFraction: 0.05,
  constantScoreSteps: 3,
  negativeKlSteps: 2,
  minExtractedFraction: 0.5,
  maxTruncatedFraction: 0.2,
};

const lesson: Lesson = {
  isMissing: ({ isScoreConstant }) => isScoreConstant,
  text: "all responses of a step score the same",
};

/** The warnings of each step of a run. */
function warnings(signs: readonly Partial<StepSigns>[], hasKlPenalty = true): string[][] {
  const { after } = createAlarms(limits, lesson, hasKlPenalty);
  return signs.map((sign) => after({ ...healthy, ...sign }).map(({ message }) => message));
}

describe("createAlarms", () => {
  test("says nothing about a healthy run, nor at the limits themselves", () => {
    const limit = {
      extractedFraction: 0.5,
      truncatedFraction: 0.2,
      timeoutFraction: 0.05,
      klReference: 0,
    };
    expect(warnings([{}, limit, limit, limit]).flat()).toEqual([]);
  });

  test.each([
    [
      "a constant score",
      { isScoreConstant: true },
      3,
      "for 3 steps, all responses of a step score the same",
    ],
    [
      "a negative mean KL",
      { klReference: -1e-6 },
      2,
      "for 2 steps, the mean KL to the reference is negative",
    ],
    ["nothing that is right", { correctFraction: 0 }, 3, "no response is right although answers"],
    ["collapse", { extractedFraction: 0.49 }, 1, "fewer than 50 % of the responses give an answer"],
    [
      "truncation",
      { truncatedFraction: 0.21 },
      1,
      "more than 20 % of the responses end without EOS",
    ],
    ["time-outs", { timeoutFraction: 0.06 }, 1, "more than 5 % of the programs run into"],
    ["too few questions", { isFull: false }, 1, "ppo.dynamicSampling.maxRounds is reached"],
  ])("warns once of %s when it begins, and again when it comes back", (_, sign, steps, text) => {
    const lasting = Array.from({ length: steps + 3 }, () => sign);
    const firesAt = (given: string[][]) => given.flatMap((said, i) => (said.length > 0 ? [i] : []));
    const said = warnings([{}, ...lasting, {}, ...lasting]);
    expect(firesAt(said)).toEqual([steps, lasting.length + 1 + steps]);
    for (const message of said.flat()) expect(message).toContain(text);
  });

  test("cannot say that the KL is negative without a reference", () => {
    const without = { klReference: undefined };
    expect(warnings([without, without, without]).flat()).toEqual([]);
  });

  test("starts to count again after a step without the sign", () => {
    const constant = { isScoreConstant: true };
    expect(warnings([constant, constant, {}, constant, constant]).flat()).toEqual([]);
  });

  test("names ppo.klCoefficient only to those who have it", () => {
    const collapse = [{ extractedFraction: 0 }];
    expect(warnings(collapse).flat()[0]).toContain("or raise ppo.klCoefficient");
    expect(warnings(collapse, false).flat()[0]).not.toContain("klCoefficient");
  });

  test("writes its limits as they were given", () => {
    const given = { ...limits, minExtractedFraction: 0.29, maxTruncatedFraction: 0.07 };
    const signs = { ...healthy, extractedFraction: 0, truncatedFraction: 1 };
    const said = createAlarms(given, lesson, true).after(signs);
    expect(said.map(({ message }) => message.split(" of")[0])).toEqual([
      "fewer than 29 %",
      "more than 7 %",
    ]);
  });

  test("names what it saw, with its figures", () => {
    const { after } = createAlarms(limits, lesson, true);
    const [alarm] = after({ ...healthy, extractedFraction: 0.25 });
    expect(alarm).toMatchObject({
      name: "fewAnswers",
      figures: { "reward/extractedFraction": 0.25 },
    });
  });

  test("goes on counting where it was stopped", () => {
    const constant = { ...healthy, isScoreConstant: true };
    const stopped = createAlarms(limits, lesson, true);
    for (const signs of [constant, constant]) expect(stopped.after(signs)).toEqual([]);
    const resumed = createAlarms(limits, lesson, true, stopped.counts());
    expect(resumed.after(constant)).toHaveLength(1);
    expect(resumed.after(constant)).toEqual([]);
  });
});
