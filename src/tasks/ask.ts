// One question to a trained model: the program that it writes, and what that returns.
import { samplingPrompt } from "../data/prompt.ts";
import { createGenerator } from "../generate/generate.ts";
import { endTokens } from "../model/ending.ts";
import { disposeModel } from "../model/model.ts";
import { extractProgram } from "../reward/extract.ts";
import { findAnswer } from "../reward/findAnswer.ts";
import type { Outcome } from "../reward/outcome.ts";
import { createSandbox } from "../reward/sandbox/sandbox.ts";
import { Rng } from "../rng.ts";
import { resolveModelFolder } from "../run/checkpoint.ts";
import { type Answering, openAnswering, type ToldFormat } from "./answering.ts";
import { answerLength } from "./answerLength.ts";
import { checkCount } from "./count.ts";

export interface AskArguments extends ToldFormat {
  /** A run's folder, of which the best checkpoint is asked, a checkpoint, or a model's folder. */
  readonly model: string;
  /** Its text. */
  readonly question: string;
  /** Without it 256, or as many as the positions leave after the prompt. */
  readonly maxNewTokens?: number | undefined;
}

/**
 * Asks greedily.
 *
 * @returns the program, or the text that was written, and what came of it
 * @throws UserError for a model that cannot be asked, or is without the positions for question and answer
 */
export async function ask(args: AskArguments): Promise<{ text: string; outcome: Outcome }> {
  checkCount("maxNewTokens", args.maxNewTokens ?? 1);
  const answering = openAnswering(resolveModelFolder(args.model), args);
  const written = await write(answering, args);
  const { cotKind } = answering.format;
  if (cotKind !== "python") return { text: written, outcome: findAnswer(cotKind, written) };
  const program = extractProgram(written);
  const sandbox = await createSandbox({ timeoutSeconds: 10, workers: 1, memoryMegabytes: 512 });
  try {
    return { text: program, outcome: await sandbox.run(program) };
  } finally {
    await sandbox.close();
  }
}

async function write(
  { model, tokenizer, format }: Answering,
  { question, maxNewTokens: asked }: AskArguments,
): Promise<string> {
  try {
    const { tokens, prefixTokens } = samplingPrompt(tokenizer, { question }, format.sampling);
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
