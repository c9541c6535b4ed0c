// The page as a file, and what of its script needs no browser; test/report/browser.test.ts has the rest.
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import type { CompletionSet, ReportData } from "../../src/report/data.ts";
import { pageScript, reportPage } from "../../src/report/html.ts";
import { readRun } from "../../src/report/read.ts";
import { makeRun } from "../support/reportRun.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

const hostile = `</script><script>alert(1)</script><img src=x onerror=alert(1)>\u001b[31m&"'`;
const run = readRun(
  makeRun(join(temporaryFolder(), "mine"), { figures: [{ "kl/reference": 0 }] }),
  hostile,
);
const data: ReportData = {
  ...{ made: "2026-01-01T00:00:00Z", figures: [], runs: [run], settings: [] },
  ...{ evaluations: [], comparisons: [], notes: [hostile], signs: [] },
};
const set: CompletionSet = {
  ...{ title: hostile, steps: [1, 2, 3] },
  counts: [[], [], []],
  questions: [
    { id: "a", question: "first", answer: "1" },
    { id: "b", question: "second", answer: "2" },
  ],
  texts: [hostile, "Loop"],
  rows: {
    ...{ question: [0, 1, 0, 1, 0, 1], step: [0, 0, 1, 1, 2, 2] },
    ...{ text: [0, 0, 0, 1, 0, 0], value: [0, 0, 0, 0, 0, 0], result: [1, 0, 0, 4, 0, 1] },
    ...{ score: [0, 1, 1, 0, 1, 0], isTruncated: [0, 0, 0, 0, 0, 0] },
  },
};

describe("the file", () => {
  const page = reportPage(data, [set]);

  test("holds no text of a run or a model as HTML", () => {
    expect(page).not.toContain("alert(1)</script>");
    expect(page).not.toContain("<img");
    expect(page.match(/<script/g)).toHaveLength(3);
    expect(page.match(/<\/script>/g)).toHaveLength(3);
  });

  test("holds everything, and its data comes out as it went in", () => {
    const packed = /id="packed-completions">([^<]*)</.exec(page)![1]!;
    expect(JSON.parse(gunzipSync(Buffer.from(packed, "base64")).toString())).toEqual([set]);
    expect(page).not.toMatch(/(?:src|href)="(?!data:)|url\(|@import|https?:\/\/(?!www\.w3\.org)/);
  });

  test("forbids every request before anything else", () => {
    const policy = page.indexOf("Content-Security-Policy");
    expect(page.slice(policy)).toMatch(/content="default-src 'none'; [^"]*img-src data:/);
    expect(policy).toBeLessThan(page.indexOf("<title>"));
  });
});

describe("the script", () => {
  test("makes text nodes alone, and is one module that can be parsed", () => {
    const script = pageScript();
    expect(script).not.toMatch(
      /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function/,
    );
    expect(script).not.toMatch(/^import |^export |<\/script/m);
    const file = join(temporaryFolder(), "page.mjs");
    writeFileSync(file, script);
    expect(spawnSync(process.execPath, ["--check", file], { encoding: "utf8" }).stderr).toBe("");
  });

  /** Its modules are JavaScript of a browser, which the compiler checks on its own. */
  const load = (name: string) =>
    import(new URL(`../../src/report/page/${name}`, import.meta.url).href);

  test("finds questions by what became of them, how they ended, and text", async () => {
    const { filtered } = await load("completions.js");
    const found = (by: object) =>
      filtered(set, { change: "any", result: "any", text: "", ...by }).map(
        ({ question }: { question: number }) => question,
      );
    expect(found({})).toEqual([0, 1]);
    expect(found({ change: "learned" })).toEqual([0]);
    expect(found({ change: "forgotten" })).toEqual([1]);
    expect(found({ change: "changing" })).toEqual([]);
    expect(found({ change: "always" })).toEqual([]);
    expect(found({ result: "4" })).toEqual([1]);
    expect(found({ text: "loop" })).toEqual([1]);
    expect(found({ text: "first" })).toEqual([0]);
  });

  test("has round ticks, and a span that holds the values and a band that is near", async () => {
    const { ticksOf, spanOf, nearest } = await load("charts.js");
    expect(ticksOf(0, 1)).toEqual([0, 0.5, 1]);
    expect(ticksOf(-3, 9)).toEqual([0, 5]);
    expect(ticksOf(2, 2)).toEqual([2]);
    const line = { run: 0, x: [0, 1], y: [0, 0.1], low: undefined, high: undefined };
    expect(spanOf([line], [0, 0.2], [])[1]).toBeGreaterThan(0.2);
    expect(spanOf([line], [0, 100], [])[1]).toBeLessThan(0.2);
    expect(spanOf([line], undefined, [])[0]).toBe(0);
    expect(spanOf([], undefined, [])).toEqual([0, 1]);
    expect([0.9, 2.4, 99].map((x) => nearest([0, 1, 2, 3], x))).toEqual([1, 2, 3]);
  });

  test("finds the text that was given to many questions, and when it came first", async () => {
    const { commonTexts } = await load("completions.js");
    const asked = [0, 1, 2, 3];
    const common = {
      ...set,
      steps: [0, 5],
      texts: ["all", "other"],
      rows: {
        ...{ question: [...asked, ...asked], step: [0, 0, 0, 0, 1, 1, 1, 1] },
        ...{ text: [0, 1, 1, 1, 0, 0, 0, 1], value: [0, 0, 0, 0, 0, 0, 0, 0] },
        ...{ result: [1, 0, 0, 0, 0, 1, 1, 0], score: [1, 1, 1, 1, 1, 0.5, 0, 1] },
        isTruncated: [0, 0, 0, 0, 0, 0, 0, 0],
      },
    };
    expect(commonTexts(common)).toEqual([
      { text: "all", questions: 3, of: 4, since: 0, right: 1 / 3, score: 0.5 },
    ]);
  });

  test("puts figures into the groups that explain them, own rewards' among the rollouts", async () => {
    const { groupsOf, outsideOf } = await load("curves.js");
    const { figureGroups } = await import("../../src/report/figures.ts");
    const curve = (name: string, value: number[]) => ({
      ...{ name, at: value.map((_, i) => i), value, notFinite: [] },
    });
    const measured = {
      ...run,
      axes: { step: [4, 5, 6], samples: [], minutes: [] },
      curves: [
        curve("reward/brevity", [1]),
        curve("response/truncatedFraction", [0, 0.5, 0.5]),
        curve("own/figure", [1]),
      ],
    };
    const groups = groupsOf({ ...data, figures: figureGroups, runs: [measured] });
    expect(
      groups.map(({ title, figures }: { title: string; figures: { name: string }[] }) => [
        title,
        figures.map(({ name }) => name),
      ]),
    ).toEqual([
      ["Rollouts", ["reward/brevity", "response/truncatedFraction"]],
      ["Other figures", ["own/figure"]],
    ]);
    const truncated = { name: "response/truncatedFraction", band: [0, 0.05] };
    expect(outsideOf(measured, truncated)).toEqual({ first: 5, share: 2 / 3, isNow: true });
    expect(outsideOf(measured, { name: "own/figure" })).toBeUndefined();
  });
});
