// Loads a reward that a user wrote in TypeScript or JavaScript, with the files that it imports.
//
// Node 20 runs no TypeScript, and the project is shipped as JavaScript: jiti loads both, with the lines of the source in errors.
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { createJiti } from "jiti";
import { hashFile } from "../data/hash.ts";
import { asUserError, messageOf, show, UserError } from "../errors.ts";
import { answersEqual } from "./compare.ts";
import { defineReward, type Reward } from "./reward.ts";

export interface LoadedReward {
  readonly reward: Reward;
  /** SHA-256 of the file and of every file of the user's that it imports, by `reward <path>`. */
  readonly hashes: Readonly<Record<string, string>>;
}

/** @throws UserError when there is no such file, when loading it fails, or when it exports no function */
export function loadRewardFile(file: string): LoadedReward {
  const path = resolve(file);
  checkIsThere(file);
  const jiti = createJiti(import.meta.url, {
    fsCache: false, // writes nowhere
    virtualModules: { reft: { answersEqual, defineReward } }, // `import ... from "reft"` needs no installation around the file
  });
  const before = new Set(Object.keys(jiti.cache));
  const filesRead = () => Object.keys(jiti.cache).filter((read) => !before.has(read));
  let reward: unknown;
  let files: readonly string[] = [];
  try {
    // At once, not as a promise: so jiti itself also loads what the file imports, and knows it.
    const options = { filename: path, id: path, async: false, forceTranspile: true };
    const loaded = jiti.evalModule(readFileSync(path, "utf8"), options) as { default?: unknown };
    reward = loaded.default ?? loaded;
    files = filesRead().filter((read) => !read.includes("/node_modules/"));
  } catch (error) {
    const problem = messageOf(asUserError(error) ?? error).replace(/\s+/g, " ");
    throw new UserError(`the reward ${file} cannot be loaded: ${problem}`);
  } finally {
    for (const read of filesRead()) delete jiti.cache[read]; // so that a changed file is read again
  }
  if (typeof reward !== "function")
    throw new UserError(
      `the reward ${file}: expected a function as its default export, found ${show(reward)}; ` +
        "write `export default ({ text, gold }) => ...` (docs/rewards.md)",
    );
  // Named from where the user's path starts, not from the working directory, which may be another one when a run goes on.
  const nameOf = (read: string) => `reward ${join(dirname(file), relative(dirname(path), read))}`;
  const hashes = Object.fromEntries(files.map((read) => [nameOf(read), hashFile(read)]));
  return { reward: reward as Reward, hashes };
}

/** @throws UserError when there is no such file */
function checkIsThere(file: string): void {
  if (existsSync(file)) return;
  throw new UserError(`reward: expected ${file}, found nothing there; check the path`);
}
