// An adapter added to the weights that it stands beside, for tools that know no adapters.
import { matMul } from "../engine/products.ts";
import { readAndDispose, tf } from "../engine/tf.ts";
import { roundedTo, type TensorToWrite } from "../formats/safetensors.ts";
import type { FloatDtype } from "../formats/safetensorsHeader.ts";
import { type Adapter, adapterNames, adapterScale, disposeAdapter } from "../model/adapter.ts";
import type { Model } from "../model/model.ts";

/** What an adapter adds to the matrix of this name, alpha / rank · B·A; undefined where it has none beside it. */
export function adapterDelta({ settings, variables }: Adapter, name: string) {
  const { a, b } = adapterNames(name);
  const [left, right] = [b, a].map((factor) => variables.get(factor));
  if (!left || !right) return undefined;
  const scale = adapterScale(settings);
  const [delta] = readAndDispose([tf.tidy(() => tf.mul(matMul(left.read(), right.read()), scale))]);
  return delta as Float32Array;
}

function sumOf(values: Float32Array, delta: Float32Array): Float32Array {
  return values.map((value, i) => value + delta[i]!);
}

/** How much of what an adapter changes is lost by rounding: the rounding's norm by the change's. */
export interface MergeLoss {
  add(delta: Float32Array, exact: Float32Array, rounded: Float32Array): void;
  value(): number;
}

export function createMergeLoss(): MergeLoss {
  let [changed, lost] = [0, 0];
  return {
    add(delta, exact, rounded) {
      for (let i = 0; i < delta.length; i++) {
        changed += delta[i]! ** 2;
        lost += (rounded[i]! - exact[i]!) ** 2;
      }
    },
    value: () => (changed === 0 ? 0 : Math.sqrt(lost / changed)),
  };
}

/**
 * Adds the adapter to each matrix of a model held as float32, one after another. The adapter is gone then.
 *
 * @param dtype in which the weights will be written
 * @returns the model without adapter, and how much of what the adapter changes is lost by rounding to that type. Of a small change most
 *   can be lost in 16 bits, because it is less than their spacing.
 */
export function mergeAdapter(
  model: Model & Required<Pick<Model, "adapter">>,
  dtype: FloatDtype,
): { model: Model; lost: number } {
  const { adapter, ...merged } = model;
  const loss = createMergeLoss();
  for (const [name, variable] of merged.parameters) {
    const delta = adapterDelta(adapter, name);
    if (!delta) continue;
    const after = sumOf(variable.values(), delta);
    loss.add(delta, after, roundedTo(after, dtype));
    variable.load(after);
  }
  disposeAdapter(adapter);
  return { model: merged, lost: loss.value() };
}

/** Weights of a base model's files with the adapter added to each when its `data` are asked for. */
export function mergedWeights(
  weights: ReadonlyMap<string, TensorToWrite>,
  adapter: Adapter,
): ReadonlyMap<string, TensorToWrite> {
  const merged = [...weights].map(([name, weight]) => {
    const { dtype, shape } = weight;
    const sum = {
      dtype,
      shape,
      get data() {
        const delta = adapterDelta(adapter, name);
        return delta ? sumOf(weight.data as Float32Array, delta) : weight.data;
      },
    };
    return [name, sum] as const;
  });
  return new Map(merged);
}
