#!/usr/bin/env node
// The `reft` command: knows the commands, loads the chosen one, turns what goes wrong into a message and an exit code.
import { realpathSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Argv, CommandModule } from "yargs";
import { asUserError, inOneLine, messageOf, show, UserError, visible } from "./errors.ts";
import { endOnInterrupt } from "./run/interrupts.ts";
import { version } from "./setup.ts";
import { suggestion } from "./suggest.ts";
import { leaveLine, print } from "./terminal.ts";

interface Entry {
  readonly describe: string;
  /** Under which the list of all commands has it. */
  readonly group: "Set up" | "Data" | "Train" | "Measure" | "Use";
  /** Imports the command; the others, and TensorFlow with them, stay out of the process. */
  readonly load: () => Promise<Register>;
}

/** Adds a command, under its own usage line or another one. */
type Register = (cli: Argv, rename: (usage: string) => string) => Argv;

const commands: ReadonlyMap<string, Entry> = new Map([
  [
    "setup",
    {
      group: "Set up",
      describe: "Fetch TensorFlow and compile its binding: once, and after an update",
      load: async () => register((await import("./commands/setup.ts")).setupCommand),
    },
  ],
  [
    "doctor",
    {
      group: "Set up",
      describe: "Look whether all that training needs works here",
      load: async () => register((await import("./commands/doctor.ts")).doctorCommand),
    },
  ],
  [
    "init",
    {
      group: "Set up",
      describe: "Begin a project: a folder with a configuration for each stage",
      load: async () => register((await import("./commands/init.ts")).initCommand),
    },
  ],
  [
    "settings",
    {
      group: "Set up",
      describe: "Every setting of a stage, with its meaning; as a JSON schema with --json",
      load: async () => register((await import("./commands/settings.ts")).settingsCommand),
    },
  ],
  [
    "prepare-data",
    {
      group: "Data",
      describe: "Bring a data set into the project's form and check its gold chains of thought",
      load: async () => register((await import("./commands/prepareData.ts")).prepareDataCommand),
    },
  ],
  [
    "check-data",
    {
      group: "Data",
      describe: "Show training data as a model will see it: lengths, duplicates, wrong rows",
      load: async () => register((await import("./commands/checkData.ts")).checkDataCommand),
    },
  ],
  [
    "import-model",
    {
      group: "Data",
      describe: "Make a model folder of a GGUF file or a Hugging Face folder",
      load: async () => register((await import("./commands/importModel.ts")).importModelCommand),
    },
  ],
  [
    "train-sft",
    {
      group: "Train",
      describe: "Fine-tune on worked solutions: the warm-up of ReFT",
      load: async () => register((await import("./commands/train.ts")).trainSftCommand),
    },
  ],
  [
    "train-reft",
    {
      group: "Train",
      describe: "Improve a model by rewards for its own answers: PPO, GRPO, RLOO, self-training",
      load: async () => register((await import("./commands/train.ts")).trainReftCommand),
    },
  ],
  [
    "sample",
    {
      group: "Measure",
      describe: "Sample many answers to each question, run and judged",
      load: async () => register((await import("./commands/sample.ts")).sampleCommand),
    },
  ],
  [
    "train-rerank",
    {
      group: "Train",
      describe: "Train a classifier that tells right answers from wrong ones",
      load: async () => register((await import("./commands/train.ts")).trainRerankCommand),
    },
  ],
  [
    "evaluate",
    {
      group: "Measure",
      describe: "Accuracy on a data set: greedy, and of votes among sampled answers",
      load: async () => register((await import("./commands/evaluate.ts")).evaluateCommand),
    },
  ],
  [
    "compare",
    {
      group: "Measure",
      describe: "Compare two evaluations of the same questions with a paired test",
      load: async () => register((await import("./commands/compare.ts")).compareCommand),
    },
  ],
  [
    "report",
    {
      group: "Measure",
      describe: "Show runs in one page: curves, alarms, completions, evaluations, settings",
      load: async () => register((await import("./commands/report.ts")).reportCommand),
    },
  ],
  [
    "watch",
    {
      group: "Measure",
      describe: "Follow runs that go on in a page of this machine",
      load: async () => register((await import("./commands/watch.ts")).watchCommand),
    },
  ],
  [
    "ask",
    {
      group: "Use",
      describe: "Ask a trained model one question; prints what it writes and the answer",
      load: async () => register((await import("./commands/ask.ts")).askCommand),
    },
  ],
  [
    "generate",
    {
      group: "Use",
      describe: "Write responses to prompts",
      load: async () => register((await import("./commands/generate.ts")).generateCommand),
    },
  ],
  [
    "score",
    {
      group: "Use",
      describe: "Give the log-probability of each token of given completions",
      load: async () => register((await import("./commands/score.ts")).scoreCommand),
    },
  ],
  [
    "export",
    {
      group: "Use",
      describe:
        "Write a checkpoint as a Hugging Face folder or a GGUF file for other tools, and check it",
      load: async () => register((await import("./commands/export.ts")).exportCommand),
    },
  ],
  [
    "run",
    {
      group: "Train",
      describe: "The whole recipe, from the data to the table of all models",
      load: async () => register((await import("./commands/run.ts")).runCommand),
    },
  ],
  [
    "launch",
    {
      group: "Train",
      describe: "Run a training or an evaluation as several processes, on several GPUs",
      load: async () => register((await import("./commands/launch.ts")).launchCommand),
    },
  ],
  [
    "execute",
    {
      group: "Use",
      describe: "Run Python programs in the sandbox and write what came out of each",
      load: async () => register((await import("./commands/execute.ts")).executeCommand),
    },
  ],
]);

