// The JSON files of the ReFT authors' repository: one array of records for SVAMP and for MathQA.
import { z } from "zod";
import { UserError } from "../../errors.ts";
import { parseJson, readText } from "../../formats/jsonl.ts";
import type { Example } from "../examples.ts";
import { type CotKind, programPrefix } from "../prompt.ts";
import {
  type AnswerForm,
  type Candidate,
  checkQuestion,
  emptyPart,
  type Origin,
  parseAnswer,
  type Rejection,
  unreadable,
} from "./source.ts";

export const authorsOrigin: Origin = {
  address: "https://github.com/lqtrung1998/mwp_ReFT (folder data)",
  licence: "Apache-2.0",
};

const recordSchema = z.looseObject({
  item_id: z.string().min(1),
  question: z.string(),
  answer_cot: z.string().exactOptional(),
  answer_value: z.string(),
});

interface Row {
  readonly line: number;
  readonly record: z.infer<typeof recordSchema>;
}

/** Training rows with their chain of thought in the project's form. @throws UserError */
export function readAuthorsTraining(
  path: string,
  cotKind: CotKind,
  form: AnswerForm<number | string>,
): { rows: (Candidate | Rejection)[]; replacedDocstrings: number } {
  let replacedDocstrings = 0;
  const rows = readRows(path).map(({ line, record }): Candidate | Rejection => {
    const { item_id: id, question, answer_cot = "", answer_value } = record;
    const reason = emptyPart({ question, answer: answer_value, "chain of thought": answer_cot });
    if (reason !== undefined) return { line, id, reason };
    const cot = cotKind === "python" ? withOwnDocstring(answer_cot, question) : endNl(answer_cot);
    if (cot === undefined) return { line, id, reason: unusable[cotKind] };
    const answer = form.read(record.answer_value);
    if (answer === undefined) return { line, id, reason: unreadable(form, record.answer_value) };
    if (cotKind === "python" && cot !== answer_cot) replacedDocstrings++;
    return { line, example: { id, question, cot, answer } };
  });
  return { rows, replacedDocstrings };
}

/** Test rows, without a chain of thought. @throws UserError */
export function readAuthorsTest(path: string, form: AnswerForm<number | string>): Example[] {
  return readRows(path).map(({ line, record }) => {
    const { item_id: id, question, answer_value } = record;
    const where = `${path}:${line}`;
    checkQuestion(question, where);
    return { id, question, answer: parseAnswer(form, answer_value, where) };
  });
}

const unusable: Readonly<Record<CotKind, string>> = {
  python: 'expected a program that starts with "def solution():" and a docstring',
  nl: 'expected a text that ends in "Therefore, the answer is <...>."',
};

/**
 * The program with the question itself as its docstring. Some rows have a tidied copy of the
 * question there; sampling starts from the question, so training must as well.
 */
function withOwnDocstring(program: string, question: string): string | undefined {
  const start = /^def solution\(\):\n {4}"""[\s\S]*?"""\n/.exec(program)?.[0];
  if (start === undefined) return undefined;
  return programPrefix(question, "docstring") + program.slice(start.length).trimEnd();
}

/** The text with its end in the form that the reward reads. */
function endNl(text: string): string | undefined {
  const end = /\s*Therefore, the answer is:? <?([^<>\n]+?)>?\.?\s*$/.exec(text);
  if (end === null) return undefined;
  return `${text.slice(0, end.index)}\nTherefore, the answer is: ${end[1]}`;
}

function readRows(path: string): Row[] {
  const text = readText(path);
  const records = parseJson(text, path, z.array(z.unknown()));
  if (records.length === 0) throw new UserError(`${path}: expected records, found an empty array`);
  const lines = linesOfRecords(text);
  return records.map((value, index) => {
    // The parser keeps no places; the key that every record has gives the line away.
    const line = lines[index] ?? 1;
    const where = `${path}:${line}, record ${index + 1}`;
    return { line, record: parseJson(JSON.stringify(value), where, recordSchema) };
  });
}

function linesOfRecords(text: string): number[] {
  const lines: number[] = [];
  let line = 1;
  let from = 0;
  for (const { index } of text.matchAll(/"item_id"\s*:/g)) {
    for (let i = from; i < index; i++) if (text[i] === "\n") line++;
    from = index;
    lines.push(line);
  }
  return lines;
}
