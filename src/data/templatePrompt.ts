// Prompts out of Jinja templates: a model's own chat template, or a file that the user wrote.
import { show, UserError } from "../errors.ts";
import { type AsSeen, type Rendered, renderApart } from "./jinja/apart.ts";
import { type JinjaTemplate, parseTemplate, type Variables } from "./jinja/template.ts";
import type { Span } from "./tokenizer/addedTokens.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** A conversation as the model's chat template writes it: the system's message, where there is one, then the question. */
export interface ChatPrompt {
  readonly kind: "chat";
  readonly template: string;
  readonly system?: string | undefined;
  /** What the template takes for today, as 2024-07-26. */
  readonly date?: string | undefined;
}

/** A template that sees the columns of the question's row. */
export interface FilePrompt {
  readonly kind: "file";
  readonly name: string;
  readonly template: string;
}

export type TemplatePrompt = ChatPrompt | FilePrompt;

/** Whether two prompts ask the same way; a file may be named otherwise. */
export function isSamePrompt(
  a: TemplatePrompt | undefined,
  b: TemplatePrompt | undefined,
): boolean {
  const told = (prompt: TemplatePrompt | undefined) =>
    JSON.stringify(prompt && { ...prompt, name: undefined });
  return told(a) === told(b);
}

/** For messages: "the paper's prompt". */
export function describePrompt(prompt: TemplatePrompt | undefined): string {
  if (!prompt) return "the paper's prompt";
  if (prompt.kind === "file") return `the template ${prompt.name}`;
  const system =
    prompt.system === undefined ? "no system message" : `the system message ${show(prompt.system)}`;
  const date = prompt.date === undefined ? "" : ` on ${prompt.date}`;
  return `its chat template with ${system}${date}`;
}

/** A question; whatever columns the row has beside it are there to be shown. */
export interface QuestionRow {
  readonly id?: string;
  readonly question: string;
}

/** Parsed templates; a run has one or two, and thousands of rows. */
const parsed = new Map<string, JinjaTemplate>();

function templateOf(prompt: TemplatePrompt): JinjaTemplate {
  const where = prompt.kind === "chat" ? "chat template" : prompt.name;
  const date = prompt.kind === "chat" ? prompt.date : undefined;
  const key = JSON.stringify([where, date, prompt.template]);
  const known = parsed.get(key);
  if (known) return known;
  const template = parseTemplate(prompt.template, where, date);
  parsed.set(key, template);
  return template;
}

/**
 * @throws UserError when the template cannot be parsed, asks for no date although one is given, or ends no answer
 */
export function checkTemplate(prompt: TemplatePrompt, tokenizer: Tokenizer): void {
  const { source } = templateOf(prompt);
  if (prompt.kind === "file") return;
  if (prompt.date !== undefined && !source.includes("strftime_now"))
    throw new UserError(
      `chat.date: expected none, because the chat template asks for no date, found ${prompt.date}`,
    );
  endOfTurn(prompt, tokenizer);
}

/** What the model is given for a question; control tokens are those that the template writes. */
export function renderPrompt(
  prompt: TemplatePrompt,
  row: QuestionRow,
  tokenizer: Tokenizer,
): Rendered {
  if (prompt.kind === "file") return renderFile(prompt, row, tokenizer);
  const rendered = renderApart(
    templateOf(prompt),
    (data) => chatVariables(prompt, row.question, data),
    tokenizer,
  );
  const { system } = prompt;
  if (system === undefined || rendered.text.includes(system.trim())) return rendered;
  throw new UserError("chat template: it leaves out the system's message; take chat.system out");
}

/** Columns that say what the model has to find. */
const answers = ["answer", "cot"];

function renderFile(prompt: FilePrompt, row: QuestionRow, tokenizer: Tokenizer): Rendered {
  const template = templateOf(prompt);
  const shown = Object.entries(row).filter(([name]) => !answers.includes(name));
  const columns = shown.map(([name]) => name);
  const read = [...template.needs].filter((name) => !Object.hasOwn(tokenizer.namedTokens, name));
  const missing = read.filter((name) => !columns.includes(name));
  if (missing.length > 0) {
    const isAnswer = answers.includes(missing[0]!);
    throw new UserError(
      `${prompt.name}: expected the name of a column, found ${show(missing[0])}, ` +
        `${isAnswer ? "which the model has to find and no prompt may show" : "which the row has not"}; it has ${columns.join(", ")}`,
    );
  }
  const variables = (data: AsSeen) =>
    Object.fromEntries(shown.map(([name, value]) => [name, data(value)]));
  const rendered = renderApart(template, variables, tokenizer);
  const [first] = rendered.written;
  if (read.length === 0 && first?.start === 0 && first.end === rendered.text.length)
    throw new UserError(
      `${prompt.name}: expected a template that shows the question, found one that shows nothing of its row; ` +
        "write {{ question }} where it belongs",
    );
  return rendered;
}

