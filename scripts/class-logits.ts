// The logits of wrong and right that a classifier has here for given sequences: check_export.py's side of this project.
// Run: npx tsx scripts/class-logits.ts --model CLASSIFIER --input sequences.jsonl --output logits.jsonl
import { z } from "zod";
import { readJsonl, writeJsonl } from "../src/formats/jsonl.ts";
import {
  createClassifierScorer,
  disposeClassifier,
  loadClassifier,
} from "../src/model/classifier.ts";
import { readOptions, runScript } from "./script.ts";

const { model, input, output } = readOptions("npx tsx scripts/class-logits.ts", {
  model: { type: "string", demandOption: true, describe: "Classifier's folder" },
  input: { type: "string", demandOption: true, describe: 'JSONL file of {"tokens"}' },
  output: { type: "string", demandOption: true, describe: 'JSONL file for {"logits"}' },
});
const line = z.strictObject({ tokens: z.array(z.int().nonnegative()).min(2) });

await runScript("class-logits", async () => {
  const sequences = readJsonl(input, line).map(({ value: { tokens } }) => ({
    prompt: tokens.slice(0, 1),
    response: tokens.slice(1),
  }));
  const classifier = loadClassifier(model);
  const scorer = createClassifierScorer(classifier);
  const logits = scorer.logits(sequences, 4096);
  writeJsonl(
    output,
    sequences.map((_, i) => ({ logits: [...logits.subarray(2 * i, 2 * i + 2)] })),
  );
  scorer.dispose();
  disposeClassifier(classifier);
});
