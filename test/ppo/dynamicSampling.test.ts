import { expect, test } from "vitest";
import { differingAnswers, questionRounds } from "../../src/ppo/dynamicSampling.ts";
import { Rng } from "../../src/rng.ts";
import { experienceOf } from "../support/experiences.ts";

const all = Array.from({ length: 11 }, (_, i) => i);
const rounds = (own: readonly number[], maxRounds: number, seed = 1) => [
  ...questionRounds(own, all, maxRounds, Rng.named(seed, "further")),
];

test("the step's own questions come first, then others; none comes twice", () => {
  const asked = rounds([4, 2, 7], 100);
  expect(asked[0]).toEqual([4, 2, 7]);
  expect(asked.map((round) => round.length)).toEqual([3, 3, 3, 2]);
  expect(asked.flat().toSorted((a, b) => a - b)).toEqual(all);
});

test("there are at most maxRounds rounds, the first of more rounds", () => {
  for (const most of [1, 2, 3])
    expect(rounds([0, 1, 2], most)).toEqual(rounds([0, 1, 2], 9).slice(0, most));
});

test("which others are asked depends on the stream alone", () => {
  expect(rounds([0, 1], 4)).toEqual(rounds([0, 1], 4));
  expect(rounds([0, 1], 4)).not.toEqual(rounds([0, 1], 4, 2));
});

test("of the questions whose responses differ in score the first so many are kept, with all of their answers", () => {
  const scores = [[1, 1], [0, 1, 0], [0.1], [0.1, 0], [1, 0]];
  const answers = scores.flatMap((group, question) => {
    const made = group.map(
      (score) => experienceOf({ prompt: [question], score, logprobs: [-1] }).answer,
    );
    return made.map((answer) => ({ ...answer, question: made[0]!.question }));
  });
  const kept = (most: number) =>
    differingAnswers(answers, most).map((group) => group.map(({ verdict }) => verdict.score));
  expect(kept(2)).toEqual([
    [0, 1, 0],
    [0.1, 0],
  ]);
  expect(kept(9)).toEqual([
    [0, 1, 0],
    [0.1, 0],
    [1, 0],
  ]);
});
