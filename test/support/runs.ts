// Small runs for tests: settings, and checkpoints of a few bytes.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadConfig } from "../../src/config.ts";
import { asUserError } from "../../src/errors.ts";
import { gather } from "../../src/ranks.ts";
import type { NewCheckpoint } from "../../src/run/checkpoint.ts";

export const tinyConfig = loadConfig("reft", "configs/tiny/reft.yaml");

/** In the place of an optimizer, where nothing is trained. */
export const untrained = {
  fingerprint: () => "",
  sendMoments: () => void gather([]),
  endSending: () => void gather([]),
};

/** A checkpoint whose every file tells its step. */
export function checkpointOf(step: number, isBest = false): NewCheckpoint {
  return {
    step,
    isBest,
    state: { step, rng: [1, 2, 3, step] },
    writeFiles: (folder) => {
      writeFileSync(join(folder, "config.json"), JSON.stringify({ step }));
      writeFileSync(join(folder, "model.safetensors"), `weights after step ${step}`);
      mkdirSync(join(folder, "training"));
      writeFileSync(
        join(folder, "training", "optimizer.safetensors"),
        `moments after step ${step}`,
      );
    },
  };
}

/** The message of the UserError that the action throws. */
export async function userErrorOf(action: () => unknown): Promise<string> {
  try {
    await action();
  } catch (error) {
    const explained = asUserError(error);
    if (explained !== undefined) return explained.message;
    throw error;
  }
  throw new Error("expected a UserError, but nothing was thrown");
}
