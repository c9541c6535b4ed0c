// What tokens add to a text.
import type { Tokenizer } from "./tokenizer.ts";

/**
 * The text that tokens add to those before them. Decoders take the first space of what they are given away, and a character's
 * bytes can lie on both sides; so all is decoded together, and what stays of the text before is cut off.
 * A character that the new tokens complete is theirs.
 */
export function continuationText(
  { decode }: Pick<Tokenizer, "decode">,
  before: readonly number[],
  tokens: readonly number[],
): string {
  const [known, whole] = [decode(before), decode([...before, ...tokens])];
  if (whole.startsWith(known)) return whole.slice(known.length);
  const [knownChars, wholeChars] = [[...known], [...whole]];
  const changed = wholeChars.findIndex((char, i) => char !== knownChars[i]);
  return changed === -1 ? "" : wholeChars.slice(changed).join("");
}
