// Why a classifier's choice is better or worse than the vote, counted from a recipe's evaluations, as in docs/evaluation.md:
//   npx tsx scripts/explain-reranking.ts --folder runs/tiny-recipe
// One row per model and seed on standard output.
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { UserError } from "../src/errors.ts";
import { markdownTable } from "../src/evaluate/tables.ts";
import { readJsonl } from "../src/formats/jsonl.ts";
import { median } from "./bench/report.ts";
import { readOptions, runScript } from "./script.ts";

const values = readOptions("npx tsx scripts/explain-reranking.ts", {
  folder: { type: "string", default: join("runs", "tiny-recipe"), describe: "Of `reft run`" },
});

const sampleSchema = z.looseObject({
  id: z.string(),
  sample: z.int(),
  text: z.string(),
  correct: z.boolean(),
});
const probabilitySchema = z.looseObject({
  id: z.string(),
  sample: z.int(),
  probability: z.number(),
});

/** One of the different programs among a question's samples. */
interface Program {
  readonly correct: boolean;
  /** Of being right, says the classifier. */
  readonly probability: number;
  count: number;
}

/** The different programs of each question, in the order in which they were sampled first. */
function readPrograms(folder: string): Program[][] {
  const read = <T>(file: string, schema: z.ZodType<T>) =>
    readJsonl(join(folder, file), schema).map(({ value }) => value);
  const key = ({ id, sample }: { id: string; sample: number }) => `${id} ${sample}`;
  const probabilities = new Map(
    read("probabilities.jsonl", probabilitySchema).map((line) => [key(line), line.probability]),
  );
  const questions = new Map<string, Map<string, Program>>();
  for (const sample of read("samples.jsonl", sampleSchema)) {
    const { id, text, correct } = sample;
    const programs = questions.get(id) ?? new Map<string, Program>();
    questions.set(id, programs);
    const probability = probabilities.get(key(sample))!;
    const program = programs.get(text) ?? { correct, probability, count: 0 };
    programs.set(text, program);
    program.count++;
  }
  return [...questions.values()].map((programs) => [...programs.values()]);
}

function row(folder: string): string[] {
  const questions = readPrograms(folder);
  const perQuestion = (of: (programs: readonly Program[]) => number) =>
    (questions.reduce((sum, programs) => sum + of(programs), 0) / questions.length).toFixed(1);
  const most = (programs: readonly Program[], of: (program: Program) => number) =>
    programs.reduce((a, b) => (of(b) > of(a) ? b : a));
  let pairs = 0;
  let inOrder = 0;
  for (const programs of questions) {
    for (const right of programs.filter(({ correct }) => correct)) {
      for (const wrong of programs.filter(({ correct }) => !correct)) {
        pairs++;
        if (right.probability > wrong.probability) inOrder++;
      }
    }
  }
  const chosen = questions.map((programs) => most(programs, (p) => p.probability).count);
  const frequent = questions.map((programs) => most(programs, (p) => p.count).count);
  return [
    perQuestion((programs) => programs.length),
    perQuestion((programs) => programs.filter(({ correct }) => correct).length),
    `${((100 * inOrder) / pairs).toFixed(0)} of ${pairs}`,
    String(median(chosen)),
    String(median(frequent)),
  ];
}

await runScript("explain-reranking", async () => {
  const { folder } = values;
  const evaluations = (existsSync(folder) ? readdirSync(folder) : [])
    .filter((name) => name.startsWith("seed-"))
    .flatMap((seed) => ["testSftReranked", "testReftReranked"].map((test) => join(seed, test)))
    .filter((path) => existsSync(join(folder, path, "probabilities.jsonl")));
  if (evaluations.length === 0)
    throw new UserError(`${folder}: expected the folder of a finished recipe, found no reranking`);
  const header = [
    "evaluation",
    "different programs a question",
    "of them right",
    "% of pairs with the right program first",
    "samples of the chosen program, median",
    "of the most frequent one",
  ];
  console.log(markdownTable([header, ...evaluations.map((e) => [e, ...row(join(folder, e))])]));
});