function register<A>(command: CommandModule<object, A>): Register {
  return (cli, rename) => cli.command({ ...command, command: rename(String(command.command)) });
}

/** Options that may be given more than once, and positional arguments that are lists. */
const repeatable = ["set", "column", "against", "folders", "--"];

/**
 * Runs a command line.
 *
 * @param args what follows the program's name
 * @param alone runs this command under its own name, without the others: `train-sft` for `reft train-sft`
 * @returns exit code: 0 done, 1 the user's mistake or Ctrl-C, 2 our mistake
 */
export async function main(args: readonly string[], alone?: string): Promise<number> {
  const chosen = alone ?? chosenCommand(args);
  const name = alone ?? (commands.has(chosen ?? "") ? `reft ${chosen}` : "reft");
  let options: readonly string[] = [];
  try {
    if (chosen === undefined && args.every((arg) => arg === "--help" || arg === "-h")) {
      print(commandList());
      return 0;
    }
    const inherited = typedFlags(args).find((flag) => flag.replaceAll("-", "") in {});
    if (inherited !== undefined)
      // yargs looks options up in plain objects, which have toString, too
      throw new UserError(`unknown option ${inherited}\nSee ${name} --help`);
    const parser = await parserFor(chosen, alone);
    parser.check((parsed) => everyOptionHasOneValue(parsed, args));
    parser.middleware(() => {
      options = optionsOf(parser);
    });
    parser.fail((message, error) => {
      const isOurs = error !== undefined && error.name !== "YError"; // yargs' own: a wrong command line
      if (isOurs) throw error;
      const mistake = unknownFlags(args, optionsOf(parser)) ?? message;
      throw new UserError(`${mistake}\nSee ${name} --help`);
    });
    await parser.parseAsync(args);
    return 0;
  } catch (error) {
    return report(error, name, options, args);
  }
}

function chosenCommand(args: readonly string[]): string | undefined {
  return args.find((arg) => !arg.startsWith("-"));
}

