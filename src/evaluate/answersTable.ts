// A few of a measurement's answers as a person reads them, in the width of a terminal.
import { show } from "../errors.ts";
import type { Answer } from "../generate/answer.ts";
import { shortened, widthOf } from "../terminal.ts";

/** Right ones, and as many wrong ones. */
const shownOfEach = 2;
const gap = "  ";

/** The first right and wrong answers, each in one line: the question, the end of what was written, the gold answer, what came of it. */
export function answersTable(answers: readonly Answer[], columns: number): string {
  const some = (isRight: boolean) =>
    answers.filter(({ verdict }) => verdict.correct === isRight).slice(0, shownOfEach);
  const rows = [...some(true), ...some(false)].map((answer) => ({
    question: answer.question.example.question,
    written: answer.text,
    gold: textOf(answer.question.example.answer),
    outcome: outcomeOf(answer),
  }));
  const head = { question: "question", written: "answer", gold: "gold", outcome: "outcome" };
  type Column = keyof typeof head;
  const widthsOf = (column: Column) =>
    Math.max(...[head, ...rows].map((row) => widthOf(shortened(row[column], columns))));
  const room = columns - 3 * gap.length;
  const gold = Math.min(widthsOf("gold"), Math.floor(room / 6));
  const outcome = Math.min(widthsOf("outcome"), Math.floor(room / 4));
  const question = Math.min(widthsOf("question"), Math.floor((room - gold - outcome) / 2));
  const widths = { question, written: room - gold - outcome - question, gold, outcome };
  return [head, ...rows]
    .map((row) => {
      const cell = (column: Column, part?: "end") => {
        const text = shortened(row[column], widths[column], part);
        return text + " ".repeat(widths[column] - widthOf(text));
      };
      return [cell("question"), cell("written", "end"), cell("gold"), cell("outcome")]
        .join(gap)
        .trimEnd();
    })
    .join("\n");
}

/** What came of an answer, and its score where that is neither 0 nor 1. */
function outcomeOf({ verdict: { correct, outcome, score } }: Answer): string {
  const points = Number.isInteger(score) ? "" : `${Number(score.toPrecision(2))} `;
  if (correct) return `${points}right`;
  if (outcome.kind === "answer") return `${points}wrong: ${textOf(outcome.value)}`;
  return `${points}${outcome.kind}: ${outcome.message}`;
}

function textOf(answer: Answer["question"]["example"]["answer"]): string {
  return typeof answer === "string" ? answer : show(answer);
}
