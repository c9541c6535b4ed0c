// The completions in the folder of a run or an evaluation: all of them are counted, as many kept as a page can carry.
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { linesOf } from "../formats/jsonl.ts";
import { parseName } from "../run/checkpointFiles.ts";
import { type CompletionSet, type Result, results, type Sign } from "./data.ts";
import { readableJson } from "./lenient.ts";
import { areAlike, cutShort, noneRight, type WrongAnswers } from "./signs.ts";
import { short } from "./thin.ts";

/** A judged completion as training, `sample` and `evaluate` write it, and whatever else is in the line. */
const completionSchema = z.looseObject({
  id: z.string(),
  question: z.string(),
  answer: z.unknown(),
  text: z.string(),
  outcome: z.looseObject({
    kind: z.string(),
    value: z.unknown().optional(),
    message: z.string().optional(),
  }),
  score: z.number().nullable().default(null),
  correct: z.boolean(),
  isTruncated: z.boolean().default(false),
});
type Completion = z.infer<typeof completionSchema>;

/** A file of completions, at a step of training or of an evaluation. */
interface CompletionFile {
  readonly step: number | null;
  readonly path: string;
}

/** Files of completions that belong together, before they are read. */
export interface CompletionSource {
  readonly title: string;
  readonly files: readonly CompletionFile[];
}

/** A longer text is cut; what is cut is said. */
const maxText = 8_000;

/** The title of a run's completions to the dev questions. */
export function devQuestionsOf(name: string): string {
  return `${name}: dev questions`;
}

/** Folders of a run with a file of completions per step, and an evaluation's files, where they are there. */
export function completionsIn(folder: string, name: string): readonly CompletionSource[] {
  const entries = readdirSync(folder, { withFileTypes: true });
  const stepped = entries
    .filter((entry) => entry.isDirectory() && !["checkpoints", "calibration"].includes(entry.name))
    .map((entry) => ({
      title: entry.name === "samples" ? devQuestionsOf(name) : `${name}: ${entry.name}`,
      files: readdirSync(join(folder, entry.name))
        .map((file) => ({ file, step: parseName(file.replace(/\.jsonl$/, ""))?.step }))
        .flatMap(({ file, step }) =>
          file.endsWith(".jsonl") && step !== undefined
            ? [{ step, path: join(folder, entry.name, file) }]
            : [],
        )
        .toSorted((a, b) => a.step - b.step),
    }));
  const evaluated = [
    { file: "answers.jsonl", what: "greedy answers" },
    { file: "samples.jsonl", what: "samples" },
  ].map(({ file, what }) => ({
    title: `${name}: ${what}`,
    files: existsSync(join(folder, file)) ? [{ step: null, path: join(folder, file) }] : [],
  }));
  return [...stepped, ...evaluated].filter(({ files }) => files.length > 0);
}

/**
 * Reads completions, and keeps those to so many of the questions, evenly chosen, as fit.
 *
 * @param maxBytes of the files that are kept, about
 * @returns the sets that hold completions, what stands out in them, and a sentence for each that is not there as a whole
 */
export function readCompletions(
  sources: readonly CompletionSource[],
  maxBytes: number,
): {
  readonly sets: readonly CompletionSet[];
  readonly signs: readonly Sign[];
  readonly notes: readonly string[];
} {
  const total = sources
    .flatMap(({ files }) => files)
    .reduce((sum, { path }) => sum + statSync(path).size, 0);
  const share = Math.min(1, maxBytes / Math.max(1, total));
  const read = sources.map((source) => readSet(source, share));
  return {
    sets: read.flatMap(({ set }) => (set.rows.text.length > 0 ? [set] : [])),
    signs: read.flatMap(({ set, wrong }) => noneRight(set, wrong) ?? []),
    notes: read.flatMap(({ notes }) => notes),
  };
}

