import { describe, expect, test } from "vitest";
import { accuracyPicture } from "../../src/evaluate/picture.ts";
import type { Metrics } from "../../src/evaluate/summary.ts";

const metricsOf = (accuracies: Record<string, number>): Metrics =>
  Object.fromEntries(
    Object.entries(accuracies).map(([name, accuracy]) => [
      name,
      { accuracy, confidence95: [Math.max(0, accuracy - 0.05), Math.min(1, accuracy + 0.05)] },
    ]),
  );

const metrics = metricsOf({
  ...{ top1: 0.3, "voting@1": 0.25, "voting@4": 0.35, "voting@16": 0.45 },
  ...{ "pass@1": 0.25, "pass@4": 0.6, "pass@16": 0.95 },
});

/** The points of one method's line. */
function lineOf(picture: string, method: string): [x: number, y: number][] {
  const points = new RegExp(`class="${method}">.*?<polyline class="line" points="([^"]*)"`);
  return points
    .exec(picture)![1]!
    .split(" ")
    .map((point) => point.split(",").map(Number) as [number, number]);
}

/** What is written where, by its text. */
function textsOf(picture: string): Map<string, { x: number; y: number }> {
  const texts = picture.matchAll(/<text x="([\d.-]+)" y="([\d.-]+)"[^>]*>([^<]*)</g);
  return new Map([...texts].map(([, x, y, text]) => [text!, { x: Number(x), y: Number(y) }]));
}

describe("accuracyPicture", () => {
  test("draws k on a logarithmic axis: 4 stands half way between 1 and 16", () => {
    const [one, four, sixteen] = lineOf(accuracyPicture(metrics), "voting").map(([x]) => x);
    expect(four! - one!).toBeCloseTo(sixteen! - four!, 6);
    const texts = textsOf(accuracyPicture(metrics));
    expect([1, 4, 16].map((k) => texts.get(String(k))!.x)).toEqual([one, four, sixteen]);
  });

  test("draws percent on a linear axis that encloses every interval", () => {
    // intervals reach from 20 to 100 %, so ticks stand at 20, 40, ... 100
    const texts = textsOf(accuracyPicture(metrics));
    const height = (percent: number) => texts.get(String(percent))!.y - 4;
    const unit = (height(20) - height(100)) / 80;
    const line = lineOf(accuracyPicture(metrics), "pass");
    for (const [i, percent] of [25, 60, 95].entries())
      expect(line[i]![1]).toBeCloseTo(height(20) - (percent - 20) * unit, 0);
    expect([...texts.keys()]).toContain("accuracy, %");
  });

  test("shows Top-1 as a dashed level, and without it does not", () => {
    const picture = accuracyPicture(metrics);
    const level = /class="line top1" d="M[\d.]+ ([\d.]+)H/.exec(picture)![1];
    expect(Number(level)).toBe(textsOf(picture).get("Top-1")!.y - 4);
    expect(picture).toMatch(/\.top1 \{[^}]*stroke-dasharray/);
    const { top1, ...others } = metrics;
    expect(accuracyPicture(others)).not.toContain("Top-1");
  });

  test.each([0.5, 0])(
    "moves labels apart that would overlap, here near %d, within the plot",
    (at) => {
      const close = { "reranking@1": at + 0.002, top1: at + 0.001, "voting@1": at };
      const picture = accuracyPicture(metricsOf({ "pass@1": 0.9, ...close }));
      const texts = textsOf(picture);
      const labels = ["pass@k", "Rerank@k", "Top-1", "Voting@k"].map((name) => texts.get(name)!.y);
      for (const i of [1, 2, 3]) expect(labels[i]! - labels[i - 1]!).toBeGreaterThanOrEqual(14.9);
      const bottom = /class="grid" d="M\d+ ([\d.]+)H/.exec(picture)![1]; // the lowest tick comes first
      expect(labels[3]! - 4).toBeLessThanOrEqual(Number(bottom));
    },
  );

  test.each([
    ["all are wrong", metricsOf({ top1: 0, "voting@1": 0, "voting@2": 0 })],
    ["all are right", metricsOf({ top1: 1, "pass@1": 1 })],
    ["there is no width", { "voting@1": { accuracy: 0.5, confidence95: [0.5, 0.5] } } as Metrics],
  ])("has no broken number where %s", (_, given) => {
    expect(accuracyPicture(given)).not.toMatch(/NaN|Infinity|undefined/);
  });

  test("closes what it opens", () => {
    const open: string[] = [];
    for (const [, end, name, empty] of accuracyPicture(metrics).matchAll(
      /<(\/?)(\w+)[^>]*?(\/?)>/g,
    )) {
      if (end) expect(open.pop()).toBe(name);
      else if (!empty) open.push(name!);
    }
    expect(open).toEqual([]);
  });
});
