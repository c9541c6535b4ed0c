import { describe, expect, test } from "vitest";
import { wilsonInterval } from "../../src/evaluate/intervals.ts";
import { curvesOf, type Metric, summariseShares } from "../../src/evaluate/summary.ts";

describe("summariseShares", () => {
  const questions = [1, 0, 1, 1].map((top1, i) => ({
    id: `q${i}`,
    shares: { top1, "voting@5": i / 4 },
  }));

  test("averages every metric over the questions: top1 with Wilson's interval, the others by the bootstrap", () => {
    const metrics = summariseShares(questions, 1);
    expect(metrics.top1).toEqual({ accuracy: 3 / 4, confidence95: wilsonInterval(3, 4) });
    expect(metrics["voting@5"]!.accuracy).toBe(1.5 / 4); // (0 + 1 + 2 + 3) / 4 / 4
    // the lowest mean that four draws give is 0, the highest 3 / 4
    const [low, high] = metrics["voting@5"]!.confidence95;
    expect(low).toBeGreaterThan(0);
    expect(low).toBeLessThan(1.5 / 4);
    expect(high).toBeGreaterThan(1.5 / 4);
    expect(high).toBeLessThan(3 / 4);
  });

  test("depends on nothing but the shares and the seed", () => {
    expect(summariseShares(questions, 1)).toEqual(summariseShares(questions, 1));
  });
});

describe("curvesOf", () => {
  const metric: Metric = { accuracy: 0.5, confidence95: [0.4, 0.6] };

  test("gives each method that was measured with k ascending, without Top-1", () => {
    const names = ["top1", "pass@10", "pass@2", "voting@2", "voting@10"];
    const curves = curvesOf(Object.fromEntries(names.map((name) => [name, metric])));
    expect(curves.map(({ method, points }) => [method, ...points.map(({ k }) => k)])).toEqual([
      ["voting", 2, 10],
      ["pass", 2, 10],
    ]);
    expect(curves[0]!.points[0]).toEqual({ k: 2, ...metric });
    expect(curvesOf({ top1: metric })).toEqual([]);
  });
});
