// The optimizer's state in a checkpoint: moments as safetensors, step counts as JSON. One moment is in JavaScript's memory at a time.
import { join } from "node:path";
import { z } from "zod";
import { parseJson, readText, writeFileAtomically } from "../data/jsonl.ts";
import type { AdamW } from "../engine/optimizer.ts";
import { saveVariables } from "../model/model.ts";
import { openSafetensors } from "../model/safetensors.ts";

const stepsSchema = z.strictObject({ steps: z.array(z.int().nonnegative()) });

export function saveOptimizer(optimizer: AdamW, folder: string): void {
  saveVariables(optimizer.moments(), join(folder, "optimizer.safetensors"));
  const json = { steps: optimizer.updates() };
  writeFileAtomically(join(folder, "optimizer.json"), `${JSON.stringify(json)}\n`);
}

/** @throws UserError when the files are missing or damaged */
export function loadOptimizer(optimizer: AdamW, folder: string): void {
  const path = join(folder, "optimizer.json");
  const { steps } = parseJson(readText(path), path, stepsSchema);
  using file = openSafetensors(join(folder, "optimizer.safetensors"));
  for (const [name, variable] of optimizer.moments()) variable.load(file.readFloat32(name));
  optimizer.resumeAt(steps);
}
