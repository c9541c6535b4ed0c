"""Tiny random LLaMAs and relatives, and what transformers computes with them in float32.

    python -m venv .venv-golden && .venv-golden/bin/pip install -r scripts/golden/requirements.txt
    .venv-golden/bin/python scripts/golden/model.py

Writes test/golden/models/<variant>/: config.json and weights, made by save_pretrained, and
golden.safetensors; test/golden/README.md describes its tensors. Every row is computed alone and
without padding, so that batching and padding cannot hide in the expected values.
"""

import json
import shutil

import torch
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    MistralConfig,
    Qwen2Config,
    Qwen3Config,
    SmolLM3Config,
)

from common import GOLDEN, deterministic, right_pad, save

LENGTHS = [17, 9, 24, 2]
PROMPT_LENGTHS = [1, 5, 12]
NEW_TOKENS = 64
# A greedy choice must be clear of float32 noise, or two correct engines may differ.
SMALLEST_MARGIN = 1e-3

DEFAULT_ROPE = {"rope_type": "default", "rope_theta": 10_000.0}
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}

# "spelling": the rotary settings in config.json as transformers 4 or 5 writes them. "keys": more of config.json.
VARIANTS = {
    "multi-head": {
        "shape": dict(vocab_size=67, hidden_size=32, num_hidden_layers=2, intermediate_size=64,
                      num_attention_heads=4, num_key_value_heads=4),
        "rope": DEFAULT_ROPE, "tied": False, "spelling": 4,
    },
    "grouped-query": {
        "shape": dict(vocab_size=80, hidden_size=48, num_hidden_layers=2, intermediate_size=80,
                      num_attention_heads=6, num_key_value_heads=2),
        "rope": {**DEFAULT_ROPE, "rope_theta": 1e6}, "tied": True, "spelling": 5,
    },
    "linear-rope": {
        "shape": dict(vocab_size=61, hidden_size=32, num_hidden_layers=2, intermediate_size=48,
                      num_attention_heads=4, num_key_value_heads=1),
        "rope": {**DEFAULT_ROPE, "rope_type": "linear", "factor": 4.0}, "tied": False,
        "spelling": 4,
    },
    "llama3-rope": {
        "shape": dict(vocab_size=73, hidden_size=32, num_hidden_layers=3, intermediate_size=48,
                      num_attention_heads=2, num_key_value_heads=1),
        "rope": LLAMA3_ROPE, "tied": True, "spelling": 5,
    },
    "wide-heads": {  # head_dim is not hidden_size / num_attention_heads
        "shape": dict(vocab_size=101, hidden_size=32, num_hidden_layers=2, intermediate_size=56,
                      num_attention_heads=2, num_key_value_heads=2, head_dim=24),
        "rope": {**DEFAULT_ROPE, "rope_theta": 1e6}, "tied": False, "spelling": 5,
    },
    "sharded-bf16": {
        "shape": dict(vocab_size=67, hidden_size=32, num_hidden_layers=3, intermediate_size=64,
                      num_attention_heads=4, num_key_value_heads=2),
        "rope": DEFAULT_ROPE, "tied": False, "spelling": 5,
        "dtype": torch.bfloat16, "max_shard_size": "20KB",
    },
    "sharded-f16": {
        "shape": dict(vocab_size=95, hidden_size=32, num_hidden_layers=2, intermediate_size=64,
                      num_attention_heads=4, num_key_value_heads=4),
        "rope": {**DEFAULT_ROPE, "rope_theta": 1e6}, "tied": True, "spelling": 4,
        "dtype": torch.float16, "max_shard_size": "20KB",
    },
    "qwen2": {  # with a window that is not used, as in published files
        "config": Qwen2Config,
        "shape": dict(vocab_size=83, hidden_size=48, num_hidden_layers=2, intermediate_size=64,
                      num_attention_heads=6, num_key_value_heads=2),
        "rope": {**DEFAULT_ROPE, "rope_theta": 1e6}, "tied": True, "spelling": 4,
        "keys": {"use_sliding_window": False, "sliding_window": 8, "max_window_layers": 1},
    },
    "qwen3": {
        "config": Qwen3Config,
        "shape": dict(vocab_size=71, hidden_size=32, num_hidden_layers=2, intermediate_size=48,
                      num_attention_heads=4, num_key_value_heads=2, head_dim=12),
        "rope": {**DEFAULT_ROPE, "rope_theta": 1e6}, "tied": False, "spelling": 5,
    },
    "mistral": {  # with a window shorter than the rows
        "config": MistralConfig,
        "shape": dict(vocab_size=77, hidden_size=32, num_hidden_layers=2, intermediate_size=48,
                      num_attention_heads=4, num_key_value_heads=2, sliding_window=5),
        "rope": DEFAULT_ROPE, "tied": False, "spelling": 4,
    },
    "qwen2-window": {  # with a window in its last layer alone
        "config": Qwen2Config,
        "shape": dict(vocab_size=59, hidden_size=32, num_hidden_layers=3, intermediate_size=48,
                      num_attention_heads=4, num_key_value_heads=4, use_sliding_window=True,
                      sliding_window=6, max_window_layers=2),
        "rope": {**DEFAULT_ROPE, "rope_theta": 1e6}, "tied": False, "spelling": 5,
    },
    "smollm3": {  # without rotation in its last layer
        "config": SmolLM3Config,
        "shape": dict(vocab_size=65, hidden_size=32, num_hidden_layers=4, intermediate_size=48,
                      num_attention_heads=4, num_key_value_heads=2, pad_token_id=None),
        "rope": {**DEFAULT_ROPE, "rope_theta": 5e6}, "tied": True, "spelling": 4,
    },
    "smollm3-window": {  # without rotation in its second layer, and with a window there
        "config": SmolLM3Config,
        "shape": dict(vocab_size=69, hidden_size=32, num_hidden_layers=3, intermediate_size=48,
                      num_attention_heads=4, num_key_value_heads=4, pad_token_id=None,
                      no_rope_layer_interval=2, use_sliding_window=True, sliding_window=6),
        "rope": {**DEFAULT_ROPE, "rope_theta": 1e6}, "tied": False, "spelling": 5,
    },
}


