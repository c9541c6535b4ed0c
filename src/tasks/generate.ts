// Prompts in, responses with their log-probabilities out: in memory, or from one file of JSON lines into another.
import { dirname } from "node:path";
import { z } from "zod";
import type { KvCacheDtype } from "../config.ts";
import { continuationText } from "../data/continuation.ts";
import { UserError } from "../errors.ts";
import { tryFolder } from "../folders.ts";
import { appendJsonl, readJsonl } from "../formats/jsonl.ts";
import { createGenerator } from "../generate/generate.ts";
import { requestsOf } from "../generate/requests.ts";
import { questionsPerBlock } from "../generate/sample.ts";
import { endTokens } from "../model/ending.ts";
import { createProgress } from "../progress.ts";
import { answerLength } from "./answerLength.ts";
import { checkCount } from "./count.ts";
import { type LoadedModel, loadModel } from "./loadModel.ts";
import { prepareOutput } from "./output.ts";
import { checkLogprobs, checkTokens, encodeWith } from "./tokens.ts";

/** How responses are made. */
export interface GenerateOptions {
  /** Without it 256, or as many as the positions leave after the longest prompt. */
  readonly maxNewTokens?: number | undefined;
  /** 0, the default, is greedy. */
  readonly temperature?: number | undefined;
  /** Responses per prompt; 1 without it. */
  readonly samples?: number | undefined;
  /** Chooses the samples; 0 without it. */
  readonly seed?: number | undefined;
  /** Responses in the making at once; 32 without it. */
  readonly slots?: number | undefined;
  /** Of cached keys and values: bf16 takes half the memory, and rounds them. Default float32. */
  readonly kvCacheDtype?: KvCacheDtype | undefined;
}

/** One response, as it is written into a file. */
export interface GeneratedResponse {
  /** The ids that were sampled, what ends the response included. */
  readonly tokens: readonly number[];
  /** What the tokens add to the prompt's text; null where the model has no tokenizer. */
  readonly text: string | null;
  /** Natural logarithm of the probability of each token, at this temperature; of greedy ones at temperature 1. */
  readonly logprobs: readonly number[];
}

/** A prompt's tokens, the name of its random streams, and what a message calls it. */
interface Prompt {
  readonly id: string | number;
  readonly where: string;
  readonly tokens: readonly number[];
}

/** Below, logits divided by it may leave the range of float32. */
const leastTemperature = 1e-3;

/**
 * Writes responses to prompts, which are texts or tokens.
 *
 * @returns the samples of each prompt, in the prompts' order
 * @throws UserError for options and prompts that the model cannot take, and for damaged weights
 */
export async function generate(
  model: LoadedModel,
  prompts: readonly (string | readonly number[])[],
  options: GenerateOptions = {},
): Promise<GeneratedResponse[][]> {
  checkOptions(options);
  if (prompts.length === 0) return [];
  const encoded = prompts.map((prompt, i) => encodePrompt(model, i, `prompt ${i + 1}`, prompt));
  using responder = createResponder(model, encoded, options);
  return await responder.respond(encoded); // before the responder is disposed
}

const id = z.union([z.string(), z.number()]);
const tokens = z.array(z.int().nonnegative()).min(1);
const promptLine = z
  .object({ id, prompt: z.string().min(1).optional(), promptTokens: tokens.optional() })
  .refine((line) => (line.prompt === undefined) !== (line.promptTokens === undefined), {
    error: 'expected exactly one of "prompt" and "promptTokens"',
  });

export interface GenerateArguments extends GenerateOptions {
  readonly model: string;
  /** JSONL file of `{ id, prompt }` or `{ id, promptTokens }`. */
  readonly input: string;
  /** JSONL file for `{ id, responses: [{ tokens, text, logprobs }] }`, emptied first. */
  readonly output: string;
}

