#!/usr/bin/env node
// The `reft` command: knows the commands, loads the chosen one, turns what goes wrong into a message and an exit code.
import { readFileSync, realpathSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Argv, CommandModule } from "yargs";
import { asUserError, UserError } from "./errors.ts";
import { endOnInterrupt } from "./run/interrupts.ts";
import { visible } from "./terminal.ts";

interface Entry {
  readonly describe: string;
  /** Imports the command; the others, and TensorFlow with them, stay out of the process. */
  readonly load: () => Promise<Register>;
}

/** Adds a command, under its own usage line or another one. */
type Register = (cli: Argv, rename: (usage: string) => string) => Argv;

const commands: ReadonlyMap<string, Entry> = new Map([
  [
    "prepare-data",
    {
      describe: "Bring a data set into the project's form and check its gold chains of thought",
      load: async () => register((await import("./commands/prepareData.ts")).prepareDataCommand),
    },
  ],
  [
    "import-model",
    {
      describe: "Make a model folder of a GGUF file or a Hugging Face folder",
      load: async () => register((await import("./commands/importModel.ts")).importModelCommand),
    },
  ],
  [
    "train-sft",
    {
      describe: "Fine-tune on worked solutions: the warm-up of ReFT",
      load: async () => register((await import("./commands/train.ts")).trainSftCommand),
    },
  ],
  [
    "train-reft",
    {
      describe: "Improve a model by PPO, rewarded for programs that give the right answer",
      load: async () => register((await import("./commands/train.ts")).trainReftCommand),
    },
  ],
  [
    "sample",
    {
      describe: "Sample many answers to each question, run and judged",
      load: async () => register((await import("./commands/sample.ts")).sampleCommand),
    },
  ],
  [
    "train-rerank",
    {
      describe: "Train a classifier that tells right answers from wrong ones",
      load: async () => register((await import("./commands/train.ts")).trainRerankCommand),
    },
  ],
  [
    "evaluate",
    {
      describe: "Accuracy on a data set: greedy, and of votes among sampled answers",
      load: async () => register((await import("./commands/evaluate.ts")).evaluateCommand),
    },
  ],
  [
    "compare",
    {
      describe: "Compare two evaluations of the same questions with a paired test",
      load: async () => register((await import("./commands/compare.ts")).compareCommand),
    },
  ],
  [
    "ask",
    {
      describe: "Ask a trained model one question; prints its program and the answer",
      load: async () => register((await import("./commands/ask.ts")).askCommand),
    },
  ],
  [
    "generate",
    {
      describe: "Write responses to prompts",
      load: async () => register((await import("./commands/generate.ts")).generateCommand),
    },
  ],
  [
    "score",
    {
      describe: "Give the log-probability of each token of given completions",
      load: async () => register((await import("./commands/score.ts")).scoreCommand),
    },
  ],
  [
    "export",
    {
      describe:
        "Write a checkpoint as a Hugging Face folder or a GGUF file for other tools, and check it",
      load: async () => register((await import("./commands/export.ts")).exportCommand),
    },
  ],
  [
    "run",
    {
      describe: "The whole recipe, from the data to the table of all models",
      load: async () => register((await import("./commands/run.ts")).runCommand),
    },
  ],
  [
    "execute",
    {
      describe: "Run Python programs in the sandbox and write what came out of each",
      load: async () => register((await import("./commands/execute.ts")).executeCommand),
    },
  ],
]);

function register<A>(command: CommandModule<object, A>): Register {
  return (cli, rename) => cli.command({ ...command, command: rename(String(command.command)) });
}

/** Options that may be given more than once. */
const repeatable = ["set"];

/**
 * Runs a command line.
 *
 * @param args what follows the program's name
 * @param alone runs this command under its own name, without the others: `train-sft` for `reft train-sft`
 * @returns exit code: 0 done, 1 the user's mistake or Ctrl-C, 2 our mistake
 */
