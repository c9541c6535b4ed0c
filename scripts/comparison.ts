// One comparison on generated problems: a warm-up by SFT, then from that warm-up ReFT and its controls. SFT going on gets at least
// as many samples as ReFT, SFT on own programs samples as many; both get at least as much CPU time. Every model is the one that was
// best on dev, the warm-up included. Used by the demo and by reproduce-generated.ts.
import { existsSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { loadConfig, type Override, type ReftConfig } from "../src/config.ts";
import { type Example, readExamples } from "../src/data/examples.ts";
import { UserError } from "../src/errors.ts";
import { markdownTable, percentWithError } from "../src/evaluate/tables.ts";
import { writeFileAtomically, writeJsonl } from "../src/formats/jsonl.ts";
import { processStat } from "../src/formats/processStat.ts";
import { answerQuestions, prepareQuestions } from "../src/generate/answer.ts";
import { createGenerator } from "../src/generate/generate.ts";
import { endTokens } from "../src/model/ending.ts";
import { disposeModel } from "../src/model/model.ts";
import { loadModelFolder, readAnswerFormat } from "../src/models/modelFolder.ts";
import { trainReft } from "../src/ppo/train.ts";
import { createProgress } from "../src/progress.ts";
import { createJudge } from "../src/reward/judge.ts";
import { createSandbox } from "../src/reward/sandbox/sandbox.ts";
import { Rng } from "../src/rng.ts";
import { resolveModelFolder } from "../src/run/checkpoint.ts";
import { trainSft } from "../src/sft/train.ts";
import { evaluate } from "../src/tasks/evaluate.ts";
import { prepareData } from "../src/tasks/prepareData.ts";

export interface ComparisonOptions {
  readonly seed: number;
  /** Data, runs and results go here; a finished comparison is read back. */
  readonly folder: string;
  /** Problems with a program: what SFT learns from. */
  readonly programs: number;
  /** Problems with an answer alone: what ReFT learns from. */
  readonly answers: number;
  readonly testQuestions: number;
  readonly reftSteps: number;
  /** Also SFT on programs that the warm-up model wrote for the answer-only problems and that gave the right answer. */
  readonly selfTraining: boolean;
}

export interface Row {
  readonly name: string;
  readonly folder: string;
  /** CPU seconds of training, sampling and programs included, after the warm-up. */
  readonly seconds: number;
  /** Sequences learned from or sampled, repetitions counted. */
  readonly samples: number;
  readonly devAccuracy: number;
  readonly testAccuracy: number;
}

const configs = join(import.meta.dirname, "..", "configs", "tiny");

/**
 * Runs what is not done yet, and measures every model once on the test problems. A comparison that was stopped goes on with
 * the same options.
 *
 * @throws UserError when the folder holds a comparison with other options
 */
export async function compare(options: ComparisonOptions): Promise<Row[]> {
  const { folder, seed, programs, answers } = options;
  const once = rememberIn(folder);
  const { result: before } = await once("options", async () => options);
  checkOptions(folder, before, options);
  const data = join(folder, "data");
  await once("prepare-data", () => prepare(options, data));
  const dataFiles = { seed, "data.dev": join(data, "dev.jsonl") };
  const programFile = join(data, "train.jsonl");

  say(`warm-up: SFT on ${programs} programs`);
  const warmup = join(folder, "warmup");
  const warmupConfig = loadConfig(
    "sft",
    join(configs, "warmup.yaml"),
    set({ ...dataFiles, "data.train": programFile }),
  );
  const warmupRun = await once("warmup", () => trainSft(warmupConfig, warmup));

  say(`ReFT: PPO on ${answers} questions with answers, without programs`);
  const reft = join(folder, "reft");
  const reftConfig = loadConfig(
    "reft",
    join(configs, "reft.yaml"),
    set({
      ...dataFiles,
      "model.init": warmup,
      "data.train": join(data, "answers.jsonl"),
      "training.maxSteps": options.reftSteps,
    }),
  );
  const reftRun = await once("reft", () => trainReft(reftConfig, reft));
  const { questionsPerStep, samplesPerQuestion } = reftConfig.rollout;
  const reftSamples = options.reftSteps * questionsPerStep * samplesPerQuestion;

  say("control: SFT goes on from the same warm-up");
  // The warm-up's rate is too low, because starting up is in it: hence the margin, and a second try where it is not enough.
  const samplesPerSecond = (2.5 * warmupConfig.training.epochs * programs) / warmupRun.seconds;
  const control = { folder, once, settings: { ...dataFiles, "model.init": warmup } };
  const sftRun = await continueSft(
    { ...control, samplesPerSecond },
    { name: "sft", train: programFile, rows: programs },
    { samples: reftSamples, seconds: reftRun.seconds },
  );
  const rows: Omit<Row, "testAccuracy">[] = [
    { name: "warm-up", folder: warmup, seconds: 0, samples: 0, devAccuracy: warmupRun.result },
    { name: "SFT going on", ...asRow(sftRun), folder: sftRun.folder, samples: sftRun.samples },
  ];
  if (options.selfTraining) {
    say("control: SFT on the warm-up model's own programs that gave the right answer");
    const path = join(folder, "self-generated.jsonl");
    const sampling = await once("self-generated", () =>
      sampleCorrectPrograms(warmup, data, reftSamples, seed, path),
    );
    const secondsLeft = Math.max(0, reftRun.seconds - sampling.seconds);
    const run = await continueSft(
      { ...control, samplesPerSecond },
      { name: "self-training", train: path, rows: sampling.result },
      { samples: 0, seconds: secondsLeft },
    );
    rows.push({
      name: "SFT on own programs",
      folder: run.folder,
      seconds: sampling.seconds + run.seconds,
      samples: reftSamples + run.samples,
      devAccuracy: run.result,
    });
  }
  rows.push({ name: "ReFT", folder: reft, ...asRow(reftRun), samples: reftSamples });

  say("test problems, once per model");
  const measured: Row[] = [];
  for (const row of rows) {
    const test = await once(`test-${basename(row.folder)}`, () => testOf(row, data, reftConfig));
    measured.push({ ...row, testAccuracy: test.result.accuracy });
  }
  return measured;
}

async function prepare(
  { seed, programs, answers, testQuestions }: ComparisonOptions,
  output: string,
): Promise<string> {
  const said = await prepareData({
    ...{ dataset: "generated", cot: "python", output, seed, timeoutSeconds: 3, workers: 2 },
    ...{ train: programs, answerOnly: answers, test: testQuestions },
  } as const);
  console.error(said);
  return said;
}

/** What SFT that goes on from the warm-up has in common. */
interface Control {
  readonly folder: string;
  readonly once: Once;
  readonly settings: Parameters<typeof set>[0];
  readonly samplesPerSecond: number;
}

/** SFT from the warm-up for at least so many samples and CPU seconds. */
async function continueSft(
  { folder, once, settings, samplesPerSecond: firstRate }: Control,
  { name, train, rows }: { readonly name: string; readonly train: string; readonly rows: number },
  least: Budget,
) {
  let samplesPerSecond = firstRate;
  for (let attempt = 1; ; attempt++) {
    const label = `${name}-${attempt}`;
    const planned = await once(`${label}-epochs`, async () =>
      Math.max(1, Math.ceil(Math.max(least.samples, least.seconds * samplesPerSecond) / rows)),
    );
    const epochs = planned.result;
    const overrides = set({
      ...settings,
      "data.train": train,
      "training.epochs": epochs,
      "training.scheduleEpochs": epochs,
      "evaluation.everyEpochs": Math.max(1, Math.round(epochs / 20)),
    });
    const config = loadConfig("sft", join(configs, "sft.yaml"), overrides);
    const run = await once(label, () => trainSft(config, join(folder, label)));
    if (run.seconds >= least.seconds)
      return { ...run, folder: join(folder, label), samples: epochs * rows };
    samplesPerSecond = (1.3 * epochs * rows) / run.seconds;
  }
}

/** A model's test problems, asked as its evaluation during training asked. */
function testOf(
  { folder }: Pick<Row, "folder">,
  data: string,
  { evaluation, precision, sandbox }: ReftConfig,
) {
  return evaluate({
    model: folder,
    data: join(data, "test.jsonl"),
    output: join(folder, "test"),
    slots: evaluation.slots,
    precision,
    maxNewTokens: evaluation.maxNewTokens,
    sandbox,
  });
}

interface Budget {
  readonly samples: number;
  readonly seconds: number;
}

interface Done<T> {
  readonly result: T;
  /** Added up over interruptions. */
  readonly seconds: number;
}

/** CPU time of this process and of the sandbox's processes that have ended: the clock would count the neighbours on shared cores. */
function cpuSeconds(): number {
  const ticks = processStat(process.pid)!.slice(11, 15).map(Number); // utime, stime, cutime, cstime
  return ticks.reduce((a, b) => a + b, 0) / 100; // Linux on x86 counts in 100ths
}

type Once = ReturnType<typeof rememberIn>;

/** Runs each named job once: result and CPU seconds are kept in `<folder>/comparison/<name>.json`. */
function rememberIn(folder: string) {
  return async <T>(name: string, job: () => Promise<T>): Promise<Done<T>> => {
    const path = join(folder, "comparison", `${name}.json`);
    const before = (
      existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : { seconds: 0 }
    ) as Partial<Done<T>> & { seconds: number };
    if (before.result !== undefined) return before as Done<T>;
    const start = cpuSeconds();
    const seconds = () => before.seconds + cpuSeconds() - start;
    const keep = (done: object) => writeFileAtomically(path, `${JSON.stringify(done, null, 2)}\n`);
    try {
      const result = await job();
      const done = { result, seconds: seconds() };
      keep(done);
      return done;
    } catch (error) {
      keep({ seconds: seconds() });
      throw error;
    }
  };
}

function checkOptions(folder: string, before: ComparisonOptions, now: ComparisonOptions): void {
  const [old, fresh] = [before, now].map((options) => JSON.stringify(options));
  if (old === fresh) return;
  throw new UserError(
    `${folder} holds a comparison with ${old}, expected ${fresh}: give another folder, or remove it`,
  );
}

/** The rows as a Markdown table; several comparisons give means with standard errors. */
export function table(comparisons: readonly (readonly Row[])[]): string {
  const cells = comparisons[0]!.map((row, i) => {
    const all = comparisons.map((rows) => rows[i]!);
    const seconds = mean(all.map((r) => r.seconds));
    const samples = mean(all.map((r) => r.samples));
    const dev = percentWithError(all.map((r) => r.devAccuracy));
    const test = percentWithError(all.map((r) => r.testAccuracy));
    return [row.name, seconds.toFixed(0), samples.toFixed(0), dev, test];
  });
  const accuracies = ["dev accuracy, %", "test accuracy, %"];
  return markdownTable([
    ["model", "CPU seconds after the warm-up", "samples", ...accuracies],
    ...cells,
  ]);
}

function mean(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0) / values.length;
}

