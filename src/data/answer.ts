// What an answer says: a number, or one of the choices a to e. The gold answer, the model's and every vote are read by these.
import type { JsonValue } from "./json.ts";
import { leadingNumberOf, numberOf } from "./number.ts";
import { plainText } from "./plainText.ts";

const opening = String.raw`[\s"'([{<*_$\x60]*(?:(?:option|choice)[\s"'([{<*_$\x60]*)?`;
const closing = String.raw`["')\]}>*_$\x60]*`;
/** Another choice, behind the letter of one. `a dog` and `e.g.` are none. */
const another = String.raw`${closing}\s*(?:[,;/&+]|(?:and|or|nor)(?!\p{L}))${opening}(?:[b-d]|e(?!\.g)|a(?!\s+\p{L}))(?![\p{L}\p{N}'])`;
const letter = String.raw`^${opening}([a-e])(?!\p{L}|${another})${closing}`;
/** The letter alone, in quotes, brackets and the like. */
const choice = new RegExp(String.raw`${letter}[).,:;\s]*$`, "iu");
/** What shows a letter to be one of a list: a bracket behind it, or a full stop or colon before a number; `A. Smith` is a name. */
const mark = String.raw`["'*_$\x60}]*(?:\s?[)\]]["'*_$\x60}\]]*(?=[\s\d])|[.:]["'*_$\x60}]*(?=\s\W{0,5}\d))`;
/** A choice with its text, as in `(B) 42`, if no other one follows (`a) 12 b) 13`, `A. B`). */
const listedChoice = new RegExp(
  String.raw`^${opening}([a-e])(?!${another})${mark}(?!\W+[a-e]\W*$)(?!.*(?<![\p{L}\p{N}'])[a-e]${mark})`,
  "iu",
);
/** The start of a choice with its text, as in `b) 42`, and any words behind that; not of several, nor of `A.M.` */
const choiceWithText = new RegExp(
  String.raw`${letter}\s*(?:[),:;]|\.(?!\p{L}\.)|$)(?!\W+[a-e]\W*$)(?!\s*\S+\s+[([]?[a-e]${mark})`,
  "iu",
);
/** A letter that goes on with words. A small one may be the article, or a name. */
const choiceWithWords =
  /^[\s"'*_$`]*(?:(?:[Oo]ption|[Cc]hoice)\s+)?([A-E])["'*_$`]*\s+(?:\(|(?:because|since|as|which)\s)/;

/** The choice that a multiple-choice answer names, in lower case: `b` for "b", "B", "'b'", "(b)", "\boxed{\text{B}}" and "(B) 42". */
export function choiceOf(answer: JsonValue): string | undefined {
  if (!isPlain(answer)) return undefined;
  return choiceIn(plainText(String(answer)));
}

function choiceIn(plain: string): string | undefined {
  return (choice.exec(plain) ?? listedChoice.exec(plain))?.[1]?.toLowerCase();
}

/** The number, or else the choice, that an answer says; undefined where it says neither, so that nothing can equal it. */
export function readAnswer(answer: JsonValue): number | string | undefined {
  return isPlain(answer) ? (numberOf(answer) ?? choiceOf(answer)) : undefined;
}

/** The same at the start of a phrase that may go on to explain it: 42 in `42, since 6 * 7 = 42`, and `b` in `b) 42`. */
export function leadingAnswer(phrase: string): number | string | undefined {
  const number = leadingNumberOf(phrase);
  if (number !== undefined) return number;
  const plain = plainText(phrase);
  const start = choiceWithText.exec(plain) ?? choiceWithWords.exec(plain);
  return start?.[1]?.toLowerCase() ?? choiceIn(plain);
}

/** Only a number or a text can say a number or a choice; a list or an object of JSON cannot. */
function isPlain(answer: JsonValue): answer is number | string {
  return typeof answer === "number" || typeof answer === "string";
}
