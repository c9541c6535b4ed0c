// What many answers to one question cost against as many separate generations of it, and what of that the shared prompt saves.
// Run: npx tsx scripts/bench-sampling.ts MODEL DATA [samples] [rounds]
import { cpus } from "node:os";
import { readExamples } from "../src/data/examples.ts";
import { prepareQuestions } from "../src/generate/answer.ts";
import { createGenerator, type Generator, type Prompt } from "../src/generate/generate.ts";
import { endTokens } from "../src/model/ending.ts";
import { loadModelFolder, readAnswerFormat } from "../src/models/modelFolder.ts";
import { Rng } from "../src/rng.ts";
import { resolveModelFolder } from "../src/run/checkpoint.ts";

const [modelPath, dataPath, samplesText = "100", roundsText = "5"] = process.argv.slice(2);
if (modelPath === undefined || dataPath === undefined) {
  throw new Error("expected MODEL (trained here) and DATA (JSONL of questions)");
}
const [samples, rounds] = [Number(samplesText), Number(roundsText)];
const maxNewTokens = 128;
const slots = 32;

const folder = resolveModelFolder(modelPath);
const { model, tokenizer } = loadModelFolder(folder);
const { sampling } = readAnswerFormat(folder)!;
const room = model.config.maxPositions - maxNewTokens;
const { questions } = prepareQuestions(tokenizer, readExamples(dataPath), sampling, room);
const byLength = questions.toSorted((a, b) => a.prompt.tokens.length - b.prompt.tokens.length);
const { tokens } = byLength[byLength.length >> 1]!.prompt; // of median length
const options = { maxNewTokens, eosIds: endTokens(model, tokenizer) };

const generatorWith = (count: number) =>
  createGenerator(model, { slots: count, maxTokens: tokens.length + maxNewTokens, temperature: 1 });
const [alone, together] = [generatorWith(1), generatorWith(slots)];

/** The samples of a round; they are the same in every way of making them. */
const promptsOf = (round: number, isShared: boolean): Prompt[] =>
  Array.from({ length: samples }, (_, i) => ({
    tokens: isShared ? tokens : [...tokens],
    rng: Rng.named(round, `sample ${i}`),
  }));

/** Seconds by the clock and of all cores, and the tokens that were sampled. */
async function measure(generator: Generator, parts: readonly (readonly Prompt[])[]) {
  const [start, cpuStart] = [performance.now(), process.cpuUsage()];
  const responses = [];
  for (const part of parts) responses.push(...(await generator.generate(part, options)));
  const { user, system } = process.cpuUsage(cpuStart);
  const tokens = responses.reduce((sum, response) => sum + response.tokens.length, 0);
  return { wall: (performance.now() - start) / 1000, cpu: (user + system) / 1e6, tokens };
}

const ways = {
  shared: (round: number) => measure(together, [promptsOf(round, true)]),
  batched: (round: number) => measure(together, [promptsOf(round, false)]),
  separate: (round: number) => {
    const prompts = promptsOf(round, true).map((prompt) => [prompt]);
    return measure(alone, prompts);
  },
};
type Way = keyof typeof ways;
const names = Object.keys(ways) as Way[];

const measured: Record<Way, Awaited<ReturnType<typeof measure>>>[] = [];
for (let round = 0; round <= rounds; round++) {
  const results = {} as (typeof measured)[number];
  // Each way is first, second and last in turn, so that a machine that gets slower is unfair to none.
  for (let i = 0; i < names.length; i++) {
    const way = names[(round + i) % names.length]!;
    results[way] = await ways[way](round);
  }
  if (round > 0) measured.push(results); // round 0 traces and warms up
}

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1]!;
const of = (way: Way, figure: "wall" | "cpu" | "tokens") =>
  median(measured.map((results) => results[way][figure]));
/** Median over the rounds of the ratio within a round. */
const ratio = (a: Way, b: Way, figure: "wall" | "cpu") =>
  median(measured.map((results) => results[a][figure] / results[b][figure])).toFixed(3);

const report = (name: string, value: string) => console.log(`${name.padEnd(46)} ${value}`);
report("processor", `${cpus()[0]?.model.trim()}, ${cpus().length} cores, Node ${process.version}`);
report(
  "prompt tokens; sampled tokens per answer",
  `${tokens.length}; ${(of("shared", "tokens") / samples).toFixed(1)}`,
);
const labels: Record<Way, string> = {
  shared: `${samples} samples, one prompt, ${slots} slots`,
  batched: `the same, each with a prompt of its own`,
  separate: `${samples} separate generations`,
};
for (const way of names) {
  report(`${labels[way]}: s, CPU s`, `${of(way, "wall").toFixed(2)}, ${of(way, "cpu").toFixed(2)}`);
}
report(
  "shared / separate: s, CPU s",
  `${ratio("shared", "separate", "wall")}, ${ratio("shared", "separate", "cpu")}`,
);
report(
  "shared / batched: s, CPU s",
  `${ratio("shared", "batched", "wall")}, ${ratio("shared", "batched", "cpu")}`,
);
alone.dispose();
together.dispose();
