"""Does a model that comes in and goes out mean to this project what it means to transformers?

    pip install -r scripts/golden/requirements.txt
    python scripts/check_models.py

Run it in the project's folder; REFT may name another way to start `reft`, such as "npx tsx src/cli.ts". Makes a small random
LLaMA in every spelling of VARIANTS, and one model of each other family, and ends with 1 where one of these fails:

- `reft score` gives transformers' log-probabilities, in float32, within 1e-4
- `reft generate` gives transformers' greedy tokens up to the end token, which generation_config.json names
- after `reft import-model` and `reft export`, transformers loads the same weights, tokenizer, chat template and generation
  settings as from the source
"""

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    LlamaConfig,
    MistralConfig,
    Qwen2Config,
    Qwen3Config,
    SmolLM3Config,
    logging,
)

REFT = os.environ.get("REFT", "npx reft").split()
GOLDEN = Path(__file__).resolve().parents[1] / "test" / "golden"
TOLERANCE = 1e-4
NEW_TOKENS, ENDS_AFTER = 24, 6
EMBEDDING, OUTPUT = "model.embed_tokens.weight", "lm_head.weight"
LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}

SMOLLM3 = functools.partial(SmolLM3Config, pad_token_id=0)  # its own is beyond the small vocabulary

# What differs from an untied LLaMA without rotary scaling: keys of config.json (None takes one away), weights, the family.
VARIANTS = {
    "untied": ({}, None),
    "tied": ({"tie_word_embeddings": True}, "no output"),
    "tied, with an equal output matrix": ({"tie_word_embeddings": True}, "equal output"),
    "tied, with another output matrix": ({"tie_word_embeddings": True}, None),
    "tied, with the output matrix alone": ({"tie_word_embeddings": True}, "no embedding"),
    "linear, transformers 4, type": ({"rope_parameters": None, "rope_theta": 1e4, "rope_scaling": {"type": "linear", "factor": 4.0}}, None),
    "linear, transformers 4, rope_type": ({"rope_parameters": None, "rope_theta": 5e4, "rope_scaling": {"rope_type": "linear", "factor": 2.5}}, None),
    "linear, transformers 5": ({"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 5e5}}, None),
    "llama3, transformers 4": ({"rope_parameters": None, "rope_theta": 5e5, "rope_scaling": {"rope_type": "llama3", "original_max_position_embeddings": 64, **LLAMA3}}, None),
    "llama3, original positions beside it": ({"rope_parameters": None, "rope_theta": 5e5, "rope_scaling": {"rope_type": "llama3", **LLAMA3}, "original_max_position_embeddings": 64}, None),
    "llama3, without original positions": ({"rope_parameters": {"rope_type": "llama3", "rope_theta": 5e5, **LLAMA3}}, None),
    "no theta, swish, a wide window": ({"rope_parameters": None, "hidden_act": "swish", "sliding_window": 256}, None),
    "qwen2": ({}, None, Qwen2Config),
    "qwen2, a window in one layer": ({"use_sliding_window": True, "sliding_window": 20, "layer_types": ["sliding_attention", "full_attention"]}, None, Qwen2Config),
    "qwen3": ({}, None, Qwen3Config),
    "mistral, a window": ({"sliding_window": 20}, None, MistralConfig),
    "mistral, no window": ({"sliding_window": 256}, None, MistralConfig),
    "smollm3": ({"no_rope_layers": [0, 1]}, None, SMOLLM3),
    "smollm3, a window": ({"no_rope_layers": None, "no_rope_layer_interval": 2, "use_sliding_window": True, "sliding_window": 20, "layer_types": None}, None, SMOLLM3),
}


def reft(*arguments):
    subprocess.run([*REFT, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def write_source(folder, changes, weights, family=LlamaConfig):
    config = family(
        vocab_size=500, hidden_size=48, num_hidden_layers=2, intermediate_size=80, num_attention_heads=6,
        num_key_value_heads=2, max_position_embeddings=256, bos_token_id=1, eos_token_id=2,
    )
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, 1.0 if parameter.dim() == 1 else 0.0, 0.25)
    model.save_pretrained(folder)
    path = folder / "config.json"
    merged = {**json.loads(path.read_text()), "a_key_of_its_own": [1, 2], **changes}
    path.write_text(json.dumps({key: value for key, value in merged.items() if value is not None}))
    tensors = load_file(folder / "model.safetensors")
    if weights == "equal output":
        tensors[OUTPUT] = tensors[EMBEDDING].clone()
    elif weights is not None:
        tensors.pop(EMBEDDING if weights == "no embedding" else OUTPUT)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    golden = json.loads((GOLDEN / "tokenizers" / "trained.json").read_text())
    for name in ["tokenizerJson", "tokenizerConfig"]:
        file = {"tokenizerJson": "tokenizer.json", "tokenizerConfig": "tokenizer_config.json"}[name]
        (folder / file).write_text(json.dumps(golden[name]))
    (folder / "chat_template.jinja").write_text("{% for m in messages %}{{ m['content'] }}\n{% endfor %}")


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


@torch.no_grad()
def greedy(model, prompt, **options):
    tokens = torch.tensor([prompt])
    output = model.generate(tokens, attention_mask=torch.ones_like(tokens), do_sample=False, max_new_tokens=NEW_TOKENS, **options)
    return output[0, len(prompt):].tolist()


@torch.no_grad()
def logprobs_of(model, row):
    logits = model(torch.tensor([row])).logits[0, :-1]
    return torch.log_softmax(logits, dim=-1).gather(1, torch.tensor(row[1:])[:, None]).squeeze(1)


def lines_of(home, command, model, lines, *options):
    source, target = home / "in.jsonl", home / "out.jsonl"
    target.unlink(missing_ok=True)
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    reft(command, "--model", model, "--input", source, "--output", target, *options)
    return [json.loads(line) for line in target.read_text().splitlines()]


def until_end(tokens, ends):
    return tokens[: next((i for i, token in enumerate(tokens) if token in ends), None)]


def check(home, *variant):
    """Names of what failed."""
    source, imported, exported = home / "source", home / "imported", home / "exported"
    write_source(source, *variant)
    model = load(source)
    prompt = torch.randint(3, 500, (8,)).tolist()
    # The token that comes seventh becomes an end token beside EOS.
    free = greedy(model, prompt, eos_token_id=-1)
    ends = [2, free[ENDS_AFTER]]
    (source / "generation_config.json").write_text(json.dumps({"bos_token_id": 1, "eos_token_id": ends, "temperature": 0.6, "do_sample": True}))
    model = load(source)
    rows = torch.randint(0, 500, (4, 100)).tolist()
    pairs = [{"id": i, "promptTokens": row[:1], "completionTokens": row[1:]} for i, row in enumerate(rows)]
    scored = lines_of(home, "score", source, pairs)
    apart = max((torch.tensor(line["logprobs"]) - logprobs_of(model, row)).abs().max().item() for line, row in zip(scored, rows))
    [line] = lines_of(home, "generate", source, [{"id": 0, "promptTokens": prompt}], "--max-new-tokens", NEW_TOKENS)
    ours, theirs = line["responses"][0]["tokens"], greedy(model, prompt)
    reft("import-model", source, "--output", imported)
    reft("export", "--checkpoint", imported, "--output", exported)
    other = load(exported)
    both = [AutoTokenizer.from_pretrained(folder) for folder in (source, exported)]
    texts = ["Ann has 12 pens.\n", "naïve </s> 🙂"]
    chat = [{"role": "user", "content": "Hello"}]
    generations = [GenerationConfig.from_pretrained(folder).to_dict() for folder in (source, exported)]
    configs = [json.loads((folder / "config.json").read_text()) for folder in (source, exported)]
    weights_equal = all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), other.state_dict().values()))
    results = {
        f"log-probabilities ({apart:.1e} apart)": apart < TOLERANCE,
        "greedy tokens": until_end(ours, ends) == until_end(theirs, ends) and len(until_end(ours, ends)) <= ENDS_AFTER,
        "weights after the round trip": weights_equal,
        "log-probabilities after the round trip": torch.equal(logprobs_of(model, rows[0]), logprobs_of(other, rows[0])),
        "tokenizer": all(both[0](text).input_ids == both[1](text).input_ids for text in texts),
        "chat template": both[0].apply_chat_template(chat, tokenize=False) == both[1].apply_chat_template(chat, tokenize=False),
        "generation settings": generations[0] == generations[1],
        "keys of its own": configs[0]["a_key_of_its_own"] == configs[1]["a_key_of_its_own"],
    }
    return [name for name, passed in results.items() if not passed], apart


def main():
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    failures = 0
    for name, variant in VARIANTS.items():
        home = Path(tempfile.mkdtemp())
        try:
            failed, apart = check(home, *variant)
        except subprocess.CalledProcessError as error:
            failed, apart = [error.stderr.decode().strip().splitlines()[-1]], float("nan")
        finally:
            shutil.rmtree(home)
        failures += len(failed)
        print(f"{'FAIL' if failed else 'ok  '} {name}: {'; '.join(failed) or f'{apart:.1e} apart'}", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
