// The log-probability of each token of given completions.
import { dirname } from "node:path";
import { z } from "zod";
import { UserError } from "../errors.ts";
import { tryFolder } from "../folders.ts";
import { appendJsonl, readJsonl } from "../formats/jsonl.ts";
import { createScorer } from "../model/score.ts";
import { createProgress } from "../progress.ts";
import { loadModel } from "./loadModel.ts";
import { prepareOutput } from "./output.ts";
import { checkLogprobs, checkTokens, encodeWith } from "./tokens.ts";

const id = z.union([z.string(), z.number()]);
const tokens = z.array(z.int().nonnegative()).min(1);
const pairLine = z
  .object({
    id,
    prompt: z.string().min(1).optional(),
    promptTokens: tokens.optional(),
    completion: z.string().min(1).optional(),
    completionTokens: tokens.optional(),
  })
  .refine((pair) => (pair.prompt === undefined) !== (pair.promptTokens === undefined), {
    error: 'expected exactly one of "prompt" and "promptTokens"',
  })
  .refine((pair) => (pair.completion === undefined) !== (pair.completionTokens === undefined), {
    error: 'expected exactly one of "completion" and "completionTokens"',
  });

/** Lines scored, and written, at a time. */
const chunkLines = 256;
/** Tokens computed at once, unless a single line has more. */
const batchTokens = 4096;

export interface ScoreArguments {
  readonly model: string;
  /** JSONL file of `{ id, prompt, completion }`, or with `promptTokens` and `completionTokens`. */
  readonly input: string;
  /** JSONL file for `{ id, tokens, logprobs }`, emptied first; natural logarithms. */
  readonly output: string;
}

/** Writes the log-probability of each token of the completions in a file. @throws UserError */
export async function scoreToFile({ model: path, input, output }: ScoreArguments): Promise<void> {
  const lines = readJsonl(input, pairLine);
  tryFolder(dirname(output));
  using loaded = loadModel(path);
  const { folder, model, tokenizer } = loaded;
  const { vocabSize, maxPositions } = model.config;
  const sequences = lines.map(({ line, value }) => {
    const where = `${input}:${line}`;
    const idsOf = (ids: readonly number[] | undefined, text: string | undefined) =>
      ids ?? encodeWith(tokenizer, text!, where, folder);
    const sequence = {
      prompt: idsOf(value.promptTokens, value.prompt),
      response: idsOf(value.completionTokens, value.completion),
    };
    const all = [...sequence.prompt, ...sequence.response];
    checkTokens(all, vocabSize, where);
    if (all.length > maxPositions) {
      throw new UserError(
        `${where}: ${all.length} tokens do not fit into the model's ${maxPositions} positions; shorten them or leave them out`,
      );
    }
    return sequence;
  });
  prepareOutput(output, input);
  const scorer = createScorer(model);
  const progress = createProgress("score", lines.length);
  for (let begin = 0; begin < lines.length; begin += chunkLines) {
    const chunk = sequences.slice(begin, begin + chunkLines);
    scorer.score(chunk, batchTokens).logprobs.forEach((logprobs, i) => {
      const { line, value } = lines[begin + i]!;
      checkLogprobs(logprobs, `${input}:${line}`, folder);
      appendJsonl(output, { id: value.id, tokens: chunk[i]!.response, logprobs: [...logprobs] });
    });
    progress.update(Math.min(begin + chunkLines, lines.length));
  }
  progress.stop();
  scorer.dispose();
}
