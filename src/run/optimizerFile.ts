// The optimizer's state in a checkpoint: moments as safetensors, step counts as JSON. One moment is in JavaScript's memory at a time.
import { join } from "node:path";
import { z } from "zod";
import type { AdamW } from "../engine/optimizer.ts";
import type { Variable } from "../engine/variable.ts";
import { UserError } from "../errors.ts";
import { parseJson, readText, writeFileAtomically } from "../formats/jsonl.ts";
import { openSafetensors } from "../formats/safetensors.ts";
import { saveVariables } from "../model/model.ts";

const stepsSchema = z.strictObject({ steps: z.array(z.int().nonnegative()) });

export function saveOptimizer(optimizer: AdamW, folder: string): void {
  saveVariables(optimizer.momentsOfAll(), join(folder, "optimizer.safetensors"));
  const json = { steps: optimizer.updates() };
  writeFileAtomically(join(folder, "optimizer.json"), `${JSON.stringify(json)}\n`);
}

/** @throws UserError when the files are missing, damaged or of another model */
export function loadOptimizer(optimizer: AdamW, folder: string): void {
  const path = join(folder, "optimizer.json");
  const { steps } = parseJson(readText(path), path, stepsSchema);
  const groups = optimizer.updates().length;
  if (steps.length !== groups)
    throw new UserError(
      `${path}: "steps": expected ${groups} numbers, found ${steps.length}; ${otherRun}`,
    );
  restoreVariables(optimizer.moments(), join(folder, "optimizer.safetensors"));
  optimizer.resumeAt(steps);
}

const otherRun = "it belongs to another run: put back the file of this one";

/** Loads variables as a checkpoint has them. @throws UserError when the file is missing, damaged or of another model */
export function restoreVariables(variables: ReadonlyMap<string, Variable>, path: string): void {
  using file = openSafetensors(path);
  for (const [name, variable] of variables) {
    const found = file.tensors.get(name)?.shape;
    if (found !== undefined && found.join() !== variable.shape.join())
      throw new UserError(
        `${path}: ${name}: expected the shape [${variable.shape}], found [${found}]; ${otherRun}`,
      );
    variable.load(file.readFloat32(name));
  }
}