async function parserFor(chosen: string | undefined, alone: string | undefined): Promise<Argv> {
  const { default: yargs } = await import("yargs"); // here, so that Ctrl-C is heard while it loads
  const cli = yargs()
    .scriptName(alone ?? "reft")
    .version(version())
    .alias({ help: "h" })
    .wrap(100)
    .strict()
    .parserConfiguration({
      "boolean-negation": false, // else --no-set is a --set of false,
      "dot-notation": false, // and --output.x=1 an --output of { x: 1 }
      "populate--": chosen === "launch", // what follows the two dashes there is another command
    })
    .exitProcess(false);
  const entry = chosen === undefined ? undefined : commands.get(chosen);
  if (alone !== undefined && entry === undefined) throw new Error(`no command "${alone}"`);
  if (entry !== undefined) {
    const add = await entry.load();
    return add(cli, (usage) => (alone === undefined ? usage : usage.replace(alone, "$0")));
  }
  if (chosen !== undefined) {
    const hint = suggestion(chosen, [...commands.keys()]);
    throw new UserError(`unknown command "${chosen}"${hint}\nSee reft --help`);
  }
  return cli;
}

/** All commands, each with what it does, under the headings of their groups; yargs knows no groups of commands. */
function commandList(): string {
  const groups = new Set([...commands.values()].map(({ group }) => group));
  const linesOf = (group: string) =>
    [...commands]
      .filter(([, entry]) => entry.group === group)
      .map(([name, { describe }]) => `  reft ${name.padEnd(14)}${describe}`);
  return [
    "reft <command> [options]",
    "Reinforced fine-tuning (ReFT) of LLaMA, Mistral, Qwen and SmolLM models.",
    ...[...groups].map((group) => [`${group}:`, ...linesOf(group)].join("\n")),
    "Each command has --help. reft --version prints the version.",
  ].join("\n\n");
}

/** The flags of a command line, as they were typed, without their values. */
function typedFlags(args: readonly string[]): string[] {
  const end = args.indexOf("--");
  return args
    .slice(0, end < 0 ? args.length : end)
    .flatMap((arg) => /^-+[a-z_][^=]*/i.exec(arg) ?? []);
}

/** Says which of the flags that were typed a command does not have; undefined where it has them all. */
function unknownFlags(args: readonly string[], options: readonly string[]): string | undefined {
  const flags = options.map((option) => `--${option}`);
  const known = [...flags, ...options.map((option) => `--${camelCase(option)}`), "-h"];
  const unknown = new Set(typedFlags(args).filter((flag) => !known.includes(flag)));
  const lines = [...unknown].map((flag) => `unknown option ${flag}${suggestion(flag, flags)}`);
  return lines.length === 0 ? undefined : lines.join("\n");
}

/**
 * yargs itself takes `--workers many` as NaN, `--input=` as an empty name, an option alone as not given, and a repeated option as a
 * list.
 *
 * @param args what it has parsed
 */
function everyOptionHasOneValue(
  parsed: Readonly<Record<string, unknown>>,
  args: readonly string[],
): boolean {
  for (const [name, value] of Object.entries(parsed)) {
    const isCopy = /[A-Z_$]/.test(name); // yargs adds the camelCase spelling, `_` and `$0`
    if (isCopy) continue;
    const typed = typedBehind(name, args);
    const flag = typed === undefined ? name : `--${name}`;
    const place = args.lastIndexOf(`--${name}`);
    const isAlone = place >= 0 && (args[place + 1] ?? "--").startsWith("--");
    if (value === "" || (isAlone && typeof value !== "boolean"))
      throw new UserError(`${flag}: expected a value, found none`);
    if (repeatable.includes(name)) continue;
    if (Number.isNaN(value))
      throw new UserError(`${flag}: expected a number, found ${show(typed)}`);
    if (Array.isArray(value))
      throw new UserError(`--${name}: expected one value, found ${value.join(" and ")}`);
  }
  return true;
}

