// One question to a trained model: the program that it writes, and what that returns.
import { samplingPrompt } from "../data/prompt.ts";
import { UserError } from "../errors.ts";
import { createGenerator } from "../generate/generate.ts";
import { disposeModel } from "../model/model.ts";
import { extractProgram } from "../reward/extract.ts";
import type { Outcome } from "../reward/outcome.ts";
import { createSandbox } from "../reward/sandbox/sandbox.ts";
import { extractWrittenAnswer } from "../reward/writtenAnswer.ts";
import { Rng } from "../rng.ts";
import { resolveModelFolder } from "../run/checkpoint.ts";
import {
  type AnswerFormat,
  endTokens,
  loadModelFolder,
  readAnswerFormat,
} from "../run/modelFolder.ts";
import { answerLength } from "./answerLength.ts";
import { checkCount } from "./count.ts";

export interface AskArguments {
  readonly model: string;
  readonly question: string;
  readonly maxNewTokens?: number | undefined;
}

/**
 * Asks greedily.
 *
 * @returns the program, or the answer in words, and what came of it
 * @throws UserError for a model that was not taught to answer, or without the positions for question and answer
 */
export async function ask(args: AskArguments): Promise<{ text: string; outcome: Outcome }> {
  checkCount("maxNewTokens", args.maxNewTokens ?? 1);
  const folder = resolveModelFolder(args.model);
  const format = readAnswerFormat(folder);
  if (format === undefined) {
    throw new UserError(
      `${folder} has no reft.json, so it was not taught to answer questions: train it with train-sft`,
    );
  }
  const written = await write(folder, format, args);
  if (format.cotKind === "nl") return { text: written, outcome: extractWrittenAnswer(written) };
  const program = extractProgram(written);
  const sandbox = await createSandbox({ timeoutSeconds: 10, workers: 1, memoryMegabytes: 512 });
  try {
    return { text: program, outcome: await sandbox.run(program) };
  } finally {
    await sandbox.close();
  }
}

async function write(
  folder: string,
  { sampling }: AnswerFormat,
  { question, maxNewTokens: asked }: AskArguments,
): Promise<string> {
  const { model, tokenizer } = loadModelFolder(folder);
  try {
    const { tokens, prefixTokens } = samplingPrompt(tokenizer, question, sampling);
    const prompt = { where: "the question", tokens: tokens.length };
    const maxNewTokens = answerLength(model, [prompt], asked);
    const maxTokens = tokens.length + maxNewTokens;
    const generator = createGenerator(model, { slots: 1, maxTokens, temperature: 0 });
    const eosIds = endTokens(model, tokenizer);
    const request = { tokens, rng: Rng.named(0, "ask") };
    const [response] = await generator.generate([request], { maxNewTokens, eosIds });
    generator.dispose();
    return tokenizer.decode([...prefixTokens, ...response!.tokens]);
  } finally {
    disposeModel(model);
  }
}
