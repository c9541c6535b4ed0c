// Attention within a sliding window, and the keys of config.json that say where there is one.
// Reference: transformers 5.23, masking_utils.py, `sliding_window_overlay`, and the configurations of Mistral, Qwen and SmolLM3.
import { z } from "zod";
import { UserError } from "../errors.ts";
import { noRopeInSomeLayers } from "./noRope.ts";

/** In some layers a token sees itself and the `size - 1` tokens before it, counted by their positions in the sequence. */
export interface SlidingWindow {
  readonly size: number;
  /** Numbers of these layers, ascending. */
  readonly layers: readonly number[];
}

/** How many tokens those of a layer see, themselves included; null for all that come before. */
export function windowOf(window: SlidingWindow | null, layer: number): number | null {
  return window?.layers.includes(layer) ? window.size : null;
}

/** The keys of config.json by which a family says where its window is. */
export interface WindowKeys {
  readonly schema: z.ZodRawShape;
  /** @throws UserError when keys contradict each other */
  readonly read: (json: unknown, layers: number, path: string) => SlidingWindow | null;
  readonly write: (window: SlidingWindow | null, layers: number) => Record<string, unknown>;
}

const size = z.int().positive().nullish();

export const noWindow: WindowKeys = { schema: {}, read: () => null, write: () => ({}) };

const everyLayerSchema = { sliding_window: size };

export const windowInEveryLayer: WindowKeys = {
  schema: everyLayerSchema,
  read(json, layers) {
    const { sliding_window: size } = z.object(everyLayerSchema).parse(json);
    return size == null ? null : { size, layers: [...Array(layers).keys()] };
  },
  write: (window) => ({ sliding_window: window?.size ?? null }),
};

const [full, sliding] = ["full_attention", "sliding_attention"] as const;
const someLayersSchema = {
  use_sliding_window: z.boolean().default(false),
  sliding_window: size,
  layer_types: z.array(z.enum([full, sliding])).nullish(),
};

/** @param usualLayers those with the window where layer_types is not there */
const windowInSomeLayers = (
  usualLayers: (json: unknown, layers: number, path: string) => readonly number[],
): WindowKeys => ({
  schema: someLayersSchema,
  read(json, layers, path) {
    const given = z.object(someLayersSchema).parse(json);
    const size = given.use_sliding_window ? given.sliding_window : null;
    const usual = size == null ? [] : usualLayers(json, layers, path);
    const types =
      given.layer_types ??
      Array.from({ length: layers }, (_, layer) => (usual.includes(layer) ? sliding : full));
    if (types.length !== layers) {
      throw new UserError(
        `${path}: layer_types has ${types.length} entries, expected one for each of num_hidden_layers ${layers}`,
      );
    }
    const within = types.flatMap((type, layer) => (type === sliding ? [layer] : []));
    if (within.length === 0) return null;
    if (size != null) return { size, layers: within };
    throw new UserError(
      `${path}: layer_types has layers with ${sliding}, but no window is used: expected a sliding_window, and use_sliding_window true`,
    );
  },
  write: (window, layers) => ({
    use_sliding_window: window !== null,
    sliding_window: window?.size ?? null,
    layer_types: Array.from({ length: layers }, (_, layer) =>
      windowOf(window, layer) === null ? full : sliding,
    ),
  }),
});

const lastLayersSchema = { max_window_layers: z.int().nonnegative().default(28) };
const byLayer = windowInSomeLayers((json, layers) => {
  const first = z.object(lastLayersSchema).parse(json).max_window_layers;
  return [...Array(layers).keys()].slice(first);
});

export const windowInLastLayers: WindowKeys = {
  schema: { ...byLayer.schema, ...lastLayersSchema },
  read: byLayer.read,
  write: (window, layers) => ({
    ...byLayer.write(window, layers),
    max_window_layers: window?.layers[0] ?? layers,
  }),
};

export const windowWithoutRope = windowInSomeLayers(noRopeInSomeLayers.read);