/** What stands behind an option, or its equals sign; undefined for what stands without any, such as the question of `ask`. */
function typedBehind(name: string, args: readonly string[]): string | undefined {
  const place = args.lastIndexOf(`--${name}`);
  if (place >= 0) return args[place + 1] ?? "";
  return args.findLast((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3);
}

/** The names of a command's options, as they are typed. yargs does not type this method of its own. */
function optionsOf(cli: Argv): string[] {
  const { getOptions } = cli as Argv & { getOptions(): { key: Readonly<Record<string, true>> } };
  return Object.keys(getOptions.call(cli).key);
}

/**
 * A message with its options as they are typed here. What lies below the commands calls them as TypeScript does: `maxNewTokens`
 * anywhere in a message, and a name of one word after the word "option", or where the message begins with it, unless that is a path
 * that was typed: `--model data`.
 */
function withFlags(message: string, options: readonly string[], args: readonly string[]): string {
  return options.reduce((text, option) => {
    const name = camelCase(option);
    const isTyped = args.some((arg) => arg === name || arg.endsWith(`=${name}`));
    const begins = isTyped ? "" : `^${name}(?=: )|`;
    const word =
      name === option ? `${begins}(?<=option )${name}(?!\\w)` : `(?<![\\w.])${name}(?!\\w)`;
    return text.replace(new RegExp(word, "g"), `--${option}`);
  }, message);
}

function camelCase(option: string): string {
  return option.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
}

/** A message with the line breaks of what was typed as `\n`: a name with one would give it a line that looks like another message. */
function withTypedOnOneLine(message: string, args: readonly string[]): string {
  return args
    .flatMap((arg) => [arg, ...arg.split(/=(.*)/s)]) // a message may have the option or its value alone
    .map(visible)
    .filter((typed) => typed.includes("\n"))
    .reduce((text, typed) => text.replaceAll(typed, inOneLine(typed)), message);
}

/** Prints what went wrong to standard error. Returns the exit code. */
function report(
  error: unknown,
  name: string,
  options: readonly string[],
  args: readonly string[] = [],
): number {
  leaveLine();
  const expected = asUserError(error);
  if (expected !== undefined) {
    const message = withTypedOnOneLine(withFlags(expected.message, options, args), args);
    process.stderr.write(visible(`${name}: ${message}\n`));
    return 1;
  }
  const stack = error instanceof Error ? error.stack : String(error);
  process.stderr.write(
    visible(`${name}: an error of the program itself, not of its input:\n${stack}\n`),
  );
  return 2;
}

/**
 * The process of a command: runs its command line and ends.
 *
 * @param alone as in main
 */
export async function runProgram(alone?: string): Promise<never> {
  const args = process.argv.slice(2);
  const chosen = alone ?? chosenCommand(args);
  // The set-up ends its tools itself, and makes what the rest needs to be ended at once.
  if (chosen !== undefined && chosen !== "setup") endOnInterrupt(alone ?? "reft");
  process.on("uncaughtException", (error) =>
    process.exit(report(ofUsersCode(error) ?? error, alone ?? "reft", [])),
  );
  process.exit(await main(args, alone));
}

/** What a file of the user's threw when nothing waited for it: in a timer, or in a promise that it forgot. Undefined for the rest. */
function ofUsersCode(error: unknown): UserError | undefined {
  if (!(error instanceof Error)) return new UserError(`something threw ${show(error)}`);
  const frames = [
    ...(error.stack ?? "").matchAll(/^ +at (?:.*\()?((?:file:\/\/)?\/.*?:\d+:\d+)\)?$/gm),
  ];
  const place = frames.map(([, at]) => at!).find((at) => !at.includes("/node_modules/"));
  const isOwn = place === undefined || place.includes(fileURLToPath(new URL(".", import.meta.url)));
  if (isOwn) return undefined;
  return new UserError(
    `${place} threw when nothing waited for it: ${messageOf(error)}; wait there for all that is begun. ` +
      "What was written before is intact",
  );
}

function isEntryPoint(): boolean {
  const script = process.argv[1]; // npm installs commands as links
  return script !== undefined && realpathSync(script) === fileURLToPath(import.meta.url);
}

if (isEntryPoint()) await runProgram();
