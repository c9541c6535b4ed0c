// The model that a stage trains, all of it or an adapter beside its frozen weights, and the reference that it is held to.
import { resolve } from "node:path";
import { type AdapterConfig, adapterTargets, type WeightType } from "../config.ts";
import type { Tokenizer } from "../data/tokenizer.ts";
import { UserError } from "../errors.ts";
import {
  type AdapterSettings,
  adapterOf,
  createAdapter,
  disposeAdapter,
  loadAdapter,
  readAdapterFolder,
} from "../model/adapter.ts";
import {
  disposeModel,
  loadModel,
  type Model,
  parameterCount,
  parameterShapes,
  trainedVariables,
} from "../model/model.ts";
import { loadModelFor } from "../models/modelFolder.ts";
import { doing } from "../progress.ts";
import { Rng } from "../rng.ts";

/** What the settings say about how a model is trained. */
export interface Training {
  readonly seed: number;
  readonly weights?: WeightType | undefined;
  readonly adapter?: AdapterConfig | undefined;
}

/**
 * Opens the model of a folder to train it: its adapter, a fresh one, or all of its weights.
 *
 * @param tokenizer of the folder
 * @throws UserError when the folder's adapter is not the one that the settings ask for
 */
export function openTrained(tokenizer: Tokenizer, folder: string, training: Training): Model {
  const model = loadModelFor(tokenizer, folder, training.weights);
  try {
    return withAdapter(model, folder, training);
  } catch (error) {
    disposeModel(model);
    throw error;
  }
}

/** The model with the adapter that the settings ask for, if they ask for one. */
export function withAdapter(model: Model, folder: string, { adapter, seed }: Training): Model {
  const wanted = adapter && adapterOf(adapter);
  const found = model.adapter?.settings;
  if (found === undefined) {
    if (wanted === undefined) return model;
    const shapes = parameterShapes(model.config);
    const rng = Rng.named(seed, "adapter");
    return { ...model, adapter: createAdapter(shapes, wanted, resolve(folder), rng) };
  }
  if (wanted && describe(wanted) === describe(found)) return model;
  throw new UserError(
    `${folder} has an adapter: expected the setting adapter: ${describe(found)}, to go on training it, found ` +
      `${wanted ? describe(wanted) : "none"}; to train all weights, merge it first: reft export`,
  );
}

function describe({ rank, alpha, targets }: AdapterSettings): string {
  const chosen = targets.length === adapterTargets.length ? "all" : `[${targets.join(", ")}]`;
  return `{ rank: ${rank}, alpha: ${alpha}, targets: ${chosen} }`;
}

/** A frozen model. Whoever opens it disposes it. */
export interface Reference extends Disposable {
  readonly model: Model;
}

/**
 * The frozen model of a folder that the policy began as. Where the policy has an adapter, its weights are the reference's, too, with the
 * folder's own adapter beside them, if it has one: the policy's is not the one that it began with for long.
 */
export function openReference(folder: string, policy: Model): Reference {
  if (!policy.adapter) {
    using _ = doing("loading the reference model");
    const model = loadModel(folder);
    return { model, [Symbol.dispose]: () => disposeModel(model) };
  }
  const { adapter: _, ...base } = policy;
  const own = readAdapterFolder(folder);
  const adapter = own && loadAdapter(folder, own, parameterShapes(policy.config));
  return {
    model: { ...base, ...(adapter && { adapter }) },
    [Symbol.dispose]: () => adapter && disposeAdapter(adapter),
  };
}

/** What else a run with an adapter reads, for its inputs. */
export function baseOf({ adapter }: Model): { readonly "model.base"?: string } {
  return adapter ? { "model.base": adapter.base } : {};
}

/** `0.72 M weights`, or `0.24 M of 134.52 M weights`. */
export function describeSize(model: Model): string {
  const millions = (count: number) => `${(count / 1e6).toFixed(2)} M`;
  const all = parameterCount(model.config);
  if (!model.adapter) return `${millions(all)} weights`;
  const trained = [...trainedVariables(model).values()].reduce((sum, { size }) => sum + size, 0);
  return `${millions(trained)} weights of an adapter beside ${millions(all)}`;
}
