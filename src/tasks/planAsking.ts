// An evaluation or sampling before it runs: what it will take, and with how many slots it would take less.
import { readExamples } from "../data/examples.ts";
import { choosePrompt } from "../data/promptChoice.ts";
import { loadTokenizer } from "../data/tokenizer.ts";
import { usesNativeOps } from "../engine/tf.ts";
import { UserError } from "../errors.ts";
import { longestPrompt, prepareQuestions } from "../generate/answer.ts";
import { capacityOf } from "../generate/generate.ts";
import { describeModel } from "../model/model.ts";
import { readAnswerFormat, tokenizerFolderOf } from "../models/modelFolder.ts";
import { goldKind } from "../reward/openReward.ts";
import { resolveModelFolder } from "../run/checkpoint.ts";
import { type Forecast, forecastOf } from "../run/forecast.ts";
import { machineMemory } from "../run/machineMemory.ts";
import { answerFormat, formOf } from "./answering.ts";
import { answerLength } from "./answerLength.ts";
import { type AskingArguments, checkCounts } from "./asking.ts";
import { checkCount } from "./count.ts";
import { describeFit, describeForecast, gigabytes } from "./forecastPage.ts";
import { answersBytes, enoughSlots, largestThat } from "./plan.ts";

/** What is asked, with so many samples per question where there are any. */
export type PlannedAsking = AskingArguments & { readonly samples?: number | undefined };

/** An evaluation or sampling whose questions have been read. */
interface AskingPlan {
  readonly forecast: (slots: number) => Forecast;
  readonly questions: number;
  readonly maxNewTokens: number;
}

/** Reads the questions, but no weights. @throws UserError as openAsking does */
function planAsking(args: PlannedAsking): AskingPlan {
  checkCounts(args);
  checkCount("samples", args.samples ?? 1);
  const folder = resolveModelFolder(args.model);
  const gold = goldKind(formOf(folder, args), args.reward);
  const examples = readExamples(args.data, gold).slice(0, args.questions);
  const { config, isBf16, adapter } = describeModel(folder);
  const tokenizer = loadTokenizer(tokenizerFolderOf(folder));
  const saved = readAnswerFormat(folder);
  const prompt = args.prompt ? choosePrompt(args.prompt, tokenizer) : saved?.sampling.prompt;
  const { sampling, cotKind } = answerFormat(saved, args, prompt);
  const everyLength = Number.POSITIVE_INFINITY;
  const { questions } = prepareQuestions(tokenizer, examples, sampling, everyLength);
  const longest = longestPrompt(questions);
  const prompts = [{ where: "the longest question", tokens: longest }];
  const maxNewTokens = answerLength({ config }, prompts, args.maxNewTokens);
  const forecast = (slots: number) =>
    forecastOf({
      config,
      heldAs: isBf16 && usesNativeOps ? "bf16" : "float32",
      adapter: adapter?.settings,
      reference: "none",
      headCount: 0,
      classes: config.vocabSize,
      scored: [],
      generators: [
        {
          slots,
          capacity: capacityOf(longest + maxNewTokens),
          kvCacheDtype: args.kvCacheDtype,
        },
      ],
      guests: cotKind === "python" ? args.sandbox.workers : 0,
    });
  return { forecast, questions: questions.length, maxNewTokens };
}

/** Says what asking will take. @returns the page to print */
export function describeAsking(title: string, args: PlannedAsking): string {
  const { forecast, questions, maxNewTokens } = planAsking(args);
  const now = forecast(args.slots);
  const fewer = Math.ceil(args.slots / 4);
  const answers = questions * (title === "evaluate" ? 1 + (args.samples ?? 0) : args.samples!);
  const saving = {
    text: `--slots ${args.slots} -> ${fewer}`,
    bytes: now.bytes - forecast(fewer).bytes,
  };
  return [
    ...describeForecast(title, now, [
      { name: "answers, at most", bytes: answersBytes(answers, maxNewTokens) },
    ]),
    `${answers.toLocaleString("en")} answers to ${questions.toLocaleString("en")} questions`,
    ...describeFit(now, machineMemory(), saving.bytes > 0 ? [saving] : []),
  ].join("\n");
}

/** The most slots with which the forecast is at most so many GiB. @throws UserError where one is too many */
export function fitAsking(
  args: AskingArguments,
  gibibytes: number,
): { slots: number; forecast: Forecast } {
  const { forecast } = planAsking(args);
  const wanted = (slots: number) => forecast(slots).bytes + forecast(slots).guests;
  if (wanted(1) > gibibytes * 2 ** 30)
    throw new UserError(
      `memoryGib: expected at least ${(wanted(1) / 2 ** 30).toFixed(1)}, which one answer at a time takes, found ${gibibytes}: ` +
        `the weights alone are ${gigabytes(forecast(1).parts[0]!.bytes)}`,
    );
  const slots = largestThat(1, enoughSlots, (count) => wanted(count) <= gibibytes * 2 ** 30);
  return { slots, forecast: forecast(slots) };
}
