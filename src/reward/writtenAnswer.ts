// Finds the answer in a chain of thought in natural language.
import { leadingAnswer } from "../data/answer.ts";
import { show } from "../errors.ts";
import type { Outcome } from "./outcome.ts";

/**
 * `answer is` anywhere, `answer:` at the start of a sentence, in a list, in bold and the like: "we check the answer: 42 / 7 = 6"
 * announces none.
 */
const announcement =
  /\banswer\b[\s*_"']*(?:is\b|(?<=(?:^|[.!?。\n])(?:[^\p{L}\p{N}\n]|\\text\w{0,3}\{|<\w{1,6}>)*(?:(?:so|thus|therefore|hence),?\s)?(?:(?:the|my|our|final|correct)\s)*answer[\s*_"']*)[:：])(?:[ \t:：*_]|<\/\w{1,6}>)*/giu;
/** A number stands first, behind signs or a word like `about`: an answer is announced, though one that may not be readable. */
const startsWithNumber =
  /^[^\p{L}\p{N}]*(?:(?:about|approximately|around|between|either|from|roughly)[^\p{L}\p{N}]+)*\p{N}/iu;

/**
 * What stands before another's answer, or one that is said to be wrong: `a common wrong answer is`, `Tom's answer is`, `If you
 * forget to carry, your answer is`. The question's answer is the one that is asked for.
 */
const foreign =
  /(?:(?<!\p{L})(?:wrong|incorrect|false|mistaken|his|her|their)|(?<!(?:question|problem|exercise|puzzle|riddle|task))['’]s|(?<=(?<!\p{L})(?:if|when)\s[^.!?\n]*\s)your)\s+$/iu;
/** Characters before an announcement that are looked at, for all of the text would take too long. */
const lookedAt = 200;

/** The begin of the next announcement, where two share a sentence: `42, and the answer is reasonable`. */
const joined = /,?\s+(?:and|but)\s+[^,.;\d\n]{0,40}$/i;

/** What a text announces: the rest of the line or, where nothing stands there, of the next one that is not empty. */
function firstPhrase(text: string): string {
  const lines = text.split("\n");
  const index = lines.findIndex((line) => /[\p{L}\p{N}]/u.test(line));
  const phrase = lines[index] ?? "";
  if (index > 0 && /^\s*[-–]\s/.test(phrase)) return ""; // a minus, or an item of a list
  return index > 0 ? phrase.replace(/^\s*>\s/, "") : phrase; // a quotation
}

/**
 * The answer in an N-CoT completion: the number or choice letter after its last "the answer is" that is followed by one, or
 * "answer:" at the start of a sentence. Another's answer, or one that is called wrong, is none, nor is a number elsewhere in the
 * text, behind `####` or in `\boxed{}` without these words.
 */
export function extractWrittenAnswer(completion: string): Outcome {
  const found = [...completion.matchAll(announcement)];
  const phrases = found.flatMap(({ index, 0: words }, i) => {
    if (foreign.test(completion.slice(Math.max(0, index - lookedAt), index))) return [];
    const next = found[i + 1]?.index;
    const text = completion.slice(index + words.length, next);
    return firstPhrase(next === undefined ? text : text.replace(joined, ""));
  });
  phrases.reverse();
  for (const phrase of phrases) {
    const value = leadingAnswer(phrase);
    if (value !== undefined) return { kind: "answer", value };
    if (startsWithNumber.test(phrase)) break;
  }
  const [last] = phrases;
  const message =
    last === undefined
      ? 'expected "Therefore, the answer is: ...", found no such words'
      : `expected a number or a choice after "the answer is", found ${show(last)}`;
  return { kind: "no-answer", message };
}
