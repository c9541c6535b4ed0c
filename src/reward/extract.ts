// Finds the program in what a model wrote.
import type { SyntaxNode } from "@lezer/common";
import { parser } from "@lezer/python";
import { anyEndText } from "../data/endTexts.ts";
import { withoutThoughts } from "./thoughts.ts";

/**
 * The program in a P-CoT completion: the first `solution()`, the statements before it and what it needs of those after it.
 *
 * Models write prose, fences, tests or the next question around a program. Python's grammar tells where it begins and ends:
 * statements belong to it as long as they follow one another without an error. It also ends where it is used: a statement that
 * calls `solution()`, or that only prints, reads or exits, and all that comes after it cannot be needed. Definitions that call it
 * do not end it: what it needs may follow them.
 * A text without `solution()` is returned as it is.
 */
export function extractProgram(completion: string): string {
  const answer = unwrapped(withoutThoughts(completion));
  // Drafts among thoughts count for a model that writes no program behind them, or never ends them.
  const whole = SOLUTION_AT_MARGIN.test(answer) ? answer : unwrapped(completion);
  try {
    return findProgram(whole) ?? whole;
  } catch (error) {
    // Thousands of brackets or calls in each other break the grammar's tree. Python refuses them, too.
    if (error instanceof RangeError || error instanceof TypeError) return whole;
    throw error;
  }
}

/** A text without what programs are wrapped in, with `solution()` at the margin. */
function unwrapped(text: string): string {
  const plain = withTagsApart(withPlainSpaces(withUnixLines(text)));
  return atMargin(withoutPrompts(withoutFences(withoutQuotes(plain))));
}

/** Characters read in search of the first statement; thousands of lines of prose may each read like the begin of one. */
const searched = 1_000_000;

function findProgram(whole: string): string | undefined {
  const first = whole.search(SOLUTION_AT_MARGIN); // a broken solution() is not made good by a later one
  let start = marginFrom(whole, 0);
  for (let read = 0; start <= first; ) {
    const text = whole.slice(start);
    const length = readableLength(text);
    const found = start + length > first ? findSolution(text, length) : undefined;
    const foreign = found?.before.findLast((node) => isForeign(text, node));
    if (found && !foreign) return upToEnd(found);
    read += length;
    const next = start + (foreign?.from ?? 0) + 1;
    start = marginFrom(whole, read < searched ? next : Math.max(next, first));
  }
  return undefined;
}

/** A text that has `solution()` among the statements at its top. */
interface Found {
  readonly text: string;
  readonly before: readonly SyntaxNode[];
  readonly solution: SyntaxNode;
  readonly after: readonly SyntaxNode[];
}

/**
 * Finds the first `solution()` before the first error. Where the error is within it, all of the text is looked at: the grammar
 * goes on behind errors, but takes seconds for long prose.
 *
 * @param length of the text up to the error
 */
function findSolution(text: string, length: number): Found | undefined {
  for (const part of [text.slice(0, lineEnd(text, length)), text]) {
    const statements = statementsOf(part);
    const index = statements.findIndex((node) => definedName(part, node) === "solution");
    const solution = statements[index];
    const isSound = solution && endsLine(part, solution) && !contains(solution, isWrong);
    if (solution && (isSound || part === text)) {
      const [before, after] = [statements.slice(0, index), statements.slice(index + 1)];
      return { text: part, before, solution, after };
    }
  }
  return undefined;
}

/** The first line from there on that is not indented; the end of the text where there is none. */
function marginFrom(text: string, index: number): number {
  const line = /^(?=[^ \t\n])/gm;
  line.lastIndex = index;
  return line.exec(text)?.index ?? text.length;
}

function lineEnd(text: string, index: number): number {
  const end = text.indexOf("\n", index);
  return end === -1 ? text.length : end + 1;
}

/** The text from its start to the end of the program. */
function upToEnd({ text, before, solution, after }: Found): string {
  if (!endsLine(text, solution)) return text; // broken in a way that the grammar makes two statements of
  const lastReturn = contains(solution, isWrong) && returnBeforeErrors(text, solution);
  if (lastReturn) return text.slice(0, lastReturn.to);
  const end = after.findIndex((node) => isForeign(text, node) || isUse(text, node));
  const definitions = end === -1 ? after : after.slice(0, end);
  const last = lastNeeded(text, [...before, solution], definitions) ?? solution;
  return text.slice(0, last.to).trimEnd();
}

/** The last of the definitions that a program needs, itself or through others, which may be anything before it. */
function lastNeeded(
  text: string,
  program: readonly SyntaxNode[],
  definitions: readonly SyntaxNode[],
): SyntaxNode | undefined {
  const lastOf = new Map(
    definitions.flatMap((node, i) => boundNames(text, node).map((name) => [name, i])),
  );
  const used = new Set(program.flatMap((node) => namesIn(text, node)));
  let count = 0;
  for (const name of used) // which grows
    while (count <= (lastOf.get(name) ?? -1))
      for (const other of namesIn(text, definitions[count++]!)) used.add(other);
  return definitions[count - 1];
}

