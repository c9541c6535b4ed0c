// Makes a command of the documentation short: the same command on fewer questions, for fewer steps, with shorter answers.
// The tables say which options and settings take other values; everything else of a command stays as it is written.

type Values = Readonly<Record<string, string>>;

/** Options that take another number where a command gives them. */
const smaller: Values = { samples: "8", "answer-only": "64" };

const fewQuestions: Values = { questions: "24", "max-new-tokens": "40", workers: "1" };
const fewRows: Values = { dev: "32" };

/** Options that take another value or are added, by the beginnings of commands. */
const added: Readonly<Record<string, Values>> = {
  evaluate: fewQuestions,
  sample: fewQuestions,
  "prepare-data svamp": fewRows,
  "prepare-data gsm8k": fewRows,
};

/** What follows a script's arguments. */
const appended: Readonly<Record<string, readonly string[]>> = {
  "scripts/bench-sampling.ts": ["8", "1"], // samples, rounds
};

const fewEvaluated: Values = {
  "evaluation.questions": "16",
  "evaluation.maxNewTokens": "40",
  "sandbox.workers": "1",
};
const smallRollout: Values = {
  "rollout.questionsPerStep": "4",
  "rollout.samplesPerQuestion": "2",
  "rollout.maxNewTokens": "40",
  "ppo.miniBatchSize": "8",
};

/** Settings that are overridden. */
const settings: Readonly<Record<string, Values>> = {
  "train-sft": { "training.epochs": "1", ...fewEvaluated },
  "train-reft": { "training.maxSteps": "2", ...smallRollout, ...fewEvaluated },
  "train-rerank": { "training.epochs": "1" },
  run: {
    seeds: "[1]",
    "data.prepare.dev": "32",
    "sandbox.workers": "1",
    "samples.perQuestion": "4",
    "samples.questions": "32",
    "samples.devQuestions": "32",
    "evaluation.samples": "4",
    "evaluation.questions": "8",
    "answers.maxNewTokens": "40",
    ...inStage("sft", { "training.epochs": "1", ...fewEvaluated }),
    ...inStage("reft", { "training.maxSteps": "2", ...smallRollout, ...fewEvaluated }),
    ...inStage("rerankSft", { "training.epochs": "1" }),
    ...inStage("rerankReft", { "training.epochs": "1" }),
  },
};

/** Commands that make the tiny model from which others go on: cut short, it would know too little for them. */
const tinyWarmup = /--config configs\/tiny\/warmup\.yaml/;

/** What a recipe's warm-up is told. In place of hours of training it starts, and stays, where some answers are right. */
function warmupOf(recipe: string): Values {
  if (recipe.includes("configs/tiny/")) return {};
  const isFromScratch = recipe.includes("configs/svamp-tiny/");
  return {
    ...(isFromScratch && { "stages.warmup.config": "../svamp-smollm2/warmup.yaml" }),
    ...inStage("warmup", {
      "training.epochs": "1",
      "optimizer.learningRate": "1e-7",
      ...fewEvaluated,
    }),
  };
}

function inStage(stage: string, values: Values): Values {
  return Object.fromEntries(
    Object.entries(values).map(([path, value]) => [`stages.${stage}.set.${path}`, value]),
  );
}

/**
 * @param command name of the command, or path of the script
 * @param args what follows it
 * @returns the arguments of the short form
 */
export function shorten(command: string, args: readonly string[]): string[] {
  const written = args.join(" ");
  if (tinyWarmup.test(written)) return [...args];
  const sets = {
    ...settings[command],
    ...(command === "run" && warmupOf(written)),
    ...(args.includes("--fork") && { "training.maxSteps": "4" }), // two steps after those of a short run
  };
  const kept = args
    .map((arg) => arg.replace(/\/step-\d+$/, "").replace(/@\d+$/, "@last")) // which a short run may not reach
    .map((arg, i) => (/^\d+$/.test(arg) && smaller[nameOf(args[i - 1])]) || arg);
  return [
    ...withOptions(kept, added[command] ?? added[`${command} ${args[0]}`] ?? {}),
    ...(appended[command] ?? []),
    ...Object.entries(sets).flatMap(([path, value]) => ["--set", `${path}=${value}`]),
  ];
}

function withOptions(args: readonly string[], values: Values): string[] {
  const others = args.filter((arg, i) => !(nameOf(arg) in values || nameOf(args[i - 1]) in values));
  return [...others, ...Object.entries(values).flatMap(([name, value]) => [`--${name}`, value])];
}

/** Name of an option; empty for what is none. */
function nameOf(arg: string | undefined): string {
  return /^--(.*)/.exec(arg ?? "")?.[1] ?? "";
}
