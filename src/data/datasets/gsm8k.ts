// GSM8K (Cobbe et al., arXiv 2110.14168). Its solutions are sentences with annotations such as
// `<<48/2=24>>`; they become natural-language chains of thought, or Python programs.
import { z } from "zod";
import { readJsonl } from "../../formats/jsonl.ts";
import { hashFile } from "../hash.ts";
import { numberOf } from "../number.ts";
import { type CotKind, programPrefix } from "../prompt.ts";
import {
  type Candidate,
  checkQuestion,
  emptyPart,
  numbers,
  type Origin,
  parseAnswer,
  partition,
  type Rejection,
  requireFiles,
  type Source,
  unreadable,
} from "./source.ts";

export const gsm8kOrigin: Origin = {
  address: "https://github.com/openai/grade-school-math (folder grade_school_math/data)",
  licence: "MIT",
};

const recordSchema = z.looseObject({ question: z.string(), answer: z.string() });

/** Reads `train.jsonl` and `test.jsonl`. @throws UserError */
export function readGsm8k(folder: string, cotKind: CotKind): Source {
  const names = ["train.jsonl", "test.jsonl"];
  const [trainPath, testPath] = requireFiles(folder, names, gsm8kOrigin);
  const rows = readRows(trainPath!, "train").map((row): Candidate | Rejection => {
    const { line, id, question, final, solution } = row;
    const reason = emptyPart({ question, answer: final, "chain of thought": solution });
    if (reason !== undefined) return { line, id, reason };
    const answer = numbers.read(final);
    if (answer === undefined) return { line, id, reason: unreadable(numbers, final) };
    const cot =
      cotKind === "python" ? toProgram(question, solution, answer) : toText(solution, answer);
    if (cot === undefined) return { line, id, reason: "no annotated result is the final answer" };
    return { line, example: { id, question, cot, answer } };
  });
  return {
    ...partition(rows),
    test: readRows(testPath!, "test").map(({ where, id, question, final }) => {
      checkQuestion(question, where);
      return { id, question, answer: parseAnswer(numbers, final, where) };
    }),
    isConverted: cotKind === "python",
    files: [trainPath!, testPath!].map((path, i) => ({ name: names[i]!, sha256: hashFile(path) })),
    notes: [],
  };
}

interface Row {
  readonly line: number;
  /** File and line, for messages. */
  readonly where: string;
  readonly id: string;
  readonly question: string;
  /** What stands behind `####`. */
  readonly final: string;
  /** The sentences, without the line `#### 72` at the end. */
  readonly solution: string;
}

function readRows(path: string, split: "train" | "test"): Row[] {
  return readJsonl(path, recordSchema).map(({ line, value }) => {
    const [solution = "", final = ""] = value.answer.split("\n####");
    return {
      line,
      where: `${path}:${line}`,
      id: `gsm8k-${split}-${line}`,
      question: value.question.trim(),
      final: final.trim(),
      solution: solution.trim(),
    };
  });
}

const annotation = /<<([^<>]*)>>/g;

/** The sentences without annotations, then the answer in the form that the reward reads. */
function toText(solution: string, answer: number): string {
  return `${solution.replace(annotation, "")}\nTherefore, the answer is: ${answer}`;
}

interface Step {
  /** Sentences up to and with this step's, without annotations. */
  readonly comment: string;
  readonly expression: string;
  readonly value: number;
}

/**
 * One line `step1 = 48 / 2` per annotation under the sentence that it stands in. A number that an
 * earlier step came to is replaced by that step, so that the program computes and does not recite.
 *
 * @returns undefined if no step comes to the final answer
 */
export function toProgram(question: string, solution: string, answer: number): string | undefined {
  const steps = readSteps(solution);
  const last = steps.findLastIndex(({ value }) => Math.abs(value - answer) < 1e-6);
  if (last < 0) return undefined;
  const body = steps
    .slice(0, last + 1)
    .flatMap(({ comment, expression }, i) => [
      ...(comment === "" ? [] : [`    # ${comment}`]),
      `    step${i + 1} = ${reuseResults(expression, steps.slice(0, i))}`,
    ]);
  return [
    `${programPrefix(question, "docstring")}${body.join("\n")}`,
    `    return step${last + 1}`,
  ].join("\n");
}

function readSteps(solution: string): Step[] {
  return solution.split("\n").flatMap((sentence) =>
    [...sentence.matchAll(annotation)].map(([, equation = ""], i) => {
      const sides = equation.split("=");
      return {
        comment: i === 0 ? sentence.replace(annotation, "").trim() : "",
        expression: sides[0]!,
        value: numberOf(sides.at(-1)!) ?? Number.NaN,
      };
    }),
  );
}

const numeral = /\d*\.?\d+|[-+*/()]/g;

/** Spaces around operators, earlier results by name, no leading zeros (Python refuses `05`). */
function reuseResults(expression: string, earlier: readonly Step[]): string {
  return (expression.match(numeral) ?? [])
    .map((part) => {
      if (!/\d/.test(part)) return part;
      const step = earlier.findLastIndex(({ value }) => value === Number(part));
      return step < 0 ? String(Number(part)) : `step${step + 1}`;
    })
    .join(" ")
    .replaceAll("( ", "(")
    .replaceAll(" )", ")");
}