/** Samples programs for the answer-only questions at temperature 1; the right ones, each once, join the given programs. */
async function sampleCorrectPrograms(
  warmup: string,
  data: string,
  samples: number,
  seed: number,
  path: string,
): Promise<number> {
  const folder = resolveModelFolder(warmup);
  const { model, tokenizer } = loadModelFolder(folder);
  const format = readAnswerFormat(folder)!;
  const {
    rollout,
    sandbox: limits,
    data: lengths,
  } = loadConfig("reft", join(configs, "reft.yaml"));
  const examples = readExamples(join(data, "answers.jsonl"));
  const { questions } = prepareQuestions(
    tokenizer,
    examples,
    format.sampling,
    lengths.maxPromptTokens,
  );
  const sandbox = await createSandbox(limits);
  const judge = createJudge(sandbox, format.cotKind);
  const generator = createGenerator(model, {
    slots: rollout.slots,
    maxTokens: lengths.maxPromptTokens + rollout.maxNewTokens,
    temperature: 1,
  });
  const options = { maxNewTokens: rollout.maxNewTokens, eosIds: endTokens(model, tokenizer) };
  const correct = new Map<string, Example>();
  const chunk = 1024;
  const progress = createProgress("sample", samples);
  for (let begin = 0; begin < samples; begin += chunk) {
    const requests = Array.from({ length: Math.min(chunk, samples - begin) }, (_, i) => ({
      question: questions[(begin + i) % questions.length]!,
      rng: Rng.named(seed, `self-training ${begin + i}`),
    }));
    for (const { question, text, verdict } of await answerQuestions(
      generator,
      judge,
      tokenizer,
      requests,
      options,
    )) {
      const { id, question: asked, answer } = question.example;
      const key = `${id}\n${text}`;
      if (verdict.correct && !correct.has(key))
        correct.set(key, { id: `${id}-${correct.size}`, question: asked, cot: text, answer });
    }
    progress.update(Math.min(begin + chunk, samples), { correct: correct.size });
  }
  progress.stop();
  await sandbox.close();
  generator.dispose();
  disposeModel(model);
  const rows = [...readExamples(join(data, "train.jsonl")), ...correct.values()];
  writeJsonl(path, rows);
  return rows.length;
}

function asRow({ seconds, result }: { seconds: number; result: number }) {
  return { seconds, devAccuracy: result };
}

function set(values: Readonly<Record<string, string | number>>): Override[] {
  return Object.entries(values).map(([path, value]) => ({ path, value, source: "comparison" }));
}

function say(text: string): void {
  console.error(`\n== ${text}`);
}
