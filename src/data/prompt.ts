// How a question becomes tokens, for training and for sampling, so that what is sampled continues
// exactly what was trained. Format: the ReFT authors' code, or a template (templatePrompt.ts).
import { show, UserError } from "../errors.ts";
import type { Example } from "./examples.ts";
import {
  encodeConversation,
  type QuestionRow,
  renderPrompt,
  type TemplatePrompt,
} from "./templatePrompt.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** The kind of a chain of thought: a Python program, or natural language. */
export type CotKind = "python" | "nl";

/** What every completion starts with, known before the model writes anything. */
export type ProgramPrefix = "docstring" | "def" | "none";

export interface EncodedExample {
  readonly id: string;
  readonly promptTokens: number[];
  /** The chain of thought, then EOS; in a chat what its template writes around it, up to the end of the turn. */
  readonly completionTokens: number[];
}

/** What decides the prompt and where the sampled tokens begin. Plain data, to be saved. */
export interface SamplingFormat {
  /** Undefined is the paper's. */
  readonly prompt?: TemplatePrompt | undefined;
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

function promptTokens(
  tokenizer: Tokenizer,
  row: QuestionRow,
  prompt: TemplatePrompt | undefined,
): number[] {
  if (!prompt) return tokenizer.encode(formatPrompt(row.question));
  const { text, written } = renderPrompt(prompt, row, tokenizer);
  return tokenizer.encode(text, written);
}

/** What is trained for a chain of thought: in a chat the turn, else the text, tokenised apart from the prompt, and EOS. */
export function completionTokens(
  tokenizer: Tokenizer,
  row: QuestionRow,
  cot: string,
  prompt: TemplatePrompt | undefined,
): number[] {
  if (prompt?.kind !== "chat") return [...tokenizer.encode(cot), tokenizer.eosId];
  return encodeConversation(prompt, row, cot, tokenizer).completionTokens;
}

/** Says in an error which row it is about. */
function naming<T>(row: QuestionRow, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof UserError) || row.id === undefined) throw error;
    throw new UserError(`example ${show(row.id)}: ${error.message}`, { cause: error });
  }
}

/**
 * Tokenises prompt and chain of thought, without special tokens but for those of a template, and the end.
 *
 * @throws UserError if the example has no chain of thought, or the template does not fit it
 */
export function encodeExample(
  tokenizer: Tokenizer,
  example: Example,
  prompt?: TemplatePrompt,
): EncodedExample {
  const { id, cot } = example;
  if (cot === undefined) {
    throw new UserError(
      `example ${show(id)}: expected a chain of thought ("cot") to train on, found none`,
    );
  }
  return naming(example, () => ({
    id,
    promptTokens: promptTokens(tokenizer, example, prompt),
    completionTokens: completionTokens(tokenizer, example, cot, prompt),
  }));
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
  prompt?: TemplatePrompt,
): SamplingFormat {
  let continuation = prefix === "none" ? "" : defaultContinuation;
  let longestRest = -1;
  for (const row of rows) {
    const { question, cot } = row;
    const text = programPrefix(question, prefix);
    if (prefix === "none" || cot === undefined || !cot.startsWith(text)) continue;
    const after = cot.slice(text.length);
    const rest = naming(row, () => splitPrefix(tokenizer, row, text, after, prompt)).rest;
    if (rest > longestRest) {
      longestRest = rest;
      continuation = after.split("\n", 1)[0]!.slice(0, 32); // its start decides
    }
  }
  return { programPrefix: prefix, continuation, ...(prompt && { prompt }) };
}

/** The tokens that lie within a prefix when a text goes on after it, and how many characters of the prefix they leave over. */
function splitPrefix(
  tokenizer: Tokenizer,
  row: QuestionRow,
  prefix: string,
  after: string,
  prompt: TemplatePrompt | undefined,
): { inside: number[]; rest: number } {
  const tokens = completionTokens(tokenizer, row, prefix + after, prompt).slice(0, -1);
  const known = prompt?.kind === "chat" ? withoutEnd(tokenizer.decode(tokens), after) : prefix;
  const inside = tokensWithin(tokenizer, tokens, known);
  return { inside, rest: known.length - tokenizer.decode(inside).length };
}

/** A text without what it ends with. A chat template may take the white space at the end off, or write some. */
function withoutEnd(text: string, end: string): string {
  const known = text.trimEnd();
  return known.slice(0, known.length - end.trimEnd().length);
}

/** The tokens that the model is given for a question, with or without a chain of thought. @throws UserError when the template does not fit the row */
export function samplingPrompt(
  tokenizer: Tokenizer,
  row: QuestionRow,
  { programPrefix: kind, continuation, prompt }: SamplingFormat,
): SamplingPrompt {
  const prefix = programPrefix(row.question, kind);
  return naming(row, () => {
    const prefixTokens =
      prefix === "" ? [] : splitPrefix(tokenizer, row, prefix, continuation, prompt).inside;
    return { tokens: [...promptTokens(tokenizer, row, prompt), ...prefixTokens], prefixTokens };
  });
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
    const { prefixTokens } = samplingPrompt(tokenizer, row, format);
    const trained = encodeExample(tokenizer, row, format.prompt).completionTokens.slice(0, -1);
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
