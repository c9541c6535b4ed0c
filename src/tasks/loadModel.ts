// A model that is asked and scored as it is, with its tokenizer where it has one.
import type { Precision } from "../config.ts";
import type { Tokenizer } from "../data/tokenizer.ts";
import { currentPrecision, usePrecision } from "../engine/products.ts";
import { UserError } from "../errors.ts";
import { disposeModel, loadModel as loadWeights, type Model } from "../model/model.ts";
import { resolveModelFolder } from "../run/checkpoint.ts";
import { tokenizerIn } from "./tokens.ts";

/** Hold it with `using`: its weights lie in TensorFlow's memory. */
export interface LoadedModel extends Disposable {
  /** Where it was found, as a run's folder has more than one. */
  readonly folder: string;
  /** @internal */
  readonly model: Model;
  /**
   * Undefined where the folder has none, which tokens as prompts do not need.
   *
   * @internal
   */
  readonly tokenizer: Tokenizer | undefined;
}

/**
 * Loads a model's folder, a run's best checkpoint or one checkpoint.
 *
 * @param path of one of these
 * @param precision of its matrix products, and of all others in this process
 * @throws UserError for what is no such folder, and for a model that cannot be used as it is
 */
export function loadModel(
  path: string,
  { precision = currentPrecision() }: { readonly precision?: Precision } = {},
): LoadedModel {
  usePrecision(precision);
  const folder = resolveModelFolder(path);
  const tokenizer = tokenizerIn(folder);
  const model = loadWeights(folder, "stored");
  let isDisposed = false;
  return {
    folder,
    tokenizer,
    get model() {
      if (isDisposed) throw new UserError(`${folder}: its model was disposed; load it again`);
      return model;
    },
    [Symbol.dispose]: () => {
      if (!isDisposed) disposeModel(model);
      isDisposed = true;
    },
  };
}