/**
 * Python takes the line ends of other systems, form feeds before an indent and a byte order mark; the grammar does not. A space that
 * the first line alone has is one that some tokenizers put before a text's first word.
 */
function withUnixLines(text: string): string {
  return text
    .replace(/\r\n?/g, "\n")
    .replace(/^[\f\uFEFF]+/gm, "")
    .replace(/^\n* (?=\S)(?![\s\S]*\n \S)/, "");
}

/** Python's texts and comments; or what cannot be seen; or spaces that only look like one. */
const OTHER_SPACES =
  /"""[\s\S]*?"""|'''[\s\S]*?'''|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|#.*|([\xAD\u200B\u200E\u200F\u202A-\u202E\u2060\u2066-\u2069\uFEFF]+)|([\xA0\u2000-\u200A\u202F\u3000])/g;

/** Such characters are no Python outside of texts and comments: models copy them from pages of the web. */
function withPlainSpaces(text: string): string {
  return text.replace(OTHER_SPACES, (found, unseen?: string, space?: string) => {
    if (unseen !== undefined) return "";
    return space === undefined ? found : " ";
  });
}

/** The begin of the program's function. */
const definition = String.raw`(?:async\s+)?def\s+solution\b`;
const SOLUTION_AT_MARGIN = new RegExp(`^${definition}`, "m");
const SOLUTION = new RegExp(String.raw`^[ \t]*${definition}`, "m");
const SOLUTION_QUOTED = new RegExp(String.raw`^ {0,3}>[ \t]*${definition}`, "m");
/** The indent of the first one. */
const INDENT_OF_SOLUTION = new RegExp(String.raw`^[ \t]+(?=${definition})`, "m");

/** The tags that models were taught to put around their code, as HTML writes them, CodeLlama and Llama 3. */
const codeTag = "(?:answer|code|program|python|solution)";
const openings = String.raw`(?:(?:<${codeTag}>|\[PYTHON\]|<\|python_tag\|>)[ \t]*)+`;

/** Such tags at the begin of a line, before code or a fence. */
const TAG_BEFORE_CODE = new RegExp(
  String.raw`^[ \t]*${openings}(?=(?:async|class|def|from|import)\s|@\w|\w+ *=|\x60{3})`,
  "gm",
);

/** What ends a turn or closes the code; HTML's elements within a text are closed behind where they opened. */
const end = String.raw`(?:${anyEndText}|\[/?INST\]|\[/PYTHON\]|(?<!<${codeTag}>[^<\n]*)</${codeTag}>)`;

/** One of these or several behind code on its line, written out; a text in quotes goes on behind it. */
const END_BEHIND_CODE = new RegExp(
  String.raw`(?<=\S)(?<!${end})[ \t]*(?=(?:${end}[ \t]*)+(?:$|<\||<s>))`,
  "gm",
);

/** Each opening before code and each end behind it on lines of their own, where they are no Python and so bound the program. */
function withTagsApart(text: string): string {
  return text
    .replace(/^\s*<s>[ \t]?/, "")
    .replace(TAG_BEFORE_CODE, "$&\n")
    .replace(END_BEHIND_CODE, "\n");
}

/** What stands in a quotation, if the program does. */
function withoutQuotes(text: string): string {
  const isQuoted = SOLUTION_QUOTED.test(text) && !SOLUTION.test(text);
  return isQuoted ? text.replace(/^ {0,3}> ?/gm, "") : text;
}

