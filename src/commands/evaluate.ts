// `reft evaluate`: greedy Top-1 on a data set, with its uncertainty and every answer.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { CommandModule, InferredOptionTypes } from "yargs";
import { writeFileAtomically, writeJsonl } from "../data/jsonl.ts";
import { createEvaluator, summariseAnswers, wilsonInterval } from "../evaluate/accuracy.ts";
import { answerRecord, longestPrompt } from "../generate/answer.ts";
import { disposeModel } from "../model/model.ts";
import { createJudge } from "../reward/judge.ts";
import { createSandbox } from "../reward/sandbox/sandbox.ts";
import { createProgress } from "../run/progress.ts";
import {
  type AskingArguments,
  askingArguments,
  askingOptions,
  openAsking,
  warnOfFailures,
} from "./asking.ts";

const options = {
  ...askingOptions,
  output: {
    type: "string",
    demandOption: true,
    describe: "Folder for results.json and answers.jsonl",
  },
} as const;

type Arguments = InferredOptionTypes<typeof options>;

/** Questions asked between two updates of the progress. */
const chunkQuestions = 128;

export interface EvaluateArguments extends AskingArguments {
  /** A folder. */
  readonly output: string;
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
  const { folder, model, tokenizer, format, questions, maxNewTokens } = openAsking(args);
  mkdirSync(args.output, { recursive: true });
  const sandbox = await createSandbox(args.sandbox);
  try {
    const judge = createJudge(sandbox, format.cotKind, { partialReward: 0, paperParity: false });
    const evaluator = createEvaluator(model, tokenizer, judge, longestPrompt(questions), {
      slots: args.slots,
      maxNewTokens,
    });
    const progress = createProgress("evaluate", questions.length);
    const answers = [];
    for (let begin = 0; begin < questions.length; begin += chunkQuestions) {
      answers.push(...(await evaluator.evaluate(questions.slice(begin, begin + chunkQuestions))));
      progress.update(answers.length);
    }
    progress.stop();
    evaluator.dispose();
    const shares = summariseAnswers(answers);
    warnOfFailures(shares.infrastructureFailures, answers.length);
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

export const evaluateCommand: CommandModule<object, Arguments> = {
  command: "evaluate",
  describe: "Greedy accuracy on a data set, with a confidence interval",
  builder: (yargs) => yargs.options(options),
  handler: async (flags) => {
    const { output } = flags;
    const results = await evaluate({ ...askingArguments(flags), output });
    const { questions, correct, accuracy, confidence95 } = results;
    const [low, high] = confidence95.map((share) => (100 * share).toFixed(1));
    console.log(
      `Top-1 ${(100 * accuracy).toFixed(1)} % (${correct} of ${questions}; 95 % interval ${low} to ${high}); ` +
        `every answer in ${join(output, "answers.jsonl")}`,
    );
  },
};
