// What reaches a terminal: text out of files and models may hold sequences that move its cursor, set its title or hide what follows.

/** Control characters but newline and tab, what is invisible or changes the direction of writing, and halves of characters. */
const unsafe = /(?![\n\t])[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;

/** Writes what a terminal would not show as it is by its number: ESC is \u{1b}. Newlines and tabs stay. */
export function visible(text: string): string {
  return text.replace(unsafe, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`);
}

/** Says something to the user, on standard error. */
export function say(text: string): void {
  console.error(visible(text));
}

/** Prints a result, on standard output. */
export function print(text: string): void {
  console.log(visible(text));
}
