// What the classifier reads, and which samples it learns from and is measured on.
import { formatPrompt } from "../data/prompt.ts";
import type { Tokenizer } from "../data/tokenizer.ts";
import type { Sequence } from "../model/batch.ts";
import type { Sample } from "../reward/samples.ts";

/** A question with an answer, and whether that is right. */
export interface LabelledSequence extends Sequence {
  readonly correct: boolean;
}

export type LabelledSample = LabelledSequence & Pick<Sample, "id" | "sample" | "text">;

/**
 * A classifier's probabilities of all samples: copies of a text have its probability, what the classifier does not read has 0.
 *
 * @param sequences of these groups, as `labelSamples` gives them
 * @param probabilities of the sequences
 */
export function spreadProbabilities(
  groups: readonly (readonly Sample[])[],
  sequences: readonly LabelledSample[],
  probabilities: Float32Array,
): number[][] {
  const keyOf = ({ id, text }: Pick<Sample, "id" | "text">) => `${id}\n${text}`;
  const known = new Map(sequences.map((sample, i) => [keyOf(sample), probabilities[i]!]));
  return groups.map((group) => group.map((sample) => known.get(keyOf(sample)) ?? 0));
}

/** Samples that have a label and can be read, and how many were left out. */
export interface LabelledSamples {
  readonly sequences: readonly LabelledSample[];
  /** With the text of an earlier sample of the same question. */
  readonly duplicates: number;
  /** Whose program the sandbox could not run: nobody knows whether they are right. */
  readonly infrastructureFailures: number;
  readonly tooLong: number;
}

/**
 * A question with each of its answers, ended by EOS, where the answer is judged: an answer that was cut off ends so, too. They share the
 * array of the prompt, which lets a batch share its computation.
 */
export function classifierSequences(
  tokenizer: Tokenizer,
  question: string,
  texts: readonly string[],
): Sequence[] {
  const prompt = tokenizer.encode(formatPrompt(question));
  return texts.map((text) => ({
    prompt,
    response: [...tokenizer.encode(text), tokenizer.eosId],
  }));
}

/**
 * Tokenises the samples that a classifier can learn from: each text once per question.
 *
 * @param groups the samples of each question
 * @param maxTokens of question and answer together, EOS included
 */
export function labelSamples(
  tokenizer: Tokenizer,
  groups: readonly (readonly Sample[])[],
  maxTokens: number,
): LabelledSamples {
  const judged = groups.map((group) =>
    group.filter(({ outcome }) => outcome.kind !== "infrastructure"),
  );
  const different = judged.map((group) => {
    const first = new Map(group.toReversed().map((sample) => [sample.text, sample]));
    return group.filter((sample) => first.get(sample.text) === sample);
  });
  const sequences = different.flatMap((group) => {
    if (group.length === 0) return [];
    const texts = group.map(({ text }) => text);
    return classifierSequences(tokenizer, group[0]!.question, texts).map((sequence, i) => {
      const { id, sample, text, correct } = group[i]!;
      return { ...sequence, id, sample, text, correct };
    });
  });
  const short = sequences.filter(
    ({ prompt, response }) => prompt.length + response.length <= maxTokens,
  );
  const countOf = (parts: readonly (readonly unknown[])[]) => parts.flat().length;
  return {
    sequences: short,
    duplicates: countOf(judged) - countOf(different),
    infrastructureFailures: countOf(groups) - countOf(judged),
    tooLong: sequences.length - short.length,
  };
}
