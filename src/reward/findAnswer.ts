// Finds the answer in a text that is no program, in the form that the settings say.
import { beforeEnd, withEscapedEnds } from "../data/endTexts.ts";
import { findJson, readJsonText, rewriteJson } from "../data/json.ts";
import { show } from "../errors.ts";
import { type AnswerForm, patternOf } from "../rewardConfig.ts";
import type { Outcome } from "./outcome.ts";
import { lastMatch } from "./patterns.ts";
import { looksForThoughts, withoutThoughts } from "./thoughts.ts";
import { extractWrittenAnswer } from "./writtenAnswer.ts";

/** Every form but `python`; what each means: AnswerForm. */
export function findAnswer(form: Exclude<AnswerForm, "python">, text: string): Outcome {
  switch (form) {
    case "nl":
      return inOwnTurn(text, extractWrittenAnswer);
    case "text":
      return answerOf(text, "a text");
    case "hashes":
      return inOwnTurn(text, (turn) =>
        answerOf(lastGroup(turn, /####(.*)/g), '"#### " and the answer'),
      );
    case "boxed":
      return inOwnTurn(text, (turn) =>
        answerOf(lastOf(boxed(turn)), '"\\boxed{}" with the answer in it'),
      );
    case "tags":
      return inOwnTurn(text, (turn) =>
        answerOf(lastGroup(turn, tags), '"<answer>" and "</answer>" around the answer'),
      );
    case "json":
    case "firstJson": {
      // A text that is JSON as a whole may hold such ends and tags; it has no other turns and thoughts.
      const isWhole = (said: string) => readJsonText(said) !== undefined;
      const isOneTurn = isWhole(text) || beforeEnd(text) === text;
      const turn = isOneTurn ? text : beforeEnd(rewriteJson(text, withEscapedEnds));
      const said = isWhole(turn) ? turn : withoutThoughts(turn);
      const value = findJson(said, form === "json" ? "last" : "first");
      return value === undefined ? noAnswer("a JSON value", text) : { kind: "answer", value };
    }
    default:
      return matched(form, text);
  }
}

/** The paper's prompt begins so (prompt.ts): a model that was only pretrained goes on with the next question. */
const nextQuestion = /^[ \t]*Question:[ \t]*\r?$/m;

/** What is found in a model's own turn, thoughts left out: before the questions that it asks itself, once it has answered. */
function inOwnTurn(text: string, find: (turn: string) => Outcome): Outcome {
  const outcomes = withoutThoughts(beforeEnd(text)).split(nextQuestion).map(find);
  return outcomes.find(({ kind }) => kind === "answer") ?? outcomes[0]!;
}

function matched(form: `/${string}/${string}`, text: string): Outcome {
  const said = looksForThoughts(form) ? text : withoutThoughts(text);
  const match = lastMatch(patternOf(form)!, said);
  if (match !== "timeout") return answerOf(match.found, `a match of ${form}`);
  return { kind: "no-answer", message: `looking for ${form} took longer than a second` };
}

function answerOf(found: string | undefined, expected: string): Outcome {
  const value = found?.trim() ?? "";
  return value === "" ? noAnswer(expected, found ?? "none") : { kind: "answer", value };
}

function noAnswer(expected: string, found: string): Outcome {
  return { kind: "no-answer", message: `expected ${expected}, found ${show(found)}` };
}

/** The last opening that is closed: a text may name the tags before it uses them. */
const tags = /<answer>((?:(?!<answer>).)*?)<\/answer>/gis;

function lastGroup(text: string, pattern: RegExp): string | undefined {
  return lastOf([...text.matchAll(pattern)].map(([, group]) => group!));
}

/** The last in which something stands: a text may be cut off behind a marker, or ask for one. */
function lastOf(found: readonly string[]): string | undefined {
  return found.findLast((text) => text.trim() !== "") ?? found.at(-1);
}

/**
 * What stands in every `\boxed{}` that is closed, in the order of their openings; its braces may hold others. A number needs no
 * braces: LaTeX boxes the first digit of `\boxed 12`, but that is how MATH has some answers, and lm-eval reads them.
 */
function boxed(text: string): string[] {
  const open: { readonly begin: number; readonly isBox: boolean }[] = [];
  const boxes: { readonly begin: number; readonly content: string }[] = [];
  const braces =
    /\\(?:boxed|fbox)\s+([+-]?\d+(?:[.,/]\d+)*)(?![.,/]?[\w^\\{])|(\\(?:boxed|fbox)\s*)?\{|\}|\\(?!\\(?:boxed|fbox))./gs;
  for (const { 0: written, 1: number, 2: box, index } of text.matchAll(braces)) {
    const isBox = box !== undefined;
    if (number !== undefined) boxes.push({ begin: index, content: number });
    if (isBox || written === "{") open.push({ begin: index + written.length, isBox });
    if (written !== "}") continue;
    const closed = open.pop();
    if (closed?.isBox) boxes.push({ ...closed, content: text.slice(closed.begin, index) });
  }
  return boxes.toSorted((a, b) => a.begin - b.begin).map(({ content }) => content);
}
