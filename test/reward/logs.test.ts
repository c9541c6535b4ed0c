import { expect, test } from "vitest";
import type { Verdict } from "../../src/reward/judge.ts";
import { meanLogs } from "../../src/reward/logs.ts";

const verdict = (logs?: Verdict["logs"]): Verdict => ({
  outcome: { kind: "answer", value: 1 },
  score: 1,
  correct: true,
  extracted: true,
  ...(logs && { logs }),
});

test("a figure's mean is over the answers that have it", () => {
  const verdicts = [verdict({ words: 4 }), verdict({ words: 8, lines: 3 }), verdict()];
  expect(meanLogs(verdicts)).toEqual({ "reward/words": 6, "reward/lines": 3 });
  expect(meanLogs([verdict()])).toEqual({});
});
