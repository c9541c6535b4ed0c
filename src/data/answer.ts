// What an answer says: a number, or one of the choices a to e. The gold answer, the model's and every vote are read by these.
import type { JsonValue } from "./json.ts";
import { leadingNumberOf, numberOf } from "./number.ts";
import { plainText } from "./plainText.ts";

/** The letter alone, in quotes, brackets and the like; or the start of a choice with its text, as in `b) 42`. */
const choice = /^[\s"'“([{<*_$`]*([a-e])["'”)\]}>*_$`]*[).,:;\s]*$/i;
const choiceWithText = /^[\s"'“([{<*_$`]*([a-e])["'”)\]}>*_$`]*\s*(?:[).,:;]|$)/i;

/** The choice that a multiple-choice answer names, in lower case: `b` for "b", "B", "'b'", "(b)" and "\boxed{\text{B}}". */
export function choiceOf(answer: JsonValue): string | undefined {
  if (!isPlain(answer)) return undefined;
  return choice.exec(plainText(String(answer)))?.[1]?.toLowerCase();
}

/** The number, or else the choice, that an answer says; undefined where it says neither, so that nothing can equal it. */
export function readAnswer(answer: JsonValue): number | string | undefined {
  return isPlain(answer) ? (numberOf(answer) ?? choiceOf(answer)) : undefined;
}

/** The same at the start of a phrase that may go on to explain it: 42 in `42, since 6 * 7 = 42`, and `b` in `b) 42`. */
export function leadingAnswer(phrase: string): number | string | undefined {
  return leadingNumberOf(phrase) ?? choiceWithText.exec(plainText(phrase))?.[1]?.toLowerCase();
}

/** Only a number or a text can say a number or a choice; a list or an object of JSON cannot. */
function isPlain(answer: JsonValue): answer is number | string {
  return typeof answer === "number" || typeof answer === "string";
}
