"""What transformers computes with SmolLM2-135M-Instruct, and the tokens that Rust's tokenizers find.

    pip install -r scripts/golden/requirements.txt
    python scripts/golden/smollm2.py SmolLM2-135M-Instruct.Q4_1.gguf DATA

The weights are dequantised by llama.cpp's Python package, the tokenizer is put together here: neither
comes from this project. DATA is a folder with svamp/ and gsm8k/; nothing of it is written, only a hash
and counts. Writes test/golden/smollm2/.
"""

import hashlib
import json
import sys
from pathlib import Path

import torch
from gguf import GGUFReader
from gguf.quants import dequantize
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM

from common import GOLDEN, deterministic, real_texts, right_pad, save
from llamacpp import gguf_name, into_halves

OUT = GOLDEN / "smollm2"
EDGES = [
    "",
    "   leading and trailing   ",
    "a\tb\r\nc\n\n\nd",
    "don't we'll I'M he'd , . ! ?",
    "1,234.50 + 0.5 = 1235; 48/2=24, 100%",
    "1½ cups, 5² m, ٣ ₂ Ⅷ",
    "naïve café ’quoted’ “text” — €5",
    "日本語 🙂👩‍👩‍👧 z̀",
    "def solution():\n    a = 12\n    return a * 3.5",
    "before <|im_end|> after <|endoftext|><|im_start|>",
    "\u0000\u0007\u00a0x\u2028y",
]
PROMPTS = [
    "The capital of France is",
    "Question:\nTom has 12 apples and buys 7 more. How many apples does he have?\nAnswer reasoning:\n",
    'def solution():\n    """Ann reads 25 pages a day. How many pages does she read in 4 days?"""\n    pages',
    "<|im_start|>user\nWhat is gravity?<|im_end|>\n<|im_start|>assistant\n",
]
NEW_TOKENS = 32
EVERY = 64  # so many logits are passed over between two that are kept
# A greedy choice must be clear of float32 noise, or two correct engines may differ.
SMALLEST_MARGIN = 1e-3


def read_tokenizer(fields):
    read = {name: fields[f"tokenizer.ggml.{name}"].contents() for name in ["tokens", "merges", "token_type"]}
    vocab = {token: index for index, token in enumerate(read["tokens"])}
    tokenizer = Tokenizer(models.BPE(vocab, [tuple(merge.split(" ")) for merge in read["merges"]]))
    digits = pre_tokenizers.Digits(individual_digits=True)
    words = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, words])
    tokenizer.decoder = decoders.ByteLevel()
    special = [token for token, kind in zip(read["tokens"], read["token_type"]) if kind == 3]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in special])
    return tokenizer


def read_model(reader):
    field = lambda name: reader.fields[f"llama.{name}"].contents()  # noqa: E731
    config = LlamaConfig(
        vocab_size=field("vocab_size"),
        hidden_size=field("embedding_length"),
        num_hidden_layers=field("block_count"),
        intermediate_size=field("feed_forward_length"),
        num_attention_heads=field("attention.head_count"),
        num_key_value_heads=field("attention.head_count_kv"),
        max_position_embeddings=field("context_length"),
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": field("rope.freq_base")},
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        attn_implementation="eager",
    )
    model = LlamaForCausalLM(config).eval()
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    state = {}
    for name in model.state_dict():
        if name == "lm_head.weight":
            continue
        tensor = tensors[gguf_name(name)]
        weights = dequantize(tensor.data, tensor.tensor_type)
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
        for part, count in heads.items():
            weights = into_halves(weights, count) if part in name else weights
        state[name] = torch.from_numpy(weights.copy())
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert missing == ["lm_head.weight"] and not unexpected, (missing, unexpected)
    model.tie_weights()
    return model


def greedy(model, tokens):
    written, cache, rest = [], None, tokens
    while len(written) < NEW_TOKENS:
        result = model(torch.tensor([rest]), past_key_values=cache, use_cache=True)
        best = result.logits[0, -1].topk(2)
        if best.values[0] - best.values[1] < SMALLEST_MARGIN:
            break
        cache, rest = result.past_key_values, best.indices[:1].tolist()
        written += rest
    return written


def model_golden(reader, tokenizer):
    model = read_model(reader)
    rows = [tokenizer.encode(prompt).ids for prompt in PROMPTS]
    logits, logprobs, continuations = [], [], []
    for row in rows:
        found = model(torch.tensor([row])).logits[0]
        logits.append(found[:, ::EVERY])
        scores = found.log_softmax(-1)[:-1]
        logprobs.append(scores.gather(1, torch.tensor(row[1:])[:, None])[:, 0])
        continuations.append(greedy(model, row))
        print(repr(tokenizer.decode(continuations[-1])))
    print("mean loss", [-round(scores.mean().item(), 3) for scores in logprobs])
    return {
        "tokens": right_pad(rows),
        "lengths": torch.tensor([len(row) for row in rows]),
        "logits": right_pad(logits, 0.0),
        "logprobs": right_pad(logprobs, 0.0),
        "greedyTokens": right_pad(continuations),
        "greedyLengths": torch.tensor([len(row) for row in continuations]),
    }


def tokenizer_golden(tokenizer, data):
    tokenizer.encode_special_tokens = True  # control tokens in a text are ordinary text
    digest = hashlib.sha256()
    texts = tokens = 0
    for text in real_texts(data):
        ids = tokenizer.encode(text).ids
        assert tokenizer.decode(ids) == text, text
        digest.update((",".join(map(str, ids)) + "\n").encode())
        texts, tokens = texts + 1, tokens + len(ids)
    edges = [{"text": text, "ids": tokenizer.encode(text).ids} for text in EDGES]
    return {"texts": texts, "tokens": tokens, "sha256": digest.hexdigest(), "edges": edges}


deterministic(1)
torch.set_num_threads(2)
torch.set_grad_enabled(False)
reader = GGUFReader(sys.argv[1])
tokenizer = read_tokenizer(reader.fields)
save(OUT / "golden.safetensors", model_golden(reader, tokenizer))
path = OUT / "tokenizer.json"
path.write_text(json.dumps(tokenizer_golden(tokenizer, Path(sys.argv[2])), ensure_ascii=False) + "\n", "utf8")
