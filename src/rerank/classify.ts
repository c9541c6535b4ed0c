// A classifier's probabilities for a file of samples, written as they come, resumable.
import { z } from "zod";
import type { Tokenizer } from "../data/tokenizer.ts";
import { type Manifest, openBlockFile, removeOther } from "../formats/blockFile.ts";
import { readJsonl } from "../formats/jsonl.ts";
import { type Classifier, createClassifierScorer } from "../model/classifier.ts";
import type { Sample } from "../reward/samples.ts";
import { labelSamples, spreadProbabilities } from "./input.ts";

/** Questions between two looks at the clock. */
const blockQuestions = 8;

/** Tokens computed at once. */
const batchTokens = 4096;

/**
 * Writes `{"id", "sample", "probability"}` for every sample, or goes on where that was stopped. A text is scored once per
 * question; what is longer than the classifier's positions has the probability 0. Probabilities with other inputs are replaced.
 *
 * @param groups the samples of each question, as many for each
 * @param inputs what the probabilities depend on: hashes of classifier and samples
 * @param onBlock called at the start and after each block of questions with the number that is written; may throw to stop
 */
export async function classifyToFile(
  path: string,
  classifier: Classifier,
  tokenizer: Tokenizer,
  groups: readonly (readonly Sample[])[],
  inputs: Manifest,
  onBlock: (questionsDone: number) => void | Promise<void>,
): Promise<void> {
  const samples = groups[0]!.length;
  removeOther(path, inputs);
  const all = groups.flat();
  const isLine = (value: unknown, i: number) => {
    const { success, data } = line.safeParse(value);
    return success && data.id === all[i]!.id && data.sample === all[i]!.sample;
  };
  const file = openBlockFile(path, inputs, blockQuestions * samples, all.length, isLine);
  const scorer = createClassifierScorer(classifier);
  try {
    let done = file.lines / samples;
    await onBlock(done);
    while (done < groups.length) {
      const block = groups.slice(done, done + blockQuestions);
      const { sequences } = labelSamples(tokenizer, block, classifier.model.config.maxPositions);
      const scores = scorer.score(sequences, batchTokens);
      const probabilities = spreadProbabilities(block, sequences, scores);
      file.append(
        block.flatMap((group, g) =>
          group.map(({ id, sample }, i) => ({ id, sample, probability: probabilities[g]![i]! })),
        ),
      );
      done += block.length;
      await onBlock(done);
    }
  } finally {
    scorer.dispose();
  }
}

const line = z.strictObject({ id: z.string(), sample: z.int(), probability: z.number() });

/** The probabilities of the samples, group by group. */
export function readProbabilities(
  path: string,
  groups: readonly (readonly Sample[])[],
): number[][] {
  const lines = readJsonl(path, line);
  let next = 0;
  return groups.map((group) => group.map(() => lines[next++]!.value.probability));
}
