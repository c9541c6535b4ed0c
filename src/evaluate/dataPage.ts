// What `reft check-data` prints: the figures of a data file, and some rows as a model sees them, in the width of a terminal.
import { continuationText } from "../data/continuation.ts";
import type { Example } from "../data/examples.ts";
import { formatPrompt } from "../data/prompt.ts";
import type { Tokenizer } from "../data/tokenizer.ts";
import { show } from "../errors.ts";
import type { Verdict } from "../reward/judge.ts";
import type { Lengths } from "../run/lengths.ts";
import { columnsOf } from "../terminal.ts";
import { problemOf } from "./checkGold.ts";

/** Lengths of one part of all rows. */
export interface PartLengths extends Lengths {
  readonly name: string;
  readonly limit: number | undefined;
  /** Rows beyond the limit. */
  readonly over: number;
}

export interface ShownRow {
  readonly example: Example;
  /** Undefined for a row without a chain of thought. */
  readonly verdict: Verdict | undefined;
  /** Undefined without a tokenizer. `given` are the first tokens of the completion that a model need not write. */
  readonly tokens?: {
    readonly prompt: readonly number[];
    readonly completion: readonly number[];
    readonly given: number;
  };
}

export interface DataCheck {
  readonly path: string;
  readonly rows: number;
  /** Whether a reward of the user's judges. */
  readonly isOwn: boolean;
  /** The rows with a chain of thought. */
  readonly judged: readonly { readonly example: Example; readonly verdict: Verdict }[];
  readonly unit: "tokens" | "characters";
  readonly lengths: readonly PartLengths[];
  readonly shown: readonly ShownRow[];
  readonly warning: string | undefined;
  readonly decode: TokenTexts | undefined;
  /** Questions that stand more than once. */
  readonly repeated: number;
  readonly others: readonly {
    readonly path: string;
    readonly rows: number;
    readonly same: number;
    readonly variants: number;
  }[];
}

/** What it takes to show tokens. */
type TokenTexts = Pick<Tokenizer, "decode" | "encode" | "controlTokens">;

/** Longer lines are harder to read. */
const widestPage = 80;
const wrongShown = 5;

export function dataPage(check: DataCheck, columns = columnsOf(process.stdout)): string {
  const width = Math.min(columns ?? widestPage, widestPage) - 2;
  const { path, rows, judged, warning, shown, decode } = check;
  return [
    sentence(width, `${path}: ${rows} rows, ${judged.length} with a chain of thought`),
    ...(warning === undefined ? [] : [sentence(width, `warning: ${warning}`)]),
    rewardSection(check, width),
    lengthsSection(check, width),
    duplicatesSection(check, width),
    ...(shown.length === 0 ? [] : [legend(decode !== undefined)]),
    ...shown.map((row) => rowSection(row, check, width)),
  ].join("\n\n");
}