/** Writes responses to the prompts of a file into another. @throws UserError as generate, and for a line that is no prompt */
export async function generateToFile(args: GenerateArguments): Promise<void> {
  const { input, output, samples = 1, slots = 32 } = args;
  checkOptions(args);
  const lines = readJsonl(input, promptLine);
  tryFolder(dirname(output));
  using model = loadModel(args.model);
  const prompts = lines.map(({ line, value }) =>
    encodePrompt(model, value.id, `${input}:${line}`, value.promptTokens ?? value.prompt!),
  );
  using responder = createResponder(model, prompts, args);
  prepareOutput(output, input);
  const progress = createProgress("generate", prompts.length * samples);
  let done = 0;
  const chunkPrompts = questionsPerBlock(slots, samples); // written as it goes
  for (let begin = 0; begin < prompts.length; begin += chunkPrompts) {
    const chunk = prompts.slice(begin, begin + chunkPrompts);
    const answered = await responder.respond(chunk, () => progress.update(++done));
    answered.forEach((responses, i) => {
      appendJsonl(output, { id: chunk[i]!.id, responses });
    });
  }
  progress.stop();
}

function checkOptions({ maxNewTokens, temperature = 0, samples, slots }: GenerateOptions): void {
  checkCount("maxNewTokens", maxNewTokens ?? 1);
  checkCount("samples", samples ?? 1);
  checkCount("slots", slots ?? 1);
  if (temperature !== 0 && !(temperature >= leastTemperature)) {
    throw new UserError(
      `temperature: expected 0, which is greedy, or at least ${leastTemperature}, found ${temperature}`,
    );
  }
}

function encodePrompt(
  { folder, tokenizer, model }: LoadedModel,
  id: string | number,
  where: string,
  prompt: string | readonly number[],
): Prompt {
  const tokens = typeof prompt === "string" ? encodeWith(tokenizer, prompt, where, folder) : prompt;
  if (tokens.length === 0)
    throw new UserError(`${where}: expected at least one token, found none; give it some text`);
  checkTokens(tokens, model.config.vocabSize, where);
  return { id, where, tokens };
}

interface Responder extends Disposable {
  /** @param onResponse called after each response */
  respond(prompts: readonly Prompt[], onResponse?: () => void): Promise<GeneratedResponse[][]>;
}

/** @param all the prompts, the longest of which decides how long a response may be */
function createResponder(
  { folder, model, tokenizer }: LoadedModel,
  all: readonly Prompt[],
  { temperature = 0, samples = 1, seed = 0, slots = 32, ...given }: GenerateOptions,
): Responder {
  const lengths = all.map(({ where, tokens }) => ({
    where: `${where}: the prompt`,
    tokens: tokens.length,
  }));
  const maxNewTokens = answerLength(model, lengths, given.maxNewTokens);
  const generator = createGenerator(model, {
    slots: Math.min(slots, all.length * samples),
    maxTokens: lengths.reduce((most, { tokens }) => Math.max(most, tokens), 0) + maxNewTokens,
    temperature,
    kvCacheDtype: given.kvCacheDtype,
  });
  const eosIds = endTokens(model, tokenizer);
  return {
    async respond(prompts, onResponse = () => {}) {
      const requests = requestsOf(prompts, samples, seed, ({ id }) => `${id}`);
      const responses = await generator.generate(requests, {
        maxNewTokens,
        eosIds,
        onResponse: (index, { logprobs }) => {
          checkLogprobs(logprobs, prompts[Math.floor(index / samples)]!.where, folder);
          onResponse();
        },
      });
      return prompts.map((prompt, i) =>
        responses.slice(i * samples, (i + 1) * samples).map(({ tokens, logprobs }) => ({
          tokens,
          text: tokenizer ? continuationText(tokenizer, prompt.tokens, tokens) : null,
          logprobs: [...logprobs],
        })),
      );
    },
    [Symbol.dispose]: () => generator.dispose(),
  };
}
