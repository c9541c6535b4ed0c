// The optimizer's state in a checkpoint: moments as safetensors, step counts as JSON.
import { join } from "node:path";
import { z } from "zod";
import { parseJson, readText, writeFileAtomically } from "../data/jsonl.ts";
import type { AdamW } from "../engine/optimizer.ts";
import { openSafetensors, writeSafetensors } from "../model/safetensors.ts";

const stepsSchema = z.strictObject({ steps: z.array(z.int().nonnegative()) });

export function saveOptimizer(optimizer: AdamW, folder: string): void {
  const { steps, moments } = optimizer.state();
  const tensors = [...moments].map(
    ([name, { shape, values }]) => [name, { dtype: "F32" as const, shape, data: values }] as const,
  );
  writeSafetensors(join(folder, "optimizer.safetensors"), new Map(tensors));
  writeFileAtomically(join(folder, "optimizer.json"), `${JSON.stringify({ steps })}\n`);
}

/** @throws UserError when the files are missing or damaged */
export function loadOptimizer(optimizer: AdamW, folder: string): void {
  const path = join(folder, "optimizer.json");
  const { steps } = parseJson(readText(path), path, stepsSchema);
  using file = openSafetensors(join(folder, "optimizer.safetensors"));
  const moments = [...file.tensors].map(
    ([name, { shape }]) => [name, { shape, values: file.readFloat32(name) }] as const,
  );
  optimizer.load({ steps, moments: new Map(moments) });
}