/** Counts by what came out, and the first rows that are not right. */
function rewardSection({ judged, isOwn }: DataCheck, width: number): string {
  const counts = new Map<string, number>();
  for (const { verdict } of judged) {
    const kind = verdict.correct ? "right" : kindOf(verdict);
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  const problems = judged.flatMap(({ example, verdict }) => {
    const problem = problemOf(verdict, example.answer, isOwn);
    return problem === undefined ? [] : [`${show(example.id)}: ${problem}`];
  });
  const rest = problems.length > wrongShown ? [`and ${problems.length - wrongShown} more`] : [];
  return [
    "What the reward says of the chains of thought",
    ...[...counts].map(([kind, count]) => `  ${kind.padEnd(16)}${String(count).padStart(7)}`),
    ...[...problems.slice(0, wrongShown), ...rest].map((line) => sentence(width, line, "  ")),
  ].join("\n");
}

function kindOf({ outcome }: Verdict): string {
  return outcome.kind === "answer" ? "wrong answer" : outcome.kind;
}

function lengthsSection({ unit, lengths }: DataCheck, width: number): string {
  const titles = ["median", "95 %", "longest", "limit", "over it"];
  const rows = lengths.map(({ name, median, at95, most, limit, over }) => {
    const cells = [median, at95, most, limit ?? "none", limit === undefined ? "" : over];
    return [`  ${name}`, ...cells.map(String)];
  });
  const table = [[`Lengths in ${unit}`, ...titles], ...rows];
  const isNarrow = width < 22 + 9 * titles.length;
  const widths = titles.map((_, c) =>
    Math.max(isNarrow ? 0 : 9, 1 + Math.max(...table.map((cells) => cells[c + 1]!.length))),
  );
  return table
    .map(([name, ...cells]) =>
      [name!.padEnd(isNarrow ? 21 : 22), ...cells.map((cell, c) => cell.padStart(widths[c]!))]
        .join("")
        .trimEnd(),
    )
    .join("\n");
}

function duplicatesSection({ repeated, others }: DataCheck, width: number): string {
  return [
    "Duplicates",
    `  questions that stand more than once: ${repeated}`,
    ...others.map(({ path, rows, same, variants }) =>
      sentence(
        width,
        `of ${rows} questions of ${path}: ${same} stand here, too, ${variants} have a variant here`,
        "  ",
      ),
    ),
  ].join("\n");
}

function legend(hasTokens: boolean): string {
  const marks = "As a model sees them: \u23ce ends a line, \u21e5 is a tab";
  return hasTokens
    ? `${marks}, \u2502 stands between tokens,\n\u25b8 where a model begins to write`
    : marks;
}

function rowSection(
  { example, verdict, tokens }: ShownRow,
  { decode, isOwn }: Pick<DataCheck, "decode" | "isOwn">,
  width: number,
): string {
  const { id, question, cot, answer } = example;
  const problem = verdict && problemOf(verdict, answer, isOwn);
  const judged = verdict === undefined ? "no chain of thought" : (problem ?? "right");
  const title = sentence(width, `== ${show(id)}, answer ${show(answer)}: ${judged}`);
  if (tokens === undefined || decode === undefined)
    return [
      title,
      part(width, "prompt", marked(formatPrompt(question))),
      ...(cot === undefined ? [] : [part(width, "completion", marked(cot))]),
    ].join("\n");
  const { prompt, completion, given } = tokens;
  const sections = [
    title,
    part(width, `prompt, ${prompt.length} tokens`, tokensText(prompt, decode)),
  ];
  if (cot !== undefined)
    sections.push(
      part(width, `completion, ${completion.length} tokens`, tokensText(completion, decode, given)),
    );
  return sections.join("\n");
}

function part(width: number, title: string, text: string): string {
  return [
    `-- ${title}`,
    ...text
      .replace(/\n$/, "")
      .split("\n")
      .map((line) => wrapped(width, line, "  ")),
  ].join("\n");
}

/** Each token by what it adds to the text: a control token by its name, and one that adds nothing, as a part of a character, by its number. */
function tokensText(tokens: readonly number[], tokenizer: TokenTexts, given = 0): string {
  const names = controlNames(tokenizer);
  return tokens
    .map((token, i) => {
      const text = continuationText(tokenizer, tokens.slice(0, i), [token]);
      const piece = names.get(token) ?? (text === "" ? `<${token}>` : text);
      const border = i === 0 ? "" : i === given ? "\u25b8" : "\u2502";
      return border + marked(piece);
    })
    .join("");
}

function controlNames({ encode, controlTokens }: TokenTexts): ReadonlyMap<number, string> {
  return new Map(
    [...controlTokens].flatMap((name) => {
      const [token, ...others] = encode(name, [{ start: 0, end: name.length }]);
      return token === undefined || others.length > 0 ? [] : [[token, name] as const];
    }),
  );
}

function marked(text: string): string {
  return text.replaceAll("\t", "\u21e5").replaceAll("\n", "\u23ce\n");
}

/** A line of text that may say anything, in pieces that fit a terminal. */
function wrapped(width: number, line: string, indent = ""): string {
  const room = width - indent.length;
  const characters = [...line];
  const pieces: string[] = [];
  for (let begin = 0; begin === 0 || begin < characters.length; begin += room)
    pieces.push(indent + characters.slice(begin, begin + room).join(""));
  return pieces.join("\n");
}

/** A sentence in lines that fit a terminal, broken between words where it can be; all but the first are indented. */
function sentence(width: number, text: string, indent = ""): string {
  const room = width - indent.length - 2;
  const lines = text.match(new RegExp(`.{1,${room}}(?:\\s+|$)|.{${room}}`, "gsu")) ?? [];
  return lines.map((line, i) => `${i === 0 ? indent : `${indent}  `}${line.trimEnd()}`).join("\n");
}
