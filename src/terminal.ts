// What reaches a terminal: text out of files and models may hold sequences that move its cursor, set its title or hide what follows.
import { isErrno } from "./errors.ts";
import { observer } from "./observer.ts";

/** Control characters but newline and tab, what is invisible or changes the direction of writing, and halves of characters. */
const unsafe = /(?![\n\t])[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;

/** Writes what a terminal would not show as it is by its number: ESC is \u{1b}. Newlines and tabs stay. */
export function visible(text: string): string {
  return text.replace(unsafe, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`);
}

/** Says something to the user, on standard error, or to the observer of the task that is under way. */
export function say(text: string): void {
  const hears = observer();
  if (hears === undefined) console.error(visible(text));
  else hears.onMessage?.(visible(text));
}

/** Prints a result, on standard output. */
export function print(text: string): void {
  console.log(visible(text));
}

/** From now on a terminal or a reader that is gone is no error: what nobody can see any more does not end the work. */
export function outliveTerminal(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error) => {
      if (!isErrno(error, "EPIPE") && !isErrno(error, "EIO")) throw error;
    });
  }
}
