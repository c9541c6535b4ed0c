import { describe, expect, test } from "vitest";
import type { StepSigns } from "../../src/ppo/alarms.ts";
import { createCollapseWatch } from "../../src/ppo/collapse.ts";

const healthy: StepSigns = {
  ...{ isScoreConstant: false, score: 0.3, groupsWithoutSpread: 0.5, correctFraction: 0.3 },
  ...{ klReference: 0.01, entropy: 0.4, extractedFraction: 0.9, truncatedFraction: 0.1 },
  ...{ timeoutFraction: 0, isFull: true },
};
const limits = {
  ...{ maxLogprobGap: 1e-4, maxInfrastructureFraction: 0.05, constantScoreSteps: 5 },
  ...{ negativeKlSteps: 5, minExtractedFraction: 0.5, maxTruncatedFraction: 0.2 },
  ...{ collapseSteps: 3, maxKl: 1 },
};

/** What is said after each step of a run. */
function said(signs: readonly Partial<StepSigns>[]) {
  const { after } = createCollapseWatch(limits);
  return signs.map((sign) => after({ ...healthy, ...sign })?.message);
}
const three = <T>(value: T) => [value, value, value];

describe("createCollapseWatch", () => {
  test.each<[string, Partial<StepSigns>, string]>([
    ["no reward", { isScoreConstant: true, score: 0 }, "reward/score is 0, of all responses"],
    ["no entropy", { entropy: 0.0001 }, "response/entropyEstimate is 0.0001, below 0.001"],
    ["a large KL", { klReference: 1.5 }, "kl/reference is 1.5, above 1"],
    ["few answers", { extractedFraction: 0.4 }, "reward/extractedFraction is 0.4, below 0.5"],
    ["truncation", { truncatedFraction: 0.9 }, "response/truncatedFraction is 0.9, above 0.2"],
  ])("says %s with its figure, once, after so many steps in a row", (_, sign, text) => {
    const message = `the policy has collapsed, for 3 steps: ${text}`;
    const given = said([{}, sign, sign, {}, ...three(sign), sign, {}, ...three(sign)]);
    const at = given.flatMap((message, i) => (message === undefined ? [] : [i]));
    expect(at).toEqual([6, 11]);
    expect(given[6]).toBe(message);
  });

  test("says nothing at the limits, of scores that are all alike but not 0, and without figures", () => {
    const limit = {
      ...{ entropy: 0.001, klReference: 1, extractedFraction: 0.5, truncatedFraction: 0.2 },
    };
    const right = { isScoreConstant: true, score: 1 };
    const without = { entropy: undefined, klReference: undefined };
    for (const sign of [limit, right, without]) expect(said(three(sign))).toEqual(three(undefined));
  });

  test("names all that is so, and goes on counting where it was stopped", () => {
    const collapsed = { ...healthy, entropy: 0, klReference: 2 };
    const stopped = createCollapseWatch(limits);
    for (const signs of [{ ...healthy, entropy: 0 }, collapsed])
      expect(stopped.after(signs)).toBeUndefined();
    const resumed = createCollapseWatch(limits, stopped.counts());
    expect(resumed.after(collapsed)).toEqual({
      steps: 3,
      figures: { "response/entropyEstimate": 0 },
      message: expect.stringContaining("response/entropyEstimate is 0, below 0.001"),
    });
    expect(resumed.after(collapsed)).toMatchObject({
      figures: { "response/entropyEstimate": 0, "kl/reference": 2 },
    });
    expect(resumed.after(collapsed)).toBeUndefined();
  });

  test("says after the next step what fewer steps than before would have said, and once", () => {
    const collapsed = { ...healthy, entropy: 0 };
    const goesOn = (steps: number) => {
      const stopped = createCollapseWatch({ ...limits, collapseSteps: 5 });
      for (let step = 0; step < steps; step++) stopped.after(collapsed);
      const before = { ...limits, collapseSteps: 5 };
      const watch = createCollapseWatch(limits, stopped.counts(), before);
      return [watch.after(collapsed), watch.after(collapsed)].map((said) => said?.steps);
    };
    expect(goesOn(1)).toEqual([undefined, 3]);
    expect(goesOn(4)).toEqual([3, undefined]);
    expect(goesOn(5)).toEqual([undefined, undefined]);
  });
});
