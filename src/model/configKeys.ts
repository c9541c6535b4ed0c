// Keys of config.json that would change what a LLaMA computes, or how its weights are stored, and that our LLaMA does not follow.
// transformers ignores many of them in a LLaMA, but a file has them because some tool does not.
// docs/models.md has every key with its reason; a test holds it against this list and against transformers.
import { quote, show } from "../errors.ts";

type Json = Readonly<Record<string, unknown>>;

/** Whether a value changes nothing, beside null, false, and lists and objects that are empty. */
type IsNeutral = (value: unknown, json: Json) => boolean;

const never: IsNeutral = () => false;
const is =
  (...values: readonly unknown[]): IsNeutral =>
  (value) =>
    values.includes(value);
const listOf =
  (element: unknown): IsNeutral =>
  (value) =>
    Array.isArray(value) && value.every((item) => item === element);

/** A window as long as all positions hides nothing. */
const isWideWindow: IsNeutral = (value, { max_position_embeddings: positions = 2048 }) =>
  typeof value === "number" && typeof positions === "number" && value >= positions;

export const otherKeys: Readonly<Record<string, IsNeutral>> = {
  // Of LLaMA itself
  attention_bias: never,
  mlp_bias: never,
  attention_dropout: is(0),
  partial_rotary_factor: is(1),
  is_causal: is(true),
  sliding_window: isWideWindow,
  layer_types: listOf("full_attention"),
  attention_chunk_size: isWideWindow,
  per_layer_config: never,
  kv_sharing_modes: never,
  pruned_heads: never,
  is_encoder_decoder: never,
  add_cross_attention: never,
  cross_attention_hidden_size: never,
  tie_encoder_decoder: never,
  // How weights are stored
  quantization_config: never,
  compression_config: never,
  quantization: never,
  // Of decoders that have the same weights
  use_bias: never,
  use_qk_norm: never,
  use_bidirectional_attention: never,
  use_sliding_window: never,
  no_rope_layers: listOf(1),
  no_rope_layer_interval: is(0),
  clip_qkv: never,
  logit_scale: is(1),
  logits_scaling: is(1),
  embedding_multiplier: is(1),
  residual_multiplier: is(1),
  attention_multiplier: never, // stands in place of 1 / sqrt(head_dim), so 1 is not LLaMA's
  // Of other relatives
  qk_norm: never,
  qk_layernorm: never,
  qkv_bias: never,
  use_qkv_bias: never,
  bias: never,
  attention_out_bias: never,
  lm_head_bias: never,
  attn_logit_softcapping: never,
  final_logit_softcapping: never,
  query_pre_attn_scalar: never,
  attn_temperature_tuning: never,
  attention_value_scale: is(1),
  lm_head_multiplier: is(1),
  key_multiplier: is(1),
  attention_in_multiplier: is(1),
  attention_out_multiplier: is(1),
  mlp_multipliers: listOf(1),
  scale_emb: is(1),
  scale_depth: never,
  dim_model_base: never,
  logits_mup_width_multiplier: is(1),
  mup_enabled: never,
  hidden_activation: is("silu", "swish"),
  activation_function: is("silu", "swish"),
  use_parallel_residual: never,
  parallel_attn: never,
  use_post_norm: never,
  alibi: never,
  position_embedding_type: is("rope", "rotary"),
  rotary_pct: is(1),
  rotary_dim: never,
  rope_interleave: never,
  rope_interleaved: never,
  rope_local_base_freq: never,
  use_logn_attn: never,
  use_dynamic_ntk: never,
  num_local_experts: is(0),
  num_experts: is(0),
  n_routed_experts: is(0),
  q_lora_rank: never,
  kv_lora_rank: never,
};

/** Keys of another way to store weights, for which there is something to do. */
const isStorage = (key: string) => /^(quantization|compression)/.test(key);

/** One line per key whose value would be ignored although it means something. */
export function describeActiveKeys(json: Json): string[] {
  return Object.entries(otherKeys).flatMap(([key, isNeutral]) => {
    const value = Object.hasOwn(json, key) ? json[key] : undefined;
    if (isEmpty(value) || isNeutral(value, json)) return [];
    const advice = isStorage(key)
      ? "the weights are stored in another way; take the model that it was made from"
      : "it changes what the model computes, which is not supported";
    return [`✖ ${quote(key)} is ${show(value)}: ${advice}`];
  });
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === false) return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}
