// The settings of the rotary embedding in config.json, in the spellings of transformers 4 and 5.
// Reference: transformers 5.23, modeling_rope_utils.py, `RotaryEmbeddingConfigMixin`.
import { z } from "zod";
import { quote, show, UserError } from "../errors.ts";

export interface LinearRopeScaling {
  readonly type: "linear";
  readonly factor: number;
}

/** LLaMA 3.1's scaling: long wavelengths are stretched, short ones kept, a ramp between. */
export interface Llama3RopeScaling {
  readonly type: "llama3";
  readonly factor: number;
  readonly lowFreqFactor: number;
  readonly highFreqFactor: number;
  readonly originalMaxPositions: number;
}

export type RopeScaling = LinearRopeScaling | Llama3RopeScaling;

export interface Rope {
  readonly ropeTheta: number;
  /** Null for none. */
  readonly ropeScaling: RopeScaling | null;
}

const size = z.int().positive();
const factor = z.number().positive();

/** One name of the scaling's type in old files, another in new ones. */
const ropeSchema = z
  .looseObject({
    rope_type: z.string().optional(),
    type: z.string().optional(),
    rope_theta: factor.optional(),
    factor: factor.optional(),
    low_freq_factor: factor.optional(),
    high_freq_factor: factor.optional(),
    original_max_position_embeddings: size.optional(),
    partial_rotary_factor: z.literal(1).nullish(),
  })
  .nullish();

/** What of config.json belongs to them. */
export const ropeKeys = {
  rope_theta: factor.nullish(),
  rope_scaling: ropeSchema,
  rope_parameters: ropeSchema,
  original_max_position_embeddings: size.nullish(),
  max_position_embeddings: size.default(2048),
};

const settingsSchema = z.object(ropeKeys);
type RopeSettings = z.infer<typeof settingsSchema>;
type HuggingFaceRope = NonNullable<z.infer<typeof ropeSchema>>;

/**
 * transformers 5 has both in `rope_parameters`, 4 has `rope_theta` and `rope_scaling`. Where a file has both spellings, they must
 * agree, because tools differ in which they prefer.
 *
 * @param usualTheta where there is none
 */
export function readRope(json: RopeSettings, path: string, usualTheta: number): Rope {
  const { rope_theta: theta4, rope_scaling: scaling4, rope_parameters: rope5 } = json;
  const thetas = [
    ["rope_theta", theta4],
    ["rope_scaling.rope_theta", scaling4?.rope_theta],
    ["rope_parameters.rope_theta", rope5?.rope_theta],
  ] as const;
  const [first, ...others] = thetas.filter(([, theta]) => theta != null);
  for (const [name, theta] of others) {
    if (theta !== first![1]) throw disagreement(path, first![0], first![1], name, theta);
  }
  if (scaling4?.factor !== undefined && first?.[0] === "rope_parameters.rope_theta") {
    throw new UserError(
      `${path}: rope_scaling stands beside rope_parameters, but without rope_theta, so that tools differ in what they read; ` +
        "keep one of the two spellings, with its rope_theta",
    );
  }
  const at4 = scaling4 ? readScaling(scaling4, json, `${path}: rope_scaling`) : undefined;
  const at5 = rope5 ? readScaling(rope5, json, `${path}: rope_parameters`) : undefined;
  if (at4 !== undefined && at5 !== undefined && JSON.stringify(at4) !== JSON.stringify(at5)) {
    throw disagreement(path, "rope_scaling", at4, "rope_parameters", at5);
  }
  return { ropeTheta: first?.[1] ?? usualTheta, ropeScaling: at5 ?? at4 ?? null };
}

function disagreement(path: string, a: string, atA: unknown, b: string, atB: unknown): UserError {
  const [first, second] = [JSON.stringify(atA), JSON.stringify(atB)];
  return new UserError(`${path}: ${a} says ${first}, but ${b} says ${second}; keep one`);
}

function readScaling(rope: HuggingFaceRope, json: RopeSettings, where: string): RopeScaling | null {
  const { rope_type: name5, type: name4 } = rope;
  if (name4 !== undefined && name5 !== undefined && name4 !== name5) {
    throw disagreement(where, "rope_type", name5, "type", name4);
  }
  const type = name5 ?? name4 ?? "default";
  const need = (name: keyof HuggingFaceRope): number => {
    const value = rope[name];
    if (typeof value === "number") return value;
    throw new UserError(`${where}: "${type}" needs "${name}", a number; it is missing`);
  };
  const nested = Object.keys(rope).find((key) => typeof (rope[key] ?? 0) === "object");
  if (nested !== undefined) {
    throw new UserError(
      `${where}: ${quote(nested)} has settings of its own, which are not supported`,
    );
  }
  if (type === "default") {
    if (rope.factor === undefined || rope.factor === 1) return null;
    throw new UserError(`${where}: has a "factor" without a "rope_type" that uses it`);
  }
  if (type === "linear") return { type, factor: need("factor") };
  if (type === "llama3") {
    return {
      type,
      factor: need("factor"),
      lowFreqFactor: need("low_freq_factor"),
      highFreqFactor: need("high_freq_factor"),
      originalMaxPositions: originalPositions(rope, json, where),
    };
  }
  throw new UserError(`${where}: supported are default, linear and llama3, found ${show(type)}`);
}

/** transformers 5 takes the number beside the rotary settings before that among them, and all positions where there is none. */
function originalPositions(rope: HuggingFaceRope, json: RopeSettings, where: string): number {
  const key = "original_max_position_embeddings";
  const [inside, beside] = [rope[key], json[key]];
  if (inside !== undefined && beside != null && inside !== beside) {
    throw disagreement(where, key, inside, `${key} beside it`, beside);
  }
  return beside ?? inside ?? json.max_position_embeddings;
}

/** As `rope_scaling` has it, and `rope_parameters` beside its theta. */
export function writeScaling(scaling: RopeScaling): Record<string, unknown> {
  if (scaling.type === "linear") return { rope_type: "linear", factor: scaling.factor };
  return {
    rope_type: "llama3",
    factor: scaling.factor,
    low_freq_factor: scaling.lowFreqFactor,
    high_freq_factor: scaling.highFreqFactor,
    original_max_position_embeddings: scaling.originalMaxPositions,
  };
}
