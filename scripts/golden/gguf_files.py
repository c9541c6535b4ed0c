"""GGUF files as llama.cpp's own Python package writes them, and what it reads from them.

    pip install -r scripts/golden/requirements.txt
    python scripts/golden/gguf_files.py

Needs test/golden/models, made by model.py. Writes test/golden/gguf/: types.gguf with a tensor of every
type and metadata of every kind, types.safetensors with those tensors dequantised, and <variant>.gguf,
models of test/golden/models laid out as convert_hf_to_gguf.py does.
"""

import json

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import GGUFValueType, GGUFWriter, TokenType
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize
from safetensors.numpy import load_file, save_file

from common import GOLDEN
from llamacpp import architecture_of, gguf_name, has_permuted_rows, interleave

OUT = GOLDEN / "gguf"
ROWS, COLUMNS = 3, 512

# Where a block of each type has its 16-bit scales.
SCALES = {
    Type.Q8_0: [0],
    Type.Q4_0: [0],
    Type.Q4_1: [0, 2],
    Type.Q5_0: [0],
    Type.Q5_1: [0, 2],
    Type.Q4_K: [0, 2],
    Type.Q6_K: [208],
}


def random_blocks(rng, kind):
    """Every pattern of bits that a block can have, but for scales that are not finite."""
    values, size = GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (ROWS * COLUMNS // values, size), dtype=np.uint8)
    for at in SCALES[kind]:
        scales = rng.normal(0, 0.05, len(blocks)).astype(np.float16)
        scales[:3] = [0, 2.0**-24, -65504]
        blocks[:, at : at + 2] = scales.view(np.uint8).reshape(-1, 2)
    return blocks.reshape(ROWS, -1)


def write(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_types():
    rng = np.random.default_rng(1)
    writer = GGUFWriter(OUT / "types.gguf", "llama")
    for name, value, kind in [
        ("u8", 200, GGUFValueType.UINT8),
        ("i8", -100, GGUFValueType.INT8),
        ("u16", 60_000, GGUFValueType.UINT16),
        ("i16", -30_000, GGUFValueType.INT16),
        ("u32", 4_000_000_000, GGUFValueType.UINT32),
        ("i32", -2_000_000_000, GGUFValueType.INT32),
        ("f32", 0.1, GGUFValueType.FLOAT32),
        ("bool", True, GGUFValueType.BOOL),
        ("string", "naïve 🙂", GGUFValueType.STRING),
        ("u64", 2**40, GGUFValueType.UINT64),
        ("i64", -(2**40), GGUFValueType.INT64),
        ("f64", 0.1, GGUFValueType.FLOAT64),
    ]:
        writer.add_key_value(f"test.{name}", value, kind)
    writer.add_array("test.strings", ["a", "", "ü"])
    writer.add_array("test.numbers", [3, -1, 2])
    expected = {}
    plain = rng.normal(0, 1, (ROWS, COLUMNS)).astype(np.float32)
    plain[0, :4] = [0, -0.0, 1e-40, 3e38]
    writer.add_tensor("F32", plain)
    expected["F32"] = plain
    writer.add_tensor("F16", plain[:, :64].clip(-6e4, 6e4).astype(np.float16))
    expected["F16"] = plain[:, :64].clip(-6e4, 6e4).astype(np.float16).astype(np.float32)
    upper = rng.integers(0, 0x7F80, (ROWS, 64), dtype=np.uint16)
    writer.add_tensor("BF16", upper.view(np.uint8), raw_dtype=Type.BF16)
    expected["BF16"] = dequantize(upper.view(np.uint8), Type.BF16)
    for kind in SCALES:
        blocks = random_blocks(rng, kind)
        writer.add_tensor(kind.name, blocks, raw_dtype=kind)
        expected[kind.name] = dequantize(blocks, kind)
    writer.add_tensor("Q2_K", np.zeros((1, GGML_QUANT_SIZES[Type.Q2_K][1]), np.uint8), raw_dtype=Type.Q2_K)
    write(writer)
    save_file(expected, OUT / "types.safetensors", {"format": "pt"})


def llama3_divisors(rope, head_dim):
    """As in LlamaModel.generate_extra_tensors of convert_hf_to_gguf.py."""
    divisors = []
    for i in range(0, head_dim, 2):
        wavelength = 2 * np.pi * rope["rope_theta"] ** (i / head_dim)
        original, low, high = (
            rope["original_max_position_embeddings"],
            rope["low_freq_factor"],
            rope["high_freq_factor"],
        )
        if wavelength < original / high:
            divisors.append(1)
        elif wavelength > original / low:
            divisors.append(rope["factor"])
        else:
            smooth = (original / wavelength - low) / (high - low)
            divisors.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    return np.array(divisors, np.float32)


def write_model(variant):
    source = GOLDEN / "models" / variant
    config = json.loads((source / "config.json").read_text())
    architecture = architecture_of(config)
    rope = config.get("rope_parameters") or {**(config["rope_scaling"] or {}), "rope_theta": config["rope_theta"]}
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    head_dim = config.get("head_dim") or config["hidden_size"] // heads
    writer = GGUFWriter(OUT / f"{variant}.gguf", architecture)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    if has_permuted_rows(architecture):  # those that LlamaModel of convert_hf_to_gguf.py converts
        writer.add_vocab_size(config["vocab_size"])
        writer.add_rope_dimension_count(head_dim)
    if has_permuted_rows(architecture) or "head_dim" in config:
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    kind = rope.get("rope_type") or rope.get("type")
    if kind == "linear":
        writer.add_string("llama.rope.scaling.type", "linear")
        writer.add_float32("llama.rope.scaling.factor", rope["factor"])
    if kind == "llama3":
        writer.add_tensor("rope_freqs.weight", llama3_divisors(rope, head_dim))
    tokens = ["<unk>", "<s>", "</s>"] + [f"t{i}" for i in range(3, config["vocab_size"])]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([float(-i) for i in range(len(tokens))])
    kinds = [TokenType.UNKNOWN, TokenType.CONTROL, TokenType.CONTROL]
    writer.add_token_types(kinds + [TokenType.NORMAL] * (len(tokens) - 3))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    for name, weights in load_file(source / "model.safetensors").items():
        if has_permuted_rows(architecture) and ("q_proj" in name or "k_proj" in name):
            weights = interleave(weights, heads if "q_proj" in name else kv_heads)
        writer.add_tensor(gguf_name(name, architecture), weights)
    write(writer)


OUT.mkdir(parents=True, exist_ok=True)
write_types()
for model in ["grouped-query", "linear-rope", "llama3-rope", "wide-heads", "qwen2", "qwen3", "mistral", "smollm3"]:
    write_model(model)
for path in sorted(OUT.iterdir()):
    print(f"{path.relative_to(GOLDEN)}: {path.stat().st_size:,} bytes")