/** @param answer of the assistant; without one the text ends where it begins */
function chatVariables(
  { system }: Pick<ChatPrompt, "system">,
  question: string,
  data: AsSeen,
  answer?: string,
): Variables {
  return {
    messages: [
      ...(system === undefined ? [] : [{ role: "system", content: data(system) }]),
      { role: "user", content: data(question) },
      ...(answer === undefined ? [] : [{ role: "assistant", content: data(answer) }]),
    ],
    tools: null,
    documents: null,
    add_generation_prompt: answer === undefined,
  };
}

/**
 * A conversation with the assistant's answer up to the end of its turn: the first control token after it.
 *
 * @returns token ids: those of the prompt, then those of the completion
 * @throws UserError when the template has no such turn, or changes the answer
 */
export function encodeConversation(
  prompt: ChatPrompt,
  row: QuestionRow,
  answer: string,
  tokenizer: Tokenizer,
): { promptTokens: number[]; completionTokens: number[] } {
  const asked = renderPrompt(prompt, row, tokenizer);
  const turn = findTurn(prompt, row.question, answer, tokenizer);
  const begin = asked.text.length;
  const [from, to] = [begin + turn.before.length, begin + turn.before.length + turn.answer.length];
  const text = asked.text + turn.before + turn.answer + turn.end;
  const written = joined([
    ...asked.written,
    { start: begin, end: from },
    { start: to, end: text.length },
  ]);
  const promptTokens = tokenizer.encode(asked.text, asked.written);
  const tokens = tokenizer.encode(text, written);
  if (promptTokens.some((token, i) => token !== tokens[i]))
    throw new UserError(
      `chat template: the end of the prompt and the beginning of the answer, ${show(answer.slice(0, 12))}, share a token, so ` +
        "sampling could not begin between them; let the answer begin otherwise, or give a template file, which is tokenised apart",
    );
  return { promptTokens, completionTokens: tokens.slice(promptTokens.length) };
}

/** Spans without a seam between two that touch. */
function joined(spans: readonly Span[]): Span[] {
  const result: Span[] = [];
  for (const span of spans) {
    const last = result.at(-1);
    if (last?.end === span.start) result[result.length - 1] = { start: last.start, end: span.end };
    else result.push(span);
  }
  return result;
}

/** The token that ends an answer. @throws UserError when the template writes none */
export function endOfTurn(prompt: ChatPrompt, tokenizer: Tokenizer): number {
  const { endToken } = findTurn(prompt, "question", "answer", tokenizer);
  return tokenizer.encode(endToken, [{ start: 0, end: endToken.length }]).at(-1)!;
}

/** An assistant's turn, as a template writes it after its prompt. */
interface Turn {
  readonly before: string;
  /** As the template writes it: perhaps without the white space around it. */
  readonly answer: string;
  /** What follows, up to the first control token. */
  readonly end: string;
  readonly endToken: string;
}

/**
 * Finds the turn in a conversation that begins with its prompt. There are templates (Mistral's) that write the system's message
 * before the last question alone, so not in a conversation that goes on; without one they write the turn in the same way.
 */
function findTurn(
  prompt: ChatPrompt,
  question: string,
  answer: string,
  tokenizer: Tokenizer,
): Turn {
  const render = (system: string | undefined, answer?: string) =>
    templateOf(prompt).render({
      ...chatVariables({ system }, question, (value) => value, answer),
      ...tokenizer.namedTokens,
    });
  const probe = "\u{10fffd}"; // no text of a template or a row has it
  for (const system of new Set([prompt.system, undefined])) {
    const asked = render(system);
    const [begin, after, ...more] = render(system, probe).split(probe);
    if (after === undefined || more.length > 0 || !begin!.startsWith(asked)) continue;
    const endToken = firstOf(tokenizer.controlTokens, after);
    if (endToken === undefined)
      throw new UserError(
        `chat template: expected a control token after the answer, which ends it, found ${show(after)}; give a template file`,
      );
    const whole = render(system, answer);
    const inside = whole.slice(begin!.length, whole.length - after.length);
    if (whole !== begin + inside + after || inside.trim() !== answer.trim())
      throw new UserError(
        "chat template: expected one that writes the answer as it is, found one that changes it",
      );
    const end = after.slice(0, after.indexOf(endToken) + endToken.length);
    return { before: begin!.slice(asked.length), answer: inside, end, endToken };
  }
  throw new UserError(
    "chat template: expected conversations that begin with the prompt for their answer, found others; give a template file",
  );
}

/** The one of some texts that comes first in another; the longest of those that begin there. */
function firstOf(sought: Iterable<string>, text: string): string | undefined {
  const [first] = [...sought]
    .filter((token) => text.includes(token))
    .sort((a, b) => text.indexOf(a) - text.indexOf(b) || b.length - a.length);
  return first;
}
