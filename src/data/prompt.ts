// How a question becomes tokens, for training and for sampling, so that what is sampled continues
// exactly what was trained. Format: the ReFT authors' code.
import { show, UserError } from "../errors.ts";
import type { Example } from "./examples.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** The kind of a chain of thought: a Python program, or natural language. */
export type CotKind = "python" | "nl";

/** What every completion starts with, known before the model writes anything. */
export type ProgramPrefix = "docstring" | "def" | "none";

export interface EncodedExample {
  readonly id: string;
  readonly promptTokens: number[];
  /** The chain of thought, then EOS. */
  readonly completionTokens: number[];
}

/** The part of a prompt that decides where the sampled tokens begin. Plain data, to be saved. */
export interface SamplingFormat {
  readonly programPrefix: ProgramPrefix;
  /** How a completion may go on after its prefix; its first token can reach back into the prefix. */
  readonly continuation: string;
}

export interface SamplingPrompt {
  /** What the model is given: the prompt's tokens, then prefixTokens. */
  readonly tokens: number[];
  /** The known start of the completion; decode it together with the sampled tokens. */
  readonly prefixTokens: number[];
}

export const defaultContinuation = "    x = 1\n";

export function formatPrompt(question: string): string {
  return `Question:\n${question}\nAnswer reasoning:\n`;
}

/** The text that a completion for this question starts with; empty for "none". */
export function programPrefix(question: string, prefix: ProgramPrefix): string {
  switch (prefix) {
    case "docstring":
      return `def solution():\n    """${docstringText(question)}"""\n`;
    case "def":
      return "def solution():\n";
    case "none":
      return "";
  }
}

/** An example that asks otherwise, in its program's docstring, too. */
export function withQuestion(example: Example, question: string): Example {
  if (example.cot === undefined) return { ...example, question };
  const before = programPrefix(example.question, "docstring");
  const cot = example.cot.replace(before, () => programPrefix(question, "docstring"));
  return { ...example, question, cot };
}

/** The question, escaped only where it would end the docstring or change it. */
function docstringText(question: string): string {
  return question.replaceAll("\\", "\\\\").replaceAll('"""', '\\"\\"\\"').replace(/"$/, '\\"');
}

/**
 * Tokenises prompt and chain of thought apart, without special tokens, and ends with EOS.
 *
 * @throws UserError if the example has no chain of thought
 */
export function encodeExample(tokenizer: Tokenizer, example: Example): EncodedExample {
  if (example.cot === undefined) {
    throw new UserError(
      `example ${show(example.id)}: expected a chain of thought ("cot") to train on, found none`,
    );
  }
  return {
    id: example.id,
    promptTokens: tokenizer.encode(formatPrompt(example.question)),
    completionTokens: [...tokenizer.encode(example.cot), tokenizer.eosId],
  };
}

/**
 * Finds where sampling may begin: BPE can join the end of the prefix with what follows, so the
 * row whose tokens leave most of the prefix to the model supplies the continuation.
 *
 * @param rows training examples; those without a chain of thought say nothing and are skipped
 */
export function findSamplingFormat(
  tokenizer: Tokenizer,
  rows: Iterable<Example>,
  prefix: ProgramPrefix,
): SamplingFormat {
  let continuation = prefix === "none" ? "" : defaultContinuation;
  let longestRest = -1;
  for (const { question, cot } of rows) {
    const text = programPrefix(question, prefix);
    if (prefix === "none" || cot === undefined || !cot.startsWith(text)) continue;
    const inside = tokensWithin(tokenizer, tokenizer.encode(cot), text);
    const rest = text.length - tokenizer.decode(inside).length;
    if (rest > longestRest) {
      longestRest = rest;
      continuation = cot.slice(text.length).split("\n", 1)[0]!.slice(0, 32); // its start decides
    }
  }
  return { programPrefix: prefix, continuation };
}

/** The tokens that the model is given for a question, with or without a chain of thought. */
export function samplingPrompt(
  tokenizer: Tokenizer,
  question: string,
  format: SamplingFormat,
): SamplingPrompt {
  const prefix = programPrefix(question, format.programPrefix);
  const joint = prefix === "" ? [] : tokenizer.encode(prefix + format.continuation);
  const prefixTokens = tokensWithin(tokenizer, joint, prefix);
  return { tokens: [...tokenizer.encode(formatPrompt(question)), ...prefixTokens], prefixTokens };
}

/**
 * Proves that sampling continues what was trained: for every row, the sampling prompt is a token
 * prefix of the trained sequence, and leaves something to write.
 *
 * @param rows training examples; those without a chain of thought are skipped
 * @throws UserError naming the first row for which it is not
 */
export function checkSamplingPrefix(
  tokenizer: Tokenizer,
  rows: Iterable<Example>,
  format: SamplingFormat,
): void {
  for (const row of rows) {
    if (row.cot === undefined) continue;
    const { prefixTokens } = samplingPrompt(tokenizer, row.question, format);
    const trained = tokenizer.encode(row.cot);
    const matches = prefixTokens.every((token, i) => token === trained[i]);
    if (matches && trained.length > prefixTokens.length) continue;
    const expected = JSON.stringify(tokenizer.decode(prefixTokens));
    const found = JSON.stringify(tokenizer.decode(trained.slice(0, prefixTokens.length)));
    throw new UserError(
      `example ${show(row.id)}: expected a chain of thought that starts with the tokens of ` +
        `${expected}, from which sampling goes on, found ${found}; correct the row, ` +
        `or choose another program prefix than "${format.programPrefix}"`,
    );
  }
}

/**
 * The longest token prefix whose text lies within a text.
 * Decoding is not monotone at a character of several tokens, so this steps back from the first
 * prefix that is too long instead of stopping there.
 */
function tokensWithin(tokenizer: Tokenizer, tokens: readonly number[], text: string): number[] {
  let [low, high] = [0, tokens.length];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (tokenizer.decode(tokens.slice(0, middle)).length <= text.length) low = middle;
    else high = middle - 1;
  }
  // Past this point a decoded prefix is longer than the text by more than a character's parts.
  let length = Math.min(tokens.length, low + 4);
  while (!text.startsWith(tokenizer.decode(tokens.slice(0, length)))) length--;
  return tokens.slice(0, length);
}
