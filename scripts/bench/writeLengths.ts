// Writes svamp-lengths.json: how long the texts of SVAMP are in tokens of CodeLlama, and nothing else of them.
//   npx tsx scripts/bench/writeLengths.ts FOLDER-OF-SVAMP FOLDER-OF-THE-TOKENIZER
import { join } from "node:path";
import { readSvamp } from "../../src/data/datasets/svamp.ts";
import { encodeExample, findSamplingFormat, samplingPrompt } from "../../src/data/prompt.ts";
import { loadTokenizer } from "../../src/data/tokenizer.ts";
import { writeFileAtomically } from "../../src/formats/jsonl.ts";
import { Rng } from "../../src/rng.ts";

/** Examples kept: 8 batches of 32. */
const count = 256;

const [data, codeLlama] = process.argv.slice(2);
if (!data || !codeLlama) throw new Error("expected two folders: SVAMP's and the tokenizer's");
const tokenizer = loadTokenizer(codeLlama);
const { candidates } = readSvamp(data, "python");
const examples = candidates.map(({ example }) => example);
const format = findSamplingFormat(tokenizer, examples, "docstring");
const lengths = Rng.named(1, "lengths")
  .shuffled(examples)
  .slice(0, count)
  .map((example) => {
    const { promptTokens, completionTokens } = encodeExample(tokenizer, example);
    const { prefixTokens } = samplingPrompt(tokenizer, example, format);
    const prefix = prefixTokens.length;
    return [promptTokens.length, prefix, completionTokens.length - prefix];
  });
const lines = lengths.map((numbers) => `  [${numbers.join(", ")}]`);
writeFileAtomically(
  join(import.meta.dirname, "svamp-lengths.json"),
  `[\n${lines.join(",\n")}\n]\n`,
);