export async function main(args: readonly string[], alone?: string): Promise<number> {
  const chosen = alone ?? args.find((arg) => !arg.startsWith("-"));
  const name = alone ?? (commands.has(chosen ?? "") ? `reft ${chosen}` : "reft");
  let options: readonly string[] = [];
  try {
    const parser = await parserFor(chosen, alone);
    parser.check((parsed) => everyOptionHasOneValue(parsed, args));
    parser.middleware(() => {
      options = optionsOf(parser);
    });
    parser.fail((message, error) => {
      const isOurs = error !== undefined && error.name !== "YError"; // yargs' own: a wrong command line
      throw isOurs ? error : new UserError(`${message}\nSee ${name} --help`);
    });
    await parser.parseAsync(args);
    return 0;
  } catch (error) {
    return report(error, name, options);
  }
}

async function parserFor(chosen: string | undefined, alone: string | undefined): Promise<Argv> {
  const { default: yargs } = await import("yargs"); // here, so that Ctrl-C is heard while it loads
  const cli = yargs()
    .scriptName(alone ?? "reft")
    .version(version())
    .alias({ help: "h" })
    .wrap(100)
    .strict()
    .recommendCommands()
    .exitProcess(false);
  if (alone !== undefined && !commands.has(alone)) throw new Error(`no command "${alone}"`);
  for (const [name, { describe, load }] of commands) {
    if (name === chosen) {
      const add = await load();
      add(cli, (usage) => (alone === undefined ? usage : usage.replace(name, "$0")));
    } else if (alone === undefined) cli.command(name, describe);
  }
  if (alone !== undefined) return cli;
  return cli
    .usage("$0 <command> [options]\n\nReinforced fine-tuning (ReFT) of LLaMA models.")
    .demandCommand(1, "expected a command, found none");
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
    const place = args.lastIndexOf(`--${name}`);
    const isAlone = place >= 0 && (args[place + 1] ?? "--").startsWith("--");
    if (value === "" || (isAlone && typeof value !== "boolean"))
      throw new UserError(`--${name}: expected a value, found none`);
    if (repeatable.includes(name)) continue;
    if (Number.isNaN(value)) throw new UserError(`--${name}: expected a number`);
    if (Array.isArray(value))
      throw new UserError(`--${name}: expected one value, found ${value.join(" and ")}`);
  }
  return true;
}

/** The names of a command's options, as they are typed. yargs does not type this method of its own. */
function optionsOf(cli: Argv): string[] {
  const { getOptions } = cli as Argv & { getOptions(): { key: Readonly<Record<string, true>> } };
  return Object.keys(getOptions.call(cli).key);
}

/**
 * A message with its options as they are typed here. What lies below the commands calls them as TypeScript does: `maxNewTokens`
 * anywhere in a message, and a name of one word where the message begins with it.
 */
function withFlags(message: string, options: readonly string[]): string {
  return options.reduce((text, option) => {
    const name = option.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
    const word = name === option ? `^${name}(?=: )` : `(?<![\\w.])${name}(?!\\w)`;
    return text.replace(new RegExp(word, "g"), `--${option}`);
  }, message);
}

/** Prints what went wrong to standard error. Returns the exit code. */
function report(error: unknown, name: string, options: readonly string[]): number {
  const expected = asUserError(error);
  if (expected !== undefined) {
    process.stderr.write(visible(`${name}: ${withFlags(expected.message, options)}\n`));
    return 1;
  }
  const stack = error instanceof Error ? error.stack : String(error);
  process.stderr.write(
    visible(`${name}: an error of the program itself, not of its input:\n${stack}\n`),
  );
  return 2;
}

function version(): string {
  const file = new URL("../package.json", import.meta.url); // beside src/ and dist/ alike
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}

/**
 * The process of a command: runs its command line and ends.
 *
 * @param alone as in main
 */
export async function runProgram(alone?: string): Promise<never> {
  endOnInterrupt(alone ?? "reft");
  process.exit(await main(process.argv.slice(2), alone));
}

function isEntryPoint(): boolean {
  const script = process.argv[1]; // npm installs commands as links
  return script !== undefined && realpathSync(script) === fileURLToPath(import.meta.url);
}

if (isEntryPoint()) await runProgram();
