// Rewards of users in Python: a file that defines `score(answer, row)`, called in the sandbox.
import { sha256 } from "../data/hash.ts";
import type { JsonValue } from "../data/json.ts";
import { messageOf, UserError } from "../errors.ts";
import { readText } from "../formats/jsonl.ts";
import { rewardError, scoredBy } from "./ownReward.ts";
import type { Sandbox } from "./sandbox/sandbox.ts";
import type { Scorer } from "./scorer.ts";

export interface PythonFile {
  readonly file: string;
  readonly source: string;
  readonly sha256: string;
}

/** @throws UserError when the file cannot be read */
export function readPythonReward(file: string): PythonFile {
  const source = readText(file);
  return { file, source, sha256: sha256(source) };
}

/** @throws UserError when the file cannot be run, or defines no `score` */
export async function pythonReward(
  { file, source }: PythonFile,
  sandbox: Sandbox,
): Promise<Scorer> {
  const loaded = await sandbox.run(
    `${source}\n\ndef solution():\n    return int(callable(score))\n`,
  );
  if (loaded.kind !== "answer")
    throw new UserError(
      `the reward ${file} cannot be loaded: ${withinFile(loaded.message, source)}; expected Python that defines score(answer, row)`,
    );
  return async ({ text, example, outcome }) => {
    const row = example as unknown as JsonValue; // it was read from JSON
    const result = await sandbox.score(source, text, row);
    if (result.kind === "infrastructure")
      return { outcome: result, score: 0, correct: false, extracted: false };
    if (result.kind !== "answer")
      throw rewardError(file, example.id, withinFile(result.message, source));
    try {
      return scoredBy(JSON.parse(String(result.value)), outcome);
    } catch (error) {
      throw rewardError(file, example.id, messageOf(error));
    }
  };
}

/** What follows the file in the sandbox has lines, too, which Python names for what the file leaves open. They become its last line. */
function withinFile(message: string, source: string): string {
  const last = source.trimEnd().split("\n").length;
  return message.replace(/\bline (\d+)\)$/, (_, line) => `line ${Math.min(Number(line), last)})`);
}
