// Reads the golden files of test/golden.
import { join } from "node:path";
import { openSafetensors } from "../../src/formats/safetensors.ts";

/** The models of test/golden/models: transformers in float32, scripts/golden/model.py. */
export const modelVariants = [
  "multi-head",
  "grouped-query",
  "linear-rope",
  "llama3-rope",
  "wide-heads",
  "sharded-bf16",
  "sharded-f16",
  "qwen2",
  "qwen3",
  "mistral",
  "qwen2-window",
  "smollm3",
  "smollm3-window",
];

/** A file of test/golden. */
export function goldenPath(...parts: string[]): string {
  return join(import.meta.dirname, "..", "golden", ...parts);
}

export interface GoldenTensor {
  readonly shape: readonly number[];
  readonly values: Float32Array | Int32Array;
}

/** All tensors of a golden safetensors file. */
export function readGolden(...parts: string[]): ReadonlyMap<string, GoldenTensor> {
  using file = openSafetensors(goldenPath(...parts));
  return new Map(
    [...file.tensors].map(([name, { shape }]) => [
      name,
      { shape, values: file.read(name) as Float32Array | Int32Array },
    ]),
  );
}

/** Row `index` of a matrix, its first `length` numbers. */
export function rowOf(
  { shape, values }: GoldenTensor,
  index: number,
  length = shape.at(-1)!,
): number[] {
  const width = shape.at(-1)!;
  return [...values.subarray(index * width, index * width + length)];
}

/** The largest |a - b|. */
export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) throw new Error(`expected ${b.length} numbers, got ${a.length}`);
  let largest = 0;
  for (let i = 0; i < a.length; i++) largest = Math.max(largest, Math.abs(a[i]! - b[i]!));
  return largest;
}

/** |a - b| / |b| over all numbers together (Euclidean). */
export function relativeDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [difference, size] = [0, 0];
  for (let i = 0; i < b.length; i++) {
    difference += (a[i]! - b[i]!) ** 2;
    size += b[i]! ** 2;
  }
  return Math.sqrt(difference / size);
}
