import { describe, expect, test } from "vitest";
import { type Candidate, createVote } from "../../src/evaluate/vote.ts";

/** The answer that wins among these, given as answers, or as answers with their P(correct). */
function winner(
  ...given: (Candidate["answer"] | [answer: string | number, probability: number])[]
) {
  const candidates = given.map((one) =>
    Array.isArray(one)
      ? { answer: one[0], probability: one[1], correct: false }
      : { answer: one, correct: false },
  );
  const weightOf = ({ probability }: Candidate) => probability ?? 1;
  return createVote(candidates)([...candidates.keys()], weightOf)?.answer;
}

describe("createVote", () => {
  test("the answer that most candidates have wins", () => {
    expect(winner(3, 5, 4, 5)).toBe(5);
  });

  test("of answers with equal votes the one sampled first wins", () => {
    expect(winner(1, 2, 2, 1)).toBe(1);
    expect(winner(7, 8, 9)).toBe(7);
  });

  test("answers are the same where the reward takes them for the same: 3.33 and 3.3333, 1,000 and 1e3, b and (B)", () => {
    expect(winner(4, 3.33, 4, 3.3333, 3.3366)).toBe(3.33);
    expect(winner(7, "1,000", "1e3")).toBe("1,000");
    expect(winner("a", "b", "(B)")).toBe("b");
    expect(winner(7, 7, "$12.50", "25/2", 12.5)).toBe("$12.50");
  });

  test("where the reward says what an answer votes for, texts are compared, and null does not vote", () => {
    const candidates = [
      { answer: 1, correct: false, vote: "x" },
      { answer: 2, correct: false, vote: null },
      { answer: 2, correct: false, vote: null },
      { answer: 3, correct: true, vote: "x" },
      { answer: 1, correct: false },
      { answer: 4, correct: false, vote: "1" }, // is not the answer 1
    ];
    const places = [...candidates.keys()];
    expect(createVote(candidates)(places, () => 1)).toBe(candidates[0]);
    expect(createVote(candidates)([2, 1], () => 1)).toBeUndefined();
    expect(createVote(candidates)([5, 4], () => 1)).toBe(candidates[5]);
  });

  test("an answer joins the first group whose first member it equals, not one that is near by a chain", () => {
    // 1.016 is 0.008 from 1.008, but 0.016 from 1, which stands for the group: 2 votes, 1 vote, and 3 votes for 5
    expect(winner(1, 1.008, 1.016, 5, 5, 5)).toBe(5);
    // 1.008 first: both others are within 0.01 of it
    expect(winner(1.008, 1, 1.016, 5, 5)).toBe(1.008);
  });

  test("candidates without an answer do not vote, and where none has one, none wins", () => {
    expect(winner(undefined, undefined, 6)).toBe(6);
    expect(winner(undefined, undefined)).toBeUndefined();
    expect(winner()).toBeUndefined();
  });

  test("what is neither number nor choice equals nothing, itself included, so it cannot gather votes", () => {
    expect(winner("many", "many", "many", 6, 6)).toBe(6);
  });

  test("weights are summed by answer", () => {
    // 1: 0.9; 2: 0.5 + 0.5 = 1.0; 3: 0.3 + 0.3 + 0.3 = 0.9
    expect(winner([1, 0.9], [3, 0.3], [2, 0.5], [3, 0.3], [2, 0.5], [3, 0.3])).toBe(2);
    expect(winner([1, 0], [2, 0])).toBe(1);
  });

  test("only the chosen vote, in the order in which they are given", () => {
    const candidates = [1, 2, 2, 3].map((answer) => ({ answer, correct: answer === 3 }));
    const vote = createVote(candidates);
    expect(vote([3, 0], () => 1)).toBe(candidates[3]);
    expect(vote([0, 2, 1], () => 1)).toBe(candidates[2]);
    expect(vote([], () => 1)).toBeUndefined();
  });
});
