// Many answers to each question at temperature 1, judged and written as they come, resumable.
import type { KvCacheDtype } from "../config.ts";
import type { Tokenizer } from "../data/tokenizer.ts";
import { type Manifest, openBlockFile } from "../formats/blockFile.ts";
import type { Model } from "../model/model.ts";
import type { Judge } from "../reward/judge.ts";
import { isSample, type Sample } from "../reward/samples.ts";
import {
  type Answer,
  answerQuestions,
  answerRecord,
  checkFailures,
  longestPrompt,
  type Question,
} from "./answer.ts";
import { createGenerator } from "./generate.ts";
import { requestsOf } from "./requests.ts";

export interface SampleParts {
  readonly model: Model;
  readonly tokenizer: Tokenizer;
  readonly judge: Judge;
  readonly questions: readonly Question[];
}

export interface SampleOptions {
  /** Answers per question. */
  readonly samples: number;
  readonly seed: number;
  readonly maxNewTokens: number;
  /** Tokens that end an answer. */
  readonly eosIds: readonly number[];
  /** Answers in the making at once. */
  readonly slots: number;
  /** float32 unless given. */
  readonly kvCacheDtype?: KvCacheDtype | undefined;
}

/**
 * Writes `samples` answers to every question into a file, or goes on where that was stopped: the file ends up the same.
 *
 * @param inputs what the answers depend on beside the options: hashes of model and data
 * @param onBlock called at the start and after each block of questions with the number that is written; may throw to stop
 * @throws UserError when the file holds answers of another kind, or when the sandbox fails too often
 */
export async function sampleToFile(
  path: string,
  { model, tokenizer, judge, questions }: SampleParts,
  options: SampleOptions,
  inputs: Manifest,
  onBlock: (questionsDone: number) => void | Promise<void>,
): Promise<void> {
  const { samples, seed, maxNewTokens, eosIds, slots, kvCacheDtype = "float32" } = options;
  const manifest = {
    ...inputs,
    questions: questions.length,
    samples,
    seed,
    maxNewTokens,
    temperature: 1,
    ...(kvCacheDtype !== "float32" && { kvCacheDtype }), // so that files from before there was a choice stay of use
  };
  // The blocks do not depend on where an earlier run stopped, so neither does any batch.
  const blockQuestions = questionsPerBlock(slots, samples);
  const blockLines = blockQuestions * samples;
  const isLine = (value: unknown, i: number) =>
    isSample(value, questions[Math.floor(i / samples)]!.example.id, i % samples);
  const file = openBlockFile(path, manifest, blockLines, questions.length * samples, isLine);
  const done = file.lines / samples;
  await onBlock(done);
  if (done === questions.length) return;
  const maxTokens = longestPrompt(questions) + maxNewTokens;
  const generator = createGenerator(model, { slots, maxTokens, temperature: 1, kvCacheDtype });
  try {
    for (let begin = done; begin < questions.length; begin += blockQuestions) {
      const block = questions.slice(begin, begin + blockQuestions);
      const requests = requestsOf(
        block.map((question) => ({ question })),
        samples,
        seed,
        ({ question }) => question.example.id,
      );
      const answers = await answerQuestions(generator, judge, tokenizer, requests, {
        maxNewTokens,
        eosIds,
      });
      checkFailures("sampling", answers);
      file.append(
        block.flatMap((_, i) => sampleRecords(answers.slice(i * samples, (i + 1) * samples))),
      );
      await onBlock(begin + block.length);
    }
  } finally {
    generator.dispose();
  }
}

/** How many questions are asked before what was answered is written: enough to keep the slots full. */
export function questionsPerBlock(slots: number, samples: number): number {
  return Math.ceil((8 * slots) / samples);
}

/** The answers to one question as lines of a samples file. */
function sampleRecords(answers: readonly Answer[]): Sample[] {
  const texts = new Set<string>();
  return answers.map((answer, sample) => {
    const isDuplicate = texts.has(answer.text);
    texts.add(answer.text);
    const { id, question, answer: gold, ...judged } = answerRecord(answer);
    return { id, question, answer: gold, sample, ...judged, isDuplicate };
  });
}
