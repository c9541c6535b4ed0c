// Questions with a number that is not needed: into each training question goes a sentence of another one, so its answer stays.
//   npx tsx scripts/add-distractors.ts --data data/svamp-plain --output data/svamp-distractors
// Unneeded information is one of the variations by which SVAMP's authors made their questions (https://arxiv.org/abs/2103.07191).
// For programs in Python and questions in plain writing (`reft prepare-data svamp --cot python --plain`).
// Writes train.jsonl and dev.jsonl with the questions, programs and answers, and answers.jsonl with the training questions and answers alone.
import { join } from "node:path";
import { type Example, readExamples } from "../src/data/examples.ts";
import { programPrefix, withQuestion } from "../src/data/prompt.ts";
import { UserError } from "../src/errors.ts";
import { nodeDisk } from "../src/formats/disk.ts";
import { writeFreshFolder } from "../src/formats/freshFolder.ts";
import { writeJsonl } from "../src/formats/jsonl.ts";
import { Rng } from "../src/rng.ts";
import { addDistractor, distractorsOf, hasUnneededNumber } from "./distractors.ts";
import { countFrom, readOptions, runScript } from "./script.ts";

const options = readOptions("npx tsx scripts/add-distractors.ts", {
  data: { type: "string", demandOption: true, describe: "A folder of `reft prepare-data`" },
  output: { type: "string", demandOption: true, describe: "A new folder" },
  seed: { type: "string", default: "1", describe: "Of the choice of sentences and places" },
});

await runScript("add-distractors", async () => {
  const { data, output } = options;
  const rng = Rng.named(countFrom("seed", options.seed), "distractors");
  const path = join(data, "train.jsonl");
  const train = readExamples(path);
  const unneeded = train.filter(({ id, question, cot }) => {
    if (cot?.startsWith(programPrefix(question, "docstring")))
      return hasUnneededNumber(question, cot);
    throw new UserError(`${path}: ${id}: expected a program with its question as docstring`);
  });
  console.log(
    `${unneeded.length} of ${train.length} questions have a number that their program does not use`,
  );
  const sentences = distractorsOf(train.map(({ question }) => question));
  const vary = (example: Example): Example[] => {
    const question = addDistractor(example.question, sentences, rng);
    if (question === undefined) return [];
    return [withQuestion({ ...example, id: `${example.id}-distractor` }, question)];
  };
  const varied = train.flatMap(vary);
  const files = {
    "train.jsonl": varied,
    "answers.jsonl": varied.map(({ cot: _, ...rest }) => rest),
    "dev.jsonl": readExamples(join(data, "dev.jsonl")).flatMap(vary),
  };
  writeFreshFolder(output, nodeDisk, (folder) => {
    for (const [name, examples] of Object.entries(files)) {
      writeJsonl(join(folder, name), examples);
      nodeDisk.sync(join(folder, name));
    }
  });
  for (const [name, examples] of Object.entries(files))
    console.log(`${name}: ${examples.length} rows`);
});
