import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { ownReward } from "../../src/reward/ownReward.ts";
import type { Reward } from "../../src/reward/reward.ts";
import { loadRewardFile } from "../../src/reward/rewardFile.ts";
import { answered } from "../support/answered.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

const folder = temporaryFolder();
const answer = {
  ...answered("wrote", [1], { level: 3 }),
  tokens: [7, 8],
  outcome: { kind: "answer", value: "x" },
} as const;
const limits = { timeoutSeconds: 60, concurrency: 8 };
const score = async (reward: Reward, given: Partial<typeof limits> = {}) =>
  ownReward("mine", reward, { ...limits, ...given })(answer);

test("a reward gets the row and what was answered", async () => {
  const seen: unknown[] = [];
  await score((input) => seen.push(input));
  expect(seen).toEqual([
    {
      id: "q1",
      question: "?",
      gold: [1],
      row: { id: "q1", question: "?", answer: [1], level: 3 },
      text: "wrote",
      tokens: [7, 8],
      outcome: { kind: "answer", value: "x" },
    },
  ]);
});

test("a score alone is correct from 1 on; a score with more says the rest itself", async () => {
  expect(await score(() => 1)).toEqual({ score: 1, correct: true, extracted: true });
  expect(await score(() => 0.99)).toEqual({ score: 0.99, correct: false, extracted: true });
  expect(await score(() => true)).toEqual({ score: 1, correct: true, extracted: true });
  const more = { score: -2, correct: true, vote: 7, logs: { words: 3 } };
  expect(await score(async () => more)).toEqual({ ...more, extracted: true, vote: "7" });
  expect(await score(() => ({ score: 0, vote: null }))).toMatchObject({ vote: null });
  const logs = { short: true, blank: false };
  expect(await score(() => ({ score: 0, logs }))).toMatchObject({ logs: { short: 1, blank: 0 } });
});

test.each<[string, () => unknown, string]>([
  [
    "throws",
    () => {
      throw new TypeError("no such word");
    },
    "TypeError: no such word",
  ],
  ["rejects", () => Promise.reject("a text"), 'it threw "a text"'],
  ["gives NaN", () => Number.NaN, "expected a finite number"],
  ["gives a bigint", () => 3n as never, "found 3n"],
  ["gives no score", () => undefined, "found undefined"],
  [
    "gives an infinite figure",
    () => ({ score: 1, logs: { a: 1 / 0 } }),
    "expected a finite number",
  ],
  ["gives a key that is none", () => ({ score: 1, corect: true }), "expected a finite number"],
  [
    "logs what the run logs itself",
    () => ({ score: 1, logs: { score: 1 } }),
    'another name than "score"',
  ],
])("what %s ends in one message with the row's id", async (_, reward, problem) => {
  const failure = score(reward as Reward);
  await expect(failure).rejects.toThrow('the reward mine failed on row "q1": ');
  await expect(failure).rejects.toThrow(problem);
  await expect(failure).rejects.toThrow("What was written before is intact");
});

test("a call without an end is one that failed", async () => {
  await expect(score(() => new Promise(() => {}), { timeoutSeconds: 0.05 })).rejects.toThrow(
    'the reward mine failed on row "q1": no score within 0.05 s',
  );
});

test("only so many calls run at once", async () => {
  let [running, most] = [0, 0];
  const scorer = ownReward(
    "mine",
    async () => {
      most = Math.max(most, ++running);
      await sleep(5);
      running--;
      return 1;
    },
    { ...limits, concurrency: 3 },
  );
  await Promise.all(Array.from({ length: 10 }, () => scorer(answer)));
  expect(most).toBe(3);
});

const write = (name: string, text: string) => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};

test("a TypeScript file is loaded with what it imports, and hashed with it", async () => {
  mkdirSync(join(folder, "words"), { recursive: true });
  const list = write("words/list.json", '["the"]');
  const helper = write(
    "words/count.ts",
    'import list from "./list.json";\nexport enum Weight { One = 1 }\nexport const count = (text: string): number => text.length * Weight.One * list.length;',
  );
  const mine = write(
    "mine.ts",
    'import { defineReward } from "reft";\nimport { count } from "./words/count.ts";\nexport default defineReward(({ text }) => count(text));',
  );
  const names = [mine, helper, list].map((path) => `reward ${path}`);
  const first = loadRewardFile(mine);
  expect(await first.reward({ ...answer, text: "abc" } as never)).toBe(3);
  expect(Object.keys(first.hashes).toSorted()).toEqual(names.toSorted());
  write("words/count.ts", "export const count = () => 5;");
  const second = loadRewardFile(mine);
  expect(await second.reward({ ...answer, text: "abc" } as never)).toBe(5);
  expect(second.hashes[names[0]!]).toBe(first.hashes[names[0]!]);
  expect(second.hashes[names[1]!]).not.toBe(first.hashes[names[1]!]);
});

test("JavaScript is loaded, too; an error has the line that threw it", async () => {
  const file = write(
    "plain.mjs",
    "export default ({ text }) => {\n  return text.length + gone.x;\n};\n",
  );
  const { reward } = loadRewardFile(file);
  await expect(score(reward)).rejects.toThrow(`ReferenceError: gone is not defined (${file}:2:`);
});

test.each([
  ["bad.ts", "export default (", /bad\.ts cannot be loaded: ParseError: .*bad\.ts:1/],
  ["throws.ts", 'throw new Error("at once");', /throws\.ts cannot be loaded: at once/],
  ["gone.ts", 'import "./not-there.ts";', /gone\.ts cannot be loaded: Cannot find module/],
  [
    "number.ts",
    "export default 3;",
    /number\.ts: expected a function as its default export, found 3/,
  ],
])("%s is refused", (name, text, message) => {
  expect(() => loadRewardFile(write(name, text))).toThrow(message);
});

test("a file that is not there is refused", () => {
  expect(() => loadRewardFile("rewards/none.ts")).toThrow(
    "reward: expected rewards/none.ts, found nothing there; check the path",
  );
});
