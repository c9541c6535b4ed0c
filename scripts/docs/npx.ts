// Stands in for npx while the documentation's commands are run: starts the same program in its short form.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { shorten } from "./shorten.ts";

const project = join(import.meta.dirname, "..", "..");
const [program, ...args] = process.argv.slice(2) as [string, ...string[]];
const node = nodeArguments(program, args);
const { status } = spawnSync(process.execPath, node, { stdio: "inherit" });
process.exit(status ?? 1);

function nodeArguments(program: string, args: readonly string[]): string[] {
  const [first, ...rest] = args as [string, ...string[]];
  if (program === "reft") return [join(project, "dist/cli.js"), first, ...shorten(first, rest)];
  if (program === "tsx")
    return ["--import", import.meta.resolve("tsx"), join(project, first), ...shorten(first, rest)];
  if (program.startsWith("train-"))
    return [join(project, `dist/bin/${program}.js`), ...shorten(program, args)];
  throw new Error(`npx ${program}: expected reft, train-... or tsx`);
}
