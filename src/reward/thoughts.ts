// Leaves out what a model writes while it thinks, where its answer is looked for: drafts there do not count.

/** The names of the tags around thoughts, in the templates of models and in prompts; Magistral's stands in square brackets. */
const names = "think|thinking|reasoning|thought";
const tag = new RegExp(String.raw`<(?<end>\/?)(?:${names})>|\[(?<stroke>\/?)THINK\]`, "g");
const namedTag = new RegExp(String.raw`[<[/](?:${names})\b`, "i");

/**
 * The text without its thoughts. They may have begun before the text, in the prompt, so that only their end is in it. Thoughts that
 * begin a line and do not end were cut off: what is behind is no answer. Elsewhere a tag that is not closed is only spoken of.
 */
export function withoutThoughts(text: string): string {
  let kept = "";
  let begin = 0;
  let isThought = false;
  for (const { 0: written, index, groups } of text.matchAll(tag)) {
    const isEnd = groups!.end === "/" || groups!.stroke === "/";
    if (isEnd) {
      if (!isThought) kept = "";
      begin = index + written.length;
    } else if (!isThought) {
      kept += text.slice(begin, index);
      begin = index;
    }
    isThought = !isEnd;
  }
  const isCutOff = isThought && kept.slice(kept.lastIndexOf("\n") + 1).trim() === "";
  return isCutOff ? kept : kept + text.slice(begin);
}

/** Does an expression of a user look for the tags itself? */
export function looksForThoughts(expression: string): boolean {
  return namedTag.test(expression);
}