function readSet(
  { title, files }: CompletionSource,
  share: number,
): {
  readonly set: CompletionSet;
  readonly wrong: WrongAnswers;
  readonly notes: readonly string[];
} {
  const questions = places<string>();
  const texts = places<string>();
  const seen = places<string>();
  const shown: { id: string; question: string; answer: string }[] = [];
  const rows = {
    ...{ question: [] as number[], step: [] as number[], text: [] as number[] },
    ...{ value: [] as number[], result: [] as number[], score: [] as number[] },
    isTruncated: [] as (0 | 1)[],
  };
  const wrong = collectWrong();
  let [all, unreadable] = [0, 0];
  const counts = files.map(({ path }, step) => {
    const count = results.map(() => 0);
    for (const line of linesOf(path)) {
      if (line.trim() === "") continue;
      const completion = readableJson(line, completionSchema); // a crash may have cut it
      if (completion === undefined) {
        unreadable++;
        continue;
      }
      all++;
      const { id, question, answer, text, score, isTruncated } = completion;
      const result = results.indexOf(resultOf(completion));
      count[result]!++;
      if (results[result] === "wrong") wrong.add(completion);
      const key = `${id}\n${question}`;
      if (!isKept(seen.placeOf(key), share)) continue;
      const place = questions.placeOf(key);
      if (place === shown.length)
        shown.push({ id, question: cut(question), answer: cut(jsonOf(answer)) });
      rows.question.push(place);
      rows.step.push(step);
      rows.text.push(texts.placeOf(cut(text)));
      rows.value.push(texts.placeOf(cut(outcomeText(completion))));
      rows.result.push(result);
      rows.score.push(short(score ?? Number(completion.correct)));
      rows.isTruncated.push(isTruncated ? 1 : 0);
    }
    return count;
  });
  const kept = rows.text.length;
  const notes = [
    kept < all
      ? `${title}: ${kept} of ${all} completions are in this page, those to ${shown.length} of ${seen.all.length} questions; the shares count all.`
      : "",
    unreadable > 0 && all > 0
      ? `${title}: ${unreadable} lines are no completions and were left out.`
      : "",
  ].filter((note) => note !== "");
  const steps = files.map(({ step }) => step);
  return {
    set: { title, steps, counts, questions: shown, texts: texts.all, rows },
    wrong: wrong.all(),
    notes,
  };
}

const shownWrong = 3;

/** Counts wrong answers, and keeps a few pairs of answer and gold answer; of those that are alike, one per form of the gold answer. */
function collectWrong() {
  let [count, alikes] = [0, 0];
  const pairs = {
    alike: new Map<string, [string, string]>(),
    other: new Map<string, [string, string]>(),
  };
  return {
    add({ outcome: { value }, answer }: Completion) {
      const [given, gold] = [jsonOf(value), jsonOf(answer)];
      const isAlike = areAlike(given, gold);
      count++;
      if (isAlike) alikes++;
      const kept = isAlike ? pairs.alike : pairs.other;
      const key = isAlike ? gold.replace(/\d+/g, "0") : `${given} ${gold}`;
      if (kept.size < shownWrong && !kept.has(key))
        kept.set(key, [cutShort(given), cutShort(gold)]);
    },
    all: (): WrongAnswers => ({
      ...{ count, alike: alikes },
      examples: [...pairs.alike.values(), ...pairs.other.values()].slice(0, shownWrong),
    }),
  };
}

/** Gives every value the place at which it came first. */
function places<T>() {
  const byValue = new Map<T, number>();
  const all: T[] = [];
  const placeOf = (value: T) => {
    const known = byValue.get(value);
    if (known !== undefined) return known;
    byValue.set(value, all.length);
    return all.push(value) - 1;
  };
  return { all, placeOf };
}

/** Of each run of questions as many as the share says, the first one always. */
function isKept(place: number, share: number): boolean {
  return place === 0 || Math.floor((place + 1) * share) > Math.floor(place * share);
}

function resultOf({ correct, outcome: { kind } }: Completion): Result {
  if (correct) return "right";
  return results.find((result) => result === kind) ?? (kind === "answer" ? "wrong" : "error");
}

/** What came out: the answer, or why there is none. */
function outcomeText({ outcome: { value, message } }: Completion): string {
  return message ?? jsonOf(value);
}

function jsonOf(value: unknown): string {
  return value === undefined ? "" : JSON.stringify(value);
}

function cut(text: string): string {
  const rest = text.length - maxText;
  return rest > 0 ? `${text.slice(0, maxText)}\n[${rest} characters more]` : text;
}