/** A fence that closes behind code on its line; one that a line begins with is none of these. */
const FENCE_BEHIND_CODE = /^(?! *(?:`{3}|~{3}))((?:(?!`{3}).)*\S)[ \t]*(`{3,}[ \t]*)$/gm;
/** A fence that opens before code on its line. */
const FENCE_BEFORE_CODE = new RegExp(
  String.raw`^( *\x60{3,})(?:python3?|py)?[ \t]*(?=${definition}|import\s|from\s)`,
  "gm",
);

/** What stands in Markdown's fences, if the program does. Reference: CommonMark 0.31, section 4.5. */
function withoutFences(written: string): string {
  const text = written.replace(FENCE_BEHIND_CODE, "$1\n$2").replace(FENCE_BEFORE_CODE, "$1\n");
  const blocks: { readonly indent: number; readonly fence: string; readonly lines: string[] }[] =
    [];
  let open: (typeof blocks)[number] | undefined;
  for (const line of text.split("\n")) {
    const [, indent, fence, info] = /^( *)(`{3,}(?=[^`]*$)|~{3,})(.*)$/.exec(line) ?? [];
    if (open === undefined) {
      if (SOLUTION.test(line)) return text;
      if (fence === undefined) continue;
      open = { indent: indent!.length, fence, lines: [] };
      blocks.push(open);
    } else {
      const isEnd = fence?.startsWith(open.fence) && info!.trim() === "";
      if (isEnd && indent!.length <= open.indent + 3) open = undefined;
      else open.lines.push(line); // also the fences of a docstring
    }
  }
  const code = blocks.flatMap(({ indent, lines }) => withoutIndent(lines, indent)).join("\n");
  return SOLUTION.test(code) ? code : text;
}

/** A fence's indent is not part of its lines. Where one of them lacks it, the code was not indented with the fence. */
function withoutIndent(lines: readonly string[], indent: number): string[] {
  const least = lines
    .filter((line) => !isBlankLine(line))
    .reduce((least, line) => Math.min(least, line.search(/[^ ]/)), indent);
  return lines.map((line) => line.replace(new RegExp(`^ {0,${least}}`), ""));
}

/** Python's prompt, or IPython's. */
const prompt = String.raw`^[ \t]*(?:>>>|In \[\d+\]:|\.{3,}:?)`;
const PROMPT = new RegExp(`${prompt}(?: (.*))?$`);
const SOLUTION_AT_PROMPT = new RegExp(`${prompt} ${definition}`, "m");

/** What was typed at a prompt, if the program was; what Python printed is left out. Some leave the prompt out within a block. */
function withoutPrompts(text: string): string {
  if (!SOLUTION_AT_PROMPT.test(text)) return text;
  let isBlock = false;
  return text
    .split("\n")
    .flatMap((line) => {
      const typed = PROMPT.exec(line);
      isBlock = typed ? /:\s*$/.test(typed[1] ?? "") : isBlock && /^(?:\s|$)/.test(line);
      if (typed) return typed[1] ?? "";
      return isBlock ? line : [];
    })
    .join("\n");
}

/** The text without the indent of `solution()`, where that stands at no margin. */
function atMargin(text: string): string {
  if (SOLUTION_AT_MARGIN.test(text)) return text;
  const indent = INDENT_OF_SOLUTION.exec(text)?.[0];
  return indent === undefined ? text : text.replace(new RegExp(`^${indent}`, "gm"), "");
}

const strict = parser.configure({ strict: true });

/** How much of a text the grammar reads before the first error. */
function readableLength(text: string): number {
  const parse = strict.startParse(text);
  try {
    while (!parse.advance()) {}
    return text.length;
  } catch (error) {
    if (error instanceof SyntaxError) return parse.parsedPos;
    throw error;
  }
}

/** The statements at the top of a text, and what the grammar could not read. */
function statementsOf(text: string): SyntaxNode[] {
  return childrenOf(parser.parse(text).topNode)
    .flatMap((node) => (node.name === "StatementGroup" ? childrenOf(node) : node))
    .filter(({ name }) => name !== ";");
}

function childrenOf(node: SyntaxNode): SyntaxNode[] {
  const children: SyntaxNode[] = [];
  for (let child = node.firstChild; child; child = child.nextSibling) children.push(child);
  return children;
}

/** Whether anything in a statement, itself included, is so. */
function contains(node: SyntaxNode, holds: (node: SyntaxNode) => boolean): boolean {
  let found = false;
  node.cursor().iterate(({ node }) => {
    found ||= holds(node);
    return !found;
  });
  return found;
}

/** The function under its decorators, if there are any. */
function undecorated(node: SyntaxNode): SyntaxNode {
  return node.name === "DecoratedStatement" ? (node.lastChild ?? node) : node;
}

function definedName(text: string, node: SyntaxNode): string | undefined {
  const name = DEFINITIONS.includes(node.name) && undecorated(node).getChild("VariableName");
  return name ? text.slice(name.from, name.to) : undefined;
}

function namesIn(text: string, node: SyntaxNode): string[] {
  const names: string[] = [];
  node.cursor().iterate(({ name, from, to }) => {
    if (name === "VariableName") names.push(text.slice(from, to));
  });
  return names;
}

/** The names that a statement gives a value, or may change. */
function boundNames(text: string, node: SyntaxNode): string[] {
  const defined = definedName(text, node);
  if (defined !== undefined) return [defined];
  const parts = childrenOf(node);
  const operator = parts.findLastIndex(({ name }) => name === "AssignOp" || name === "UpdateOp");
  return operator === -1
    ? namesIn(text, node)
    : parts.slice(0, operator).flatMap((part) => namesIn(text, part));
}

const DEFINITIONS = ["FunctionDefinition", "ClassDefinition", "DecoratedStatement"];
const STATEMENTS = new Set([
  ...DEFINITIONS,
  ...["ImportStatement", "UpdateStatement", "TypeDefinition", "Comment"],
  ...["IfStatement", "ForStatement", "WhileStatement", "WithStatement", "TryStatement"],
  ...["MatchStatement", "DeleteStatement", "AssertStatement", "RaiseStatement", "PassStatement"],
]);
const EXPRESSIONS = new Set(["CallExpression", "String", "ContinuedString"]);

/** No statement beside `solution()`: prose, which may look like a name or an annotation, or a statement that is broken off. */
function isForeign(text: string, node: SyntaxNode): boolean {
  const begins = node.name === "Comment" || holdsAt(/(?<=^|\n|;[ \t]*)/y, text, node.from);
  if (!begins || !endsLine(text, node)) return true;
  if (contains(node, (part) => isWrong(part) || isMereName(part))) return true;
  if (node.name === "ExpressionStatement") return !EXPRESSIONS.has(node.firstChild?.name ?? "");
  if (node.name === "AssignStatement") return !node.getChild("AssignOp");
  return !STATEMENTS.has(node.name);
}

/** A word of prose, or the begin of a line that was cut off: `retu`. */
function isMereName(node: SyntaxNode): boolean {
  return node.name === "ExpressionStatement" && node.firstChild?.name === "VariableName";
}

function endsLine(text: string, { to }: SyntaxNode): boolean {
  return text[to - 1] === "\n" || holdsAt(/[ \t]*(?:[\n;#]|$)/y, text, to);
}

/** Does a sticky pattern match here? */
function holdsAt(pattern: RegExp, text: string, index: number): boolean {
  pattern.lastIndex = index;
  return pattern.test(text);
}

const TARGETS = new Set([
  ...["VariableName", "MemberExpression", "TupleExpression", "ArrayExpression", "TypeDef"],
  ...["ParenthesizedExpression", "AssignOp", ",", "*"],
]);

/** Errors, including what the grammar lets pass: Python 2's `print 7`, and what was broken off. */
function isWrong(node: SyntaxNode): boolean {
  if (node.type.isError || node.name === "PrintStatement") return true;
  if (node.name === "ImportStatement") return node.lastChild?.name === ",";
  if (node.name === "TryStatement") return !node.getChild("except") && !node.getChild("finally");
  if (node.name !== "AssignStatement") return false;
  const parts = childrenOf(node).map(({ name }) => name);
  return !parts.slice(0, parts.lastIndexOf("AssignOp") + 1).every((name) => TARGETS.has(name));
}

/** A statement after `solution()` that uses the program instead of adding to it. */
function isUse(text: string, node: SyntaxNode): boolean {
  if (definedName(text, node) === "solution") return true;
  if (["AssertStatement", "RaiseStatement"].includes(node.name)) return true;
  const isCallOf = (names: RegExp) => (call: SyntaxNode) =>
    call.name === "CallExpression" &&
    names.test(text.slice(call.firstChild!.from, call.firstChild!.to));
  if (DEFINITIONS.includes(node.name)) return false; // a main() that stands before what solution() needs
  return contains(node, isCallOf(/^solution$|\b(?:print|input|exit|quit|main)$/));
}

/** The return at the end of `solution()`, if all errors in it come after that. */
function returnBeforeErrors(text: string, solution: SyntaxNode): SyntaxNode | undefined {
  const body = undecorated(solution).getChild("Body");
  const statements = body ? childrenOf(body) : [];
  const error = statements.findIndex((node) => contains(node, isWrong));
  const isReturn = (node: SyntaxNode) => node.name === "ReturnStatement" && endsLine(text, node);
  return statements.slice(0, error === -1 ? undefined : error).find(isReturn);
}

const isBlankLine = (line: string) => line.trim() === "";
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
 * The program as the authors cut it, at the first blank line after the body of `solution()` has begun. Unlike theirs, blank
 * lines before the first statement and inside a triple-quoted text (a question of two paragraphs) do not end the program.
 */
export function extractToBlankLine(completion: string): string {
  const lines = completion.split(/\r?\n/);
  let part: "before" | "signature" | "docstring" | "body" = "before";
  let openQuote: string | undefined;
  for (const [index, line] of lines.entries()) {
    if (isBlankLine(line) && part === "body" && !openQuote) return lines.slice(0, index).join("\n");
    const wasOpen = openQuote;
    openQuote = openQuoteAfter(line, openQuote);
    if (wasOpen || isBlankLine(line)) continue;
    if (part === "before") part = /^def\s+solution\b/.test(line) ? "signature" : "before";
    else if (part === "signature" && /^\s*("""|''')/.test(line)) part = "docstring";
    else part = "body";
  }
  return lines.join("\n");
}
