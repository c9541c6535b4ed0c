// Renders a template so that what it writes itself can be told from the data that it writes: a control token is one only where the
// template put it, and the same characters in the data are ordinary text.
//
// The template is rendered twice, with the data as it is and with every character of the data replaced by a mark that occurs
// nowhere else. Where both give the same text once the marks are read back, each mark says that its character is data. A template
// that looks into its data (`level == "hard"`) goes another way when it sees marks. Then only the characters are marked of which
// control tokens are made beside letters and digits, and a control token counts only if the template spells it out or names it.
import { UserError } from "../../errors.ts";
import type { Span } from "../tokenizer/addedTokens.ts";
import type { Tokenizer } from "../tokenizer.ts";
import type { JinjaTemplate, Variables } from "./template.ts";

export interface Rendered {
  readonly text: string;
  /** What of the text the template wrote. */
  readonly written: readonly Span[];
}

/** A value of the data as the template is to see it. */
export type AsSeen = <T>(value: T) => unknown;

/**
 * @param variables what the template sees beside the named control tokens; what of it is data goes through the function given
 * @throws UserError when the template does to its data what cannot be followed
 */
export function renderApart(
  template: JinjaTemplate,
  variables: (data: AsSeen) => Variables,
  { controlTokens, namedTokens }: Pick<Tokenizer, "controlTokens" | "namedTokens">,
): Rendered {
  const render = (data: AsSeen) => template.render({ ...variables(data), ...namedTokens });
  const texts: string[] = [];
  const text = render((value) => {
    mapTexts(value, (text) => `${texts.push(text)}`, true);
    return value;
  });
  const data = texts.join("");
  const all = createMarks(template.source + data, data, () => true);
  const marked = tried(() => render((value) => mapTexts(value, all.mark, true)));
  const rendered = marked === undefined ? undefined : all.read(marked);
  if (rendered?.text === text) return rendered;

  const used = new Set([...controlTokens].join("").replace(/[\p{L}\p{N}\s]/gu, ""));
  const some = createMarks(template.source + data, data, (character) => used.has(character));
  const { text: again, written } = some.read(render((value) => mapTexts(value, some.mark)));
  if (again !== text)
    throw new UserError(
      `${template.where}: expected a template that writes its data as they are, found one that looks for ${[...used].join(" ")} in them or changes ` +
        "these characters, of which control tokens are made: what it writes itself cannot be told from the data",
    );
  const named = Object.entries(namedTokens).filter(([name]) => template.source.includes(name));
  const spelled = [template.source, ...named.map(([, token]) => token)].join("\n");
  const strange = [...controlTokens].filter((token) => !spelled.includes(token));
  return { text, written: without(written, text, strange) };
}

function tried(render: () => string): string | undefined {
  try {
    return render();
  } catch {
    return undefined; // it needs its data as they are
  }
}

interface Marks {
  readonly mark: (text: string) => string;
  readonly read: (marked: string) => Rendered;
}

/** @param taken text whose characters cannot be marks */
function createMarks(taken: string, data: string, isMarked: (character: string) => boolean): Marks {
  const characters = [...new Set(data)].filter((c) => /\S/.test(c) && isMarked(c));
  const free = freeCharacters(new Set(taken));
  const markOf = new Map(characters.map((character) => [character, free.next().value!]));
  const characterOf = new Map([...markOf].map(([character, mark]) => [mark, character]));
  return {
    mark: (text) => [...text].map((character) => markOf.get(character) ?? character).join(""),
    read: (marked) => {
      let text = "";
      const written: { start: number; end: number }[] = [];
      for (const found of marked) {
        const character = characterOf.get(found);
        const start = text.length;
        text += character ?? found;
        if (character !== undefined) continue;
        const last = written.at(-1);
        if (last?.end === start) last.end = text.length;
        else written.push({ start, end: text.length });
      }
      return { text, written };
    },
  };
}

/** Characters for private use that do not occur yet: those of one UTF-16 unit, then those of two. */
function* freeCharacters(taken: ReadonlySet<string>): Generator<string> {
  for (const [first, last] of [
    [0xe000, 0xf8ff],
    [0xf0000, 0xffffd],
    [0x100000, 0x10fffd],
  ] as const)
    for (let code = first; code <= last; code++)
      if (!taken.has(String.fromCodePoint(code))) yield String.fromCodePoint(code);
}

/** A value with its texts replaced, those within lists and mappings, too; numbers count as texts where they are only to be written. */
function mapTexts(value: unknown, map: (text: string) => string, withNumbers = false): unknown {
  if (typeof value === "string") return map(value);
  if (typeof value === "number") return withNumbers ? map(String(value)) : value;
  if (Array.isArray(value)) return value.map((item) => mapTexts(item, map, withNumbers));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([key, inner]) => [
    map(key),
    mapTexts(inner, map, withNumbers),
  ]);
  return Object.fromEntries(entries);
}

/** Spans without the places of some texts in them. */
function without(spans: readonly Span[], text: string, removed: readonly string[]): Span[] {
  const cut = (span: Span): Span[] => {
    const within = text.slice(span.start, span.end);
    const token = removed.find((token) => within.includes(token));
    if (token === undefined) return [span];
    const start = span.start + within.indexOf(token);
    const rest = { start: start + token.length, end: span.end };
    return [...cut({ start: span.start, end: start }), ...cut(rest)];
  };
  return spans.flatMap(cut);
}
