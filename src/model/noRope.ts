// Layers whose queries and keys are not rotated (NoPE), and the keys of config.json that say which these are.
// Reference: transformers 5.23, configuration_smollm3.py; Yang et al., arXiv 2501.18795.
import { z } from "zod";
import { UserError } from "../errors.ts";

/** The keys of config.json by which a family says which layers do not rotate. */
export interface NoRopeKeys {
  readonly schema: z.ZodRawShape;
  /**
   * @returns numbers of these layers, ascending
   * @throws UserError where layers are missing
   */
  readonly read: (json: unknown, layers: number, path: string) => readonly number[];
  readonly write: (noRopeLayers: readonly number[], layers: number) => Record<string, unknown>;
}

export const ropeInEveryLayer: NoRopeKeys = { schema: {}, read: () => [], write: () => ({}) };

const schema = {
  no_rope_layers: z.array(z.literal([0, 1])).nullish(), // 0 where there is no rotation
  no_rope_layer_interval: z.int().positive().default(4),
};

export const noRopeInSomeLayers: NoRopeKeys = {
  schema,
  read(json, layers, path) {
    const { no_rope_layers: given, no_rope_layer_interval: interval } = z
      .object(schema)
      .parse(json);
    if (given && given.length < layers) {
      throw new UserError(
        `${path}: no_rope_layers has ${given.length} entries, expected one for each of num_hidden_layers ${layers}`,
      );
    }
    return given
      ? [...Array(layers).keys()].filter((layer) => given[layer] === 0)
      : everyNthLayer(interval, layers);
  },
  write: (noRopeLayers, layers) => ({
    no_rope_layers: Array.from({ length: layers }, (_, layer) =>
      noRopeLayers.includes(layer) ? 0 : 1,
    ),
  }),
};

/** The last of each so many layers. */
export function everyNthLayer(interval: number, layers: number): number[] {
  return [...Array(layers).keys()].filter((layer) => (layer + 1) % interval === 0);
}
