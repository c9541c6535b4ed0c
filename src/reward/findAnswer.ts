// Finds the answer in a text that is no program, in the form that the settings say.
import { findJson } from "../data/json.ts";
import { show } from "../errors.ts";
import { type AnswerForm, patternOf } from "../rewardConfig.ts";
import type { Outcome } from "./outcome.ts";
import { lastMatch } from "./patterns.ts";
import { extractWrittenAnswer } from "./writtenAnswer.ts";

/** Every form but `python`; what each means: AnswerForm. */
export function findAnswer(form: Exclude<AnswerForm, "python">, text: string): Outcome {
  switch (form) {
    case "nl":
      return extractWrittenAnswer(text);
    case "text":
      return answerOf(text, "a text");
    case "hashes":
      return answerOf([...text.matchAll(/####(.*)/g)].at(-1)?.[1], '"#### " and the answer');
    case "boxed":
      return answerOf(lastBoxed(text), '"\\boxed{}" with the answer in it');
    case "tags":
      return answerOf(
        [...text.matchAll(/<answer>(.*?)<\/answer>/gs)].at(-1)?.[1],
        '"<answer>" and "</answer>" around the answer',
      );
    case "json":
    case "firstJson": {
      const value = findJson(text, form === "json" ? "last" : "first");
      return value === undefined ? noAnswer("a JSON value", text) : { kind: "answer", value };
    }
    default:
      return matched(form, text);
  }
}

function matched(form: `/${string}/${string}`, text: string): Outcome {
  const match = lastMatch(patternOf(form)!, text);
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

/** What stands in the last `\boxed{}`, whose braces may hold others. */
function lastBoxed(text: string): string | undefined {
  const opening = "\\boxed{";
  const start = text.lastIndexOf(opening);
  if (start === -1) return undefined;
  let depth = 1;
  for (let i = start + opening.length; i < text.length; i++) {
    if (text[i] === "\\") i++;
    else if (text[i] === "{") depth++;
    else if (text[i] === "}" && --depth === 0) return text.slice(start + opening.length, i);
  }
  return undefined;
}
