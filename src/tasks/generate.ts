// Prompts in, responses with their log-probabilities out.
import { dirname } from "node:path";
import { z } from "zod";
import { continuationText } from "../data/continuation.ts";
import { appendJsonl, readJsonl } from "../data/jsonl.ts";
import { UserError } from "../errors.ts";
import { tryFolder } from "../folders.ts";
import { createGenerator } from "../generate/generate.ts";
import { disposeModel, loadModel } from "../model/model.ts";
import { Rng } from "../rng.ts";
import { resolveModelFolder } from "../run/checkpoint.ts";
import { endTokens } from "../run/modelFolder.ts";
import { createProgress } from "../run/progress.ts";
import { answerLength } from "./answerLength.ts";
import { checkCount } from "./count.ts";
import { prepareOutput } from "./output.ts";
import { checkLogprobs, checkTokens, encodeWith, tokenizerIn } from "./tokens.ts";

const id = z.union([z.string(), z.number()]);
const tokens = z.array(z.int().nonnegative()).min(1);
const promptLine = z
  .object({ id, prompt: z.string().min(1).optional(), promptTokens: tokens.optional() })
  .refine((line) => (line.prompt === undefined) !== (line.promptTokens === undefined), {
    error: 'expected exactly one of "prompt" and "promptTokens"',
  });

/** Below, logits divided by it may leave the range of float32. */
const leastTemperature = 1e-3;

export interface GenerateArguments {
  readonly model: string;
  /** JSONL file of `{ id, prompt }` or `{ id, promptTokens }`. */
  readonly input: string;
  /** JSONL file for `{ id, responses: [{ tokens, text, logprobs }] }`, emptied first. */
  readonly output: string;
  /** Without it 256, or as many as the positions leave after the longest prompt. */
  readonly maxNewTokens?: number | undefined;
  /** 0 is greedy. */
  readonly temperature: number;
  /** Responses per prompt. */
  readonly samples: number;
  readonly seed: number;
  /** Responses in the making at once. */
  readonly slots: number;
}

/** Writes responses to the prompts of a file, with the log-probability of each token. @throws UserError */
export async function generateToFile(args: GenerateArguments): Promise<void> {
  const { input, output, temperature, samples, seed } = args;
  checkCount("maxNewTokens", args.maxNewTokens ?? 1);
  checkCount("samples", samples);
  checkCount("slots", args.slots);
  if (temperature !== 0 && !(temperature >= leastTemperature)) {
    throw new UserError(
      `temperature: expected 0, which is greedy, or at least ${leastTemperature}, found ${temperature}`,
    );
  }
  const lines = readJsonl(input, promptLine);
  const folder = resolveModelFolder(args.model);
  const tokenizer = tokenizerIn(folder);
  tryFolder(dirname(output));
  const model = loadModel(folder);
  const { vocabSize } = model.config;
  const eosIds = endTokens(model, tokenizer);
  const prompts = lines.map(({ line, value }) => {
    const where = `${input}:${line}`;
    const ids = value.promptTokens ?? encodeWith(tokenizer, value.prompt!, where, folder);
    checkTokens(ids, vocabSize, where);
    return ids;
  });
  const lengths = prompts.map((ids, i) => ({
    where: `${input}:${lines[i]!.line}: the prompt`,
    tokens: ids.length,
  }));
  const maxNewTokens = answerLength(model, lengths, args.maxNewTokens);
  prepareOutput(output, input);
  const generator = createGenerator(model, {
    slots: Math.min(args.slots, prompts.length * samples),
    maxTokens: prompts.reduce((most, ids) => Math.max(most, ids.length), 0) + maxNewTokens,
    temperature,
  });
  const progress = createProgress("generate", prompts.length * samples);
  let done = 0;
  // Written as it goes: enough prompts at a time to keep the slots full.
  const chunkPrompts = Math.ceil((8 * args.slots) / samples);
  for (let begin = 0; begin < prompts.length; begin += chunkPrompts) {
    const chunk = lines.slice(begin, begin + chunkPrompts);
    const requests = chunk.flatMap(({ value }, i) =>
      Array.from({ length: samples }, (_, k) => ({
        tokens: prompts[begin + i]!,
        rng: Rng.named(seed, `${value.id} sample ${k}`),
      })),
    );
    const responses = await generator.generate(requests, {
      maxNewTokens,
      eosIds,
      onResponse: (index, { logprobs }) => {
        checkLogprobs(logprobs, `${input}:${chunk[Math.floor(index / samples)]!.line}`, folder);
        progress.update(++done);
      },
    });
    chunk.forEach(({ value }, i) => {
      const own = responses.slice(i * samples, (i + 1) * samples);
      appendJsonl(output, {
        id: value.id,
        responses: own.map((response) => ({
          tokens: response.tokens,
          text: tokenizer
            ? continuationText(tokenizer, prompts[begin + i]!, response.tokens)
            : null,
          logprobs: [...response.logprobs],
        })),
      });
    });
  }
  progress.stop();
  generator.dispose();
  disposeModel(model);
}
