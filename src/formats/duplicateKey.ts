// JSON.parse keeps the last of two equal keys of an object in silence.

/** The first key that an object of a JSON text, which must be valid, has twice. */
export function findDuplicateKey(text: string): string | undefined {
  const openObjects: Set<string>[] = [];
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (char === "{") openObjects.push(new Set());
    else if (char === "}") openObjects.pop();
    else if (char === '"') {
      const end = endOfString(text, i);
      if (nextSignificant(text, end) === ":") {
        const key = JSON.parse(text.slice(i, end)) as string;
        const keys = openObjects.at(-1)!;
        if (keys.has(key)) return key;
        keys.add(key);
      }
      i = end - 1;
    }
  }
  return undefined;
}

/** The index behind the closing quote of the string that opens at `start`: one after an even number of backslashes. */
function endOfString(text: string, start: number): number {
  let end = start;
  let backslashes: number;
  do {
    end = text.indexOf('"', end + 1);
    backslashes = 0;
    while (text[end - 1 - backslashes] === "\\") backslashes++;
  } while (backslashes % 2 === 1);
  return end + 1;
}

function nextSignificant(text: string, start: number): string | undefined {
  let i = start;
  while (text[i] === " " || text[i] === "\n" || text[i] === "\r" || text[i] === "\t") i++;
  return text[i];
}