def random_model(variant):
    config = variant.get("config", LlamaConfig)(
        **variant["shape"],
        rope_parameters=dict(variant["rope"]),
        tie_word_embeddings=variant["tied"],
        max_position_embeddings=256,
        rms_norm_eps=1e-5,
        bos_token_id=1,
        eos_token_id=2,
    )
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.normal_(1.0, 0.2)
            else:
                parameter.normal_(0.0, 0.25)
    return model.to(variant.get("dtype", torch.float32))


def spell_like_transformers_4(path):
    """Also leaves out what old files leave out: head_dim, and the key heads of multi-head attention."""
    config = json.loads(path.read_text())
    rope = config.pop("rope_parameters")
    kind = rope.pop("rope_type")
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = None if kind == "default" else {"type": kind, **rope}
    config["torch_dtype"] = config.pop("dtype")
    config["transformers_version"] = "4.34.1"
    config.pop("head_dim", None)
    config.pop("layer_types", None)
    if config["num_key_value_heads"] == config["num_attention_heads"]:
        del config["num_key_value_heads"]
    path.write_text(json.dumps(config, indent=2) + "\n")


def save_model(folder, variant):
    shutil.rmtree(folder, ignore_errors=True)
    random_model(variant).save_pretrained(
        folder, max_shard_size=variant.get("max_shard_size", "1GB")
    )
    (folder / "generation_config.json").unlink()
    path = folder / "config.json"
    if variant["spelling"] == 4:
        spell_like_transformers_4(path)
    if "keys" in variant:
        path.write_text(json.dumps({**json.loads(path.read_text()), **variant["keys"]}, indent=2) + "\n")


def load_model(folder):
    return AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()


def row_logprobs(logits, tokens):
    """log p(tokens[t + 1] | tokens[..t]), one fewer than tokens."""
    logprobs = torch.log_softmax(logits[:-1], dim=-1)
    return logprobs.gather(1, tokens[1:, None]).squeeze(1)


def greedy(model, prompt):
    """The most likely next token, 64 times, without a cache; EOS is a token like others."""
    tokens, logprobs, margin = prompt.clone(), [], float("inf")
    for _ in range(NEW_TOKENS):
        distribution = torch.log_softmax(model(tokens[None]).logits[0, -1], dim=-1)
        best = distribution.topk(2)
        margin = min(margin, (best.values[0] - best.values[1]).item())
        logprobs.append(best.values[0])
        tokens = torch.cat([tokens, best.indices[:1]])
    return tokens[len(prompt):], torch.stack(logprobs), margin


def clear_prompt(model, length):
    """A random prompt whose greedy continuation has no near tie."""
    while True:
        prompt = torch.randint(3, model.config.vocab_size, (length,))
        continuation, logprobs, margin = greedy(model, prompt)
        if margin >= SMALLEST_MARGIN:
            return prompt, continuation, logprobs


def expectations(model):
    vocab_size = model.config.vocab_size
    rows = [torch.randint(0, vocab_size, (length,)) for length in LENGTHS]
    weights = [torch.randn(length - 1) for length in LENGTHS]
    logits = [model(row[None]).logits[0] for row in rows]
    logprobs = [row_logprobs(row_logits, row) for row_logits, row in zip(logits, rows)]
    weighted_sum = sum((lp * w).sum() for lp, w in zip(logprobs, weights))
    result = {
        "tokens": right_pad(rows),
        "lengths": torch.tensor(LENGTHS),
        "logits": right_pad(logits),
        "logprobs": right_pad(logprobs),
        "meanLoss": -torch.cat(logprobs).mean(),
        "weights": right_pad(weights),
        "weightedSum": weighted_sum,
        "inverseFrequencies": model.model.rotary_emb.inv_freq,
    }
    weighted_sum.backward()
    for name, parameter in model.named_parameters():  # tied weights are listed once
        result[f"grad.{name}"] = parameter.grad
    with torch.no_grad():
        prompts, continuations, greedy_logprobs = zip(
            *(clear_prompt(model, length) for length in PROMPT_LENGTHS)
        )
    result["promptTokens"] = right_pad(prompts)
    result["promptLengths"] = torch.tensor(PROMPT_LENGTHS)
    result["greedyTokens"] = torch.stack(continuations)
    result["greedyLogprobs"] = torch.stack(greedy_logprobs)
    return result


def main():
    for seed, (name, variant) in enumerate(VARIANTS.items()):
        deterministic(seed)
        folder = GOLDEN / "models" / name
        save_model(folder, variant)
        model = load_model(folder)
        save(folder / "golden.safetensors", expectations(model))


if __name__ == "__main__":
    main()
