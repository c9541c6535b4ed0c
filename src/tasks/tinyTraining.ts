// The smallest training that goes all the way: generated problems, a model from scratch, SFT, a step of ReFT, checkpoints.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../config.ts";
import { generateProblems } from "../data/datasets/generated.ts";
import { writeJsonl } from "../formats/jsonl.ts";
import { observed } from "../observer.ts";
import { trainReft } from "../ppo/train.ts";
import { readMetrics } from "../run/metrics.ts";
import { trainSft } from "../sft/train.ts";
import { shipped } from "./initProject.ts";

export interface TinyTraining {
  /** Cross-entropy of the first and of the last step of SFT. */
  readonly losses: readonly [first: number, last: number];
  /** Between log-probabilities as sampled and as computed again. */
  readonly logprobGap: number;
}

/**
 * Trains in a temporary folder and removes it. Says nothing.
 *
 * @throws whatever keeps a training from its end
 */
export async function trainTiny(): Promise<TinyTraining> {
  const folder = mkdtempSync(join(tmpdir(), "reft-doctor-"));
  const at = (name: string) => join(folder, name);
  const overrides = (settings: Readonly<Record<string, unknown>>) =>
    Object.entries({
      "data.train": at("train.jsonl"),
      "data.dev": at("dev.jsonl"),
      "evaluation.maxNewTokens": 16,
      "sandbox.workers": 1,
      ...settings,
    }).map(([path, value]) => ({ path, value, source: path }));
  try {
    const problems = generateProblems({ train: 32, answerOnly: 0, dev: 4, test: 0 }, 1);
    writeJsonl(at("train.jsonl"), problems.train);
    writeJsonl(at("dev.jsonl"), problems.dev);
    const sft = overrides({ "training.epochs": 2, "evaluation.everyEpochs": 2 });
    const steps = { "training.epochs": 1, "training.maxSteps": 1 };
    const rollout = { "rollout.questionsPerStep": 8, "rollout.samplesPerQuestion": 2 };
    const update = { "ppo.miniBatchSize": 8, "ppo.valueWarmupSteps": 0 };
    const reft = overrides({ "model.init": at("sft"), ...steps, ...rollout, ...update });
    const tiny = join(shipped, "tiny");
    await observed({}, () =>
      trainSft(loadConfig("sft", join(tiny, "warmup.yaml"), sft), at("sft")),
    );
    await observed({}, () =>
      trainReft(loadConfig("reft", join(tiny, "reft.yaml"), reft), at("reft")),
    );
    const losses = readMetrics(at("sft")).map((line) => Number(line["sft/loss"]));
    const gap = readMetrics(at("reft")).at(-1)!["rollout/logprobGap"];
    return { losses: [losses[0]!, losses.at(-1)!], logprobGap: Number(gap) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
