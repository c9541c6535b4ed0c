import { afterAll, describe, expect, test } from "vitest";
import { AdamW } from "../../src/engine/optimizer.ts";
import { liveTensors } from "../../src/engine/tf.ts";
import type { Question } from "../../src/generate/answer.ts";
import { disposeModel, loadModel } from "../../src/model/model.ts";
import {
  createSelfTrainer,
  goldAnswers,
  type RightAnswer,
  rightAnswers,
} from "../../src/ppo/selfTraining.ts";
import { Rng } from "../../src/rng.ts";
import { experienceOf } from "../support/experiences.ts";
import { goldenPath, largestDifference, readGolden, rowOf } from "../support/golden.ts";

describe("rightAnswers", () => {
  const [prompt, otherPrompt] = [[1], [1]]; // two questions, though alike
  const sampled = (of: readonly number[], text: string, score: number) =>
    experienceOf({ prompt: of, text, score, logprobs: [-1] });
  const experiences = [
    sampled(prompt, "a", 1),
    sampled(prompt, "b", 0.1),
    sampled(prompt, "a", 1),
    sampled(prompt, "c", 1),
    sampled(otherPrompt, "a", 1),
    sampled(otherPrompt, "d", 0),
  ];
  const found = (gold: readonly RightAnswer[]) =>
    rightAnswers(experiences, gold).map(({ text, prompt, isGold }) => [
      text,
      prompt === otherPrompt ? 2 : 1,
      isGold,
    ]);

  test("keeps what is right, each text once per question", () => {
    expect(found([])).toEqual([
      ["a", 1, false],
      ["c", 1, false],
      ["a", 2, false],
    ]);
  });

  test("puts gold answers first, in place of a response with the same text", () => {
    const gold = [{ prompt, response: [5], text: "c", isGold: true }];
    expect(found(gold)).toEqual([
      ["c", 1, true],
      ["a", 1, false],
      ["a", 2, false],
    ]);
  });
});

describe("goldAnswers", () => {
  const tokenizer = {
    eosId: 0,
    encode: (text: string) => [...text].map((char) => char.charCodeAt(0)),
  } as unknown as Parameters<typeof goldAnswers>[0];
  const questionOf = (cot: string | undefined): Question => ({
    example: { id: "q", question: "?", answer: 1, ...(cot !== undefined && { cot }) },
    prompt: { tokens: [63, 97], prefixTokens: [97] },
  });

  test("go on where the prompt ends, and end in EOS", () => {
    expect(goldAnswers(tokenizer, [questionOf("abc")], 3)).toEqual([
      { prompt: [63, 97], response: [98, 99, 0], text: "abc", isGold: true },
    ]);
  });

  test("are left out where the data has none, or a longer one than a response may be", () => {
    expect(goldAnswers(tokenizer, [questionOf(undefined), questionOf("abcd")], 3)).toEqual([]);
  });
});

describe("createSelfTrainer", () => {
  const model = loadModel(goldenPath("models", "multi-head"));
  const adamW = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, maxGradNorm: 1 };
  const optimizer = new AdamW([{ variables: [...model.parameters.values()] }], adamW);
  const createTrainer = (epochs: number, miniBatchSize: number, microBatchTokens = 1000) =>
    createSelfTrainer(model, optimizer, { epochs, miniBatchSize, microBatchTokens });
  afterAll(() => {
    optimizer.dispose();
    disposeModel(model);
  });

  // Expected values: PyTorch and transformers, scripts/golden/sft.py.
  const golden = readGolden("sft", "golden.safetensors");
  const [steps, rows] = golden.get("lengths")!.shape as [number, number];
  /** The rows of one step; the response is what the loss mask covers. */
  const answersOf = (step: number): RightAnswer[] =>
    Array.from({ length: rows }, (_, row) => {
      const index = step * rows + row;
      const tokens = rowOf(golden.get("tokens")!, index, golden.get("lengths")!.values[index]!);
      const begin = rowOf(golden.get("lossMask")!, index).indexOf(1);
      const [prompt, response] = [tokens.slice(0, begin), tokens.slice(begin)];
      return { prompt, response, text: "", isGold: row === 0 };
    });

  test("does to given answers what supervised fine-tuning does, in microbatches, too", () => {
    const trainer = createTrainer(1, rows, 30);
    for (let step = 0; step < steps; step++) {
      const rate = golden.get("learningRates")!.values[step]!;
      const rates = { policy: rate, valueHead: null };
      const figures = trainer.update(answersOf(step), rates, Rng.named(1, "x"));
      expect(figures.loss).toBeCloseTo(golden.get("losses")!.values[step]!, 5);
      expect(figures.gradNorm).toBeCloseTo(golden.get("gradNorms")!.values[step]!, 4);
      expect(figures).toMatchObject({ keptResponses: rows - 1, goldAnswers: 1 });
    }
    for (const [name, variable] of model.parameters) {
      const expected = golden.get(`final.${name}`)!.values;
      expect(largestDifference(variable.values(), expected), name).toBeLessThan(1e-5);
    }
    trainer.dispose();
  });

  test("makes as many updates as the size of minibatches asks for, of about the same size", () => {
    const trainer = createTrainer(2, 3);
    const before = optimizer.updates()[0]!;
    const rates = { policy: 1e-3, valueHead: null };
    trainer.update(answersOf(0), rates, Rng.named(1, "x")); // 4 answers: twice 2 and 2
    expect(optimizer.updates()[0]! - before).toBe(4);
    const live = liveTensors();
    trainer.update(answersOf(0), rates, Rng.named(1, "y"));
    expect(liveTensors()).toBe(live);
    trainer.dispose();
  });

  test("without anything right changes nothing", () => {
    const trainer = createTrainer(1, 3);
    const state = () => [...optimizer.moments().values()].map((moment) => moment.values());
    const before = [state(), optimizer.updates()];
    const figures = trainer.update([], { policy: 1, valueHead: null }, Rng.named(1, "x"));
    expect(figures).toEqual({
      keptResponses: 0,
      goldAnswers: 0,
      loss: 0,
      gradNorm: 0,
      skipped: [],
    });
    expect([state(), optimizer.updates()]).toEqual(before);
    trainer.dispose();
  });
});
