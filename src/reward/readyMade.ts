// Ready-made rewards; their formulas also stand in docs/rewards.md.
import { canonicalJson, type JsonValue, readJsonText } from "../data/json.ts";
import { messageOf, show, UserError } from "../errors.ts";
import type { AnswerForm, RewardEntry } from "../rewardConfig.ts";
import type { Outcome } from "./outcome.ts";
import { matchesWhole } from "./patterns.ts";
import { type ScoreOptions, scoreOutcome } from "./score.ts";
import type { Scored, Scorer } from "./scorer.ts";

/** The reward of answers of a form where the settings name none. */
export function usualReward(form: AnswerForm, options: ScoreOptions): Scorer {
  if (form === "text") return exact(false, options);
  if (form === "json" || form === "firstJson") return sameJson(options);
  return sameAnswer(options);
}

/** A ready-made reward by the settings that name it. */
export function readyMade(
  entry: Exclude<RewardEntry, { use: "file" }>,
  options: ScoreOptions,
): Scorer {
  switch (entry.use) {
    case "program":
    case "written":
      return sameAnswer(options);
    case "exact":
      return exact(entry.ignoreCase ?? false, options);
    case "json":
      return sameJson(options);
    case "regex":
      return matchesGold;
    case "format":
      return ({ text, outcome }) => rightOrWrong(matchesWhole(entry.pattern, text), outcome);
    case "length":
      return ({ tokens, outcome }) =>
        punished(-Math.min(1, tokens.length / entry.maxTokens), outcome);
    case "overlong":
      return ({ tokens, outcome }) => punished(overlong(tokens.length, entry), outcome);
  }
}

/** The same number or choice. */
function sameAnswer(options: ScoreOptions): Scorer {
  return ({ outcome, example }) => scoreOutcome(outcome, example.answer, options);
}

/** The same text, but for spaces around it and the ways to write a line end or an accent. */
function exact(ignoresCase: boolean, { partialReward }: ScoreOptions): Scorer {
  const plain = (value: JsonValue) => {
    const text = textOf(value).normalize("NFC").replace(/\r\n?/g, "\n").trim();
    return ignoresCase ? text.toLowerCase() : text;
  };
  return ({ outcome, example }) => compared(outcome, plain(example.answer), plain, partialReward);
}

/** The same JSON value, in whatever order its keys stand. A text that is JSON stands for what it says. */
function sameJson({ partialReward }: ScoreOptions): Scorer {
  const canonical = (value: JsonValue) =>
    canonicalJson(typeof value === "string" ? (readJsonText(value) ?? value) : value);
  return ({ outcome, example }) =>
    compared(outcome, canonical(example.answer), canonical, partialReward);
}

/** Compares by a text that stands for an answer, which is also what it votes for. */
function compared(
  outcome: Outcome,
  gold: string,
  textFor: (value: JsonValue) => string,
  partialReward: number,
): Scored {
  if (outcome.kind !== "answer") return { score: 0, correct: false, extracted: false, vote: null };
  const vote = textFor(outcome.value);
  const correct = vote === gold;
  return { score: correct ? 1 : partialReward, correct, extracted: true, vote };
}

/** The gold answer is a regular expression that has to match all of the answer. */
function matchesGold({ outcome, example: { id, answer } }: Parameters<Scorer>[0]): Scored {
  if (typeof answer !== "string")
    throw new UserError(
      `row ${show(id)}: expected a regular expression as "answer", found ${show(answer)}; correct the row`,
    );
  if (outcome.kind !== "answer") return rightOrWrong(false, outcome);
  try {
    return rightOrWrong(matchesWhole(answer, textOf(outcome.value)), outcome);
  } catch (error) {
    throw new UserError(
      `row ${show(id)}: expected a regular expression as "answer": ${messageOf(error)}; correct the row`,
    );
  }
}

function textOf(value: JsonValue): string {
  return typeof value === "string" ? value : canonicalJson(value);
}

function rightOrWrong(correct: boolean, { kind }: Outcome): Scored {
  return { score: Number(correct), correct, extracted: kind === "answer" };
}

function punished(score: number, { kind }: Outcome): Scored {
  return { score, correct: false, extracted: kind === "answer" };
}

/**
 * The soft punishment of answers that are too long: 0 up to maxTokens - bufferTokens, then down to -1 at maxTokens.
 * Reference: DAPO, arXiv 2503.14476, eq. 13.
 */
function overlong(
  length: number,
  { maxTokens, bufferTokens }: { readonly maxTokens: number; readonly bufferTokens: number },
): number {
  const begin = maxTokens - bufferTokens;
  if (length <= begin) return 0;
  return length <= maxTokens ? (begin - length) / bufferTokens : -1;
}
