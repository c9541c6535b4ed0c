// `reft evaluate`: greedy Top-1 on a data set, with its uncertainty and every answer.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { CommandModule, InferredOptionTypes } from "yargs";
import { readExamples } from "../data/examples.ts";
import { writeFileAtomically, writeJsonl } from "../data/jsonl.ts";
import { type CotKind, defaultContinuation, type ProgramPrefix } from "../data/prompt.ts";
import { UserError } from "../errors.ts";
import { createEvaluator, summariseAnswers, wilsonInterval } from "../evaluate/accuracy.ts";
import { answerRecord, longestPrompt, prepareQuestions } from "../generate/answer.ts";
import { disposeModel } from "../model/model.ts";
import { createJudge } from "../reward/judge.ts";
import { createSandbox, type SandboxOptions } from "../reward/sandbox/sandbox.ts";
import { resolveModelFolder } from "../run/checkpoint.ts";
import { loadModelFolder, readAnswerFormat } from "../run/modelFolder.ts";
import { createProgress } from "../run/progress.ts";
import { checkCount } from "./count.ts";

/** Longest answer in tokens, where the model has the positions and nothing else is asked for. */
const usualAnswer = 256;

const options = {
  model: { type: "string", demandOption: true, describe: "Model or run (its best checkpoint)" },
  data: { type: "string", demandOption: true, describe: "JSONL file of questions with answers" },
  output: {
    type: "string",
    demandOption: true,
    describe: "Folder for results.json and answers.jsonl",
  },
  questions: { type: "number", describe: "Only the first so many" },
  "max-new-tokens": {
    type: "number",
    describe: "Longest answer",
    defaultDescription: `${usualAnswer}, or as many as the model's positions leave`,
  },
  slots: { type: "number", default: 32, describe: "Answers in the making at once" },
  cot: {
    choices: ["python", "nl"] as const,
    describe: "Kind of answer, for a model without reft.json",
  },
  "program-prefix": {
    choices: ["docstring", "def", "none"] as const,
    describe: "Given beginning of a program, for a model without reft.json",
  },
  "timeout-seconds": { type: "number", default: 10, describe: "Wall-clock limit of one program" },
  workers: { type: "number", default: 2, describe: "Programs that run at once" },
  "memory-megabytes": { type: "number", default: 512, describe: "Python's memory for one program" },
} as const;

type Arguments = InferredOptionTypes<typeof options>;

/** Questions asked between two updates of the progress. */
const chunkQuestions = 128;

export interface EvaluateArguments {
  readonly model: string;
  readonly data: string;
  readonly output: string;
  /** Only the first so many. */
  readonly questions?: number | undefined;
  /** Without it 256, or as many as the positions leave after the longest prompt. */
  readonly maxNewTokens?: number | undefined;
  readonly slots: number;
  /** For a model without reft.json. */
  readonly cotKind?: CotKind | undefined;
  readonly programPrefix?: ProgramPrefix | undefined;
  readonly sandbox: SandboxOptions;
}

export interface EvaluateResults {
  readonly questions: number;
  readonly correct: number;
  readonly accuracy: number;
  /** Wilson's interval. */
  readonly confidence95: readonly [number, number];
}

/** Asks every question once, greedily; writes results.json and answers.jsonl. */
export async function evaluate(args: EvaluateArguments): Promise<EvaluateResults> {
  const { slots } = args;
  checkCount("questions", args.questions ?? 1);
  checkCount("max-new-tokens", args.maxNewTokens ?? 1);
  checkCount("slots", slots);
  const folder = resolveModelFolder(args.model);
  const examples = readExamples(args.data).slice(0, args.questions);
  const format = answerFormat(folder, args);
  const { model, tokenizer } = loadModelFolder(folder);
  const everyLength = Number.POSITIVE_INFINITY;
  const { questions } = prepareQuestions(tokenizer, examples, format.sampling, everyLength);
  const maxPrompt = longestPrompt(questions);
  const room = model.config.maxPositions - maxPrompt;
  const maxNewTokens = args.maxNewTokens ?? Math.max(1, Math.min(usualAnswer, room));
  if (maxNewTokens > room) {
    const longest = questions.find(({ prompt }) => prompt.tokens.length === maxPrompt)!;
    throw new UserError(
      `${args.data}: question "${longest.example.id}" has ${maxPrompt} prompt tokens, which of the model's ` +
        `${model.config.maxPositions} positions leave ${Math.max(0, room)} for the answer, expected at least ${maxNewTokens}; ` +
        (room < 1 ? "leave the question out" : "lower --max-new-tokens"),
    );
  }
  mkdirSync(args.output, { recursive: true });
  const sandbox = await createSandbox(args.sandbox);
  try {
    const judge = createJudge(sandbox, format.cotKind, { partialReward: 0, paperParity: false });
    const evaluator = createEvaluator(model, tokenizer, judge, maxPrompt, { slots, maxNewTokens });
    const progress = createProgress("evaluate", questions.length);
    const answers = [];
    for (let begin = 0; begin < questions.length; begin += chunkQuestions) {
      answers.push(...(await evaluator.evaluate(questions.slice(begin, begin + chunkQuestions))));
      progress.update(answers.length);
    }
    progress.stop();
    evaluator.dispose();
    const shares = summariseAnswers(answers);
    const { infrastructureFailures } = shares;
    if (infrastructureFailures > 0) {
      console.error(
        `warning: the sandbox could not run ${infrastructureFailures} of ${answers.length} programs, which count as wrong`,
      );
    }
    const correct = Math.round(shares.accuracy * answers.length);
    const confidence95 = wilsonInterval(correct, answers.length);
    const results = { questions: answers.length, correct, ...shares, confidence95 };
    const described = { model: folder, data: args.data, maxNewTokens, ...results };
    writeJsonl(join(args.output, "answers.jsonl"), answers.map(answerRecord));
    writeFileAtomically(
      join(args.output, "results.json"),
      `${JSON.stringify(described, null, 2)}\n`,
    );
    return results;
  } finally {
    await sandbox.close();
    disposeModel(model);
  }
}

function answerFormat(folder: string, args: EvaluateArguments) {
  const saved = readAnswerFormat(folder);
  const cotKind = args.cotKind ?? saved?.cotKind;
  const programPrefix = args.programPrefix ?? saved?.sampling.programPrefix;
  if (cotKind === undefined || programPrefix === undefined) {
    throw new UserError(
      `${folder} has no reft.json to say how to ask: give --cot and --program-prefix`,
    );
  }
  const continuation =
    saved?.sampling.continuation ?? (programPrefix === "none" ? "" : defaultContinuation);
  return { cotKind, sampling: { programPrefix, continuation } };
}

export const evaluateCommand: CommandModule<object, Arguments> = {
  command: "evaluate",
  describe: "Greedy accuracy on a data set, with a confidence interval",
  builder: (yargs) => yargs.options(options),
  handler: async (args) => {
    const { questions, correct, accuracy, confidence95 } = await evaluate({
      ...args,
      maxNewTokens: args["max-new-tokens"],
      cotKind: args.cot,
      programPrefix: args["program-prefix"],
      sandbox: {
        timeoutSeconds: args["timeout-seconds"],
        workers: args.workers,
        memoryMegabytes: args["memory-megabytes"],
      },
    });
    const [low, high] = confidence95.map((share) => (100 * share).toFixed(1));
    console.log(
      `Top-1 ${(100 * accuracy).toFixed(1)} % (${correct} of ${questions}; 95 % interval ${low} to ${high}); ` +
        `every answer in ${join(args.output, "answers.jsonl")}`,
    );
  },
};
