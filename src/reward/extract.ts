// Finds the program in what a model wrote.

const isBlank = (line: string) => line.trim() === "";
const TRIPLE_QUOTES = /"""|'''/g;

/** The triple quote that is still open after this line, if any. */
function openQuoteAfter(line: string, open: string | undefined): string | undefined {
  for (const [quote] of line.matchAll(TRIPLE_QUOTES)) {
    if (open === undefined) open = quote;
    else if (open === quote) open = undefined;
  }
  return open;
}

/**
 * The program in a P-CoT completion: everything up to the first blank line after the body of `solution()` has started.
 * Models write on after the program; a blank line is where the authors stop. Unlike theirs, blank lines before the
 * first statement and inside a triple-quoted text (a question of two paragraphs) do not end the program.
 */
export function extractProgram(completion: string): string {
  const lines = completion.split(/\r?\n/);
  let part: "before" | "signature" | "docstring" | "body" = "before";
  let openQuote: string | undefined;
  for (const [index, line] of lines.entries()) {
    if (isBlank(line) && part === "body" && !openQuote) return lines.slice(0, index).join("\n");
    const wasOpen = openQuote;
    openQuote = openQuoteAfter(line, openQuote);
    if (wasOpen || isBlank(line)) continue;
    if (part === "before") part = /^def\s+solution\b/.test(line) ? "signature" : "before";
    else if (part === "signature" && /^\s*("""|''')/.test(line)) part = "docstring";
    else part = "body";
  }
  return lines.join("\n");
}
