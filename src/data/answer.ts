// What an answer says: a number, or one of the choices a to e. The gold answer, the model's and every vote are read by these.
import { numberOf } from "./number.ts";

/** The choice that a multiple-choice answer names, in lower case: `b` for "b", "B", "'b'" and "(b)". */
export function choiceOf(answer: number | string): string | undefined {
  const match = /^["'(\s]*([a-e])["').\s]*$/i.exec(String(answer));
  return match?.[1]?.toLowerCase();
}

/** The number, or else the choice, that an answer says; undefined where it says neither, so that nothing can equal it. */
export function readAnswer(answer: number | string): number | string | undefined {
  return numberOf(answer) ?? choiceOf(answer);
}
