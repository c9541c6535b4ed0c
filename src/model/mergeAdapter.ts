// An adapter added to the weights that it stands beside, for tools that know no adapters.
import { matMul } from "../engine/products.ts";
import { take, tf } from "../engine/tf.ts";
import { adapterNames, disposeAdapter } from "./adapter.ts";
import type { Model } from "./model.ts";
import { roundedTo } from "./safetensors.ts";
import type { FloatDtype } from "./safetensorsHeader.ts";

/**
 * Adds alpha / rank · B·A to each matrix of a model held as float32, one after another. The adapter is gone then.
 *
 * @param dtype in which the weights will be written
 * @returns the model without adapter, and how much of what the adapter changes is lost by rounding to that type: the rounding's norm by
 *   the change's. Of a small change most can be lost in 16 bits, because it is less than their spacing.
 */
export function mergeAdapter(
  model: Model & Required<Pick<Model, "adapter">>,
  dtype: FloatDtype,
): { model: Model; lost: number } {
  const { adapter, ...merged } = model;
  const scale = adapter.settings.alpha / adapter.settings.rank;
  let [changed, rounded] = [0, 0];
  for (const [name, variable] of merged.parameters) {
    const { a, b } = adapterNames(name);
    if (!adapter.variables.has(a)) continue;
    const [left, right] = [b, a].map((factor) => adapter.variables.get(factor)!);
    const [product] = take([tf.tidy(() => tf.mul(matMul(left!.read(), right!.read()), scale))]);
    const after = variable.values().map((value, i) => value + product![i]!);
    const written = roundedTo(after, dtype);
    for (let i = 0; i < after.length; i++) {
      changed += product![i]! ** 2;
      rounded += (written[i]! - after[i]!) ** 2;
    }
    variable.load(after);
  }
  disposeAdapter(adapter);
  return { model: merged, lost: changed === 0 ? 0 : Math.sqrt(rounded / changed) };
}
