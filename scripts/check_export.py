"""Does transformers compute with an export what this project computes with the checkpoint?

    pip install -r scripts/golden/requirements.txt
    npx reft export --checkpoint CHECKPOINT --output EXPORT
    python scripts/check_export.py CHECKPOINT EXPORT

CHECKPOINT is a checkpoint's folder, such as runs/tiny-reft/checkpoints/step-000120, of a language model
or of a classifier. Run it in the project's folder. Prints differences and ends with 1 where one is too large:

- the export's weights, and the checkpoint's as PyTorch rounds them to the export's type: equal
- with the checkpoint's weights and with the export's, what transformers and this project compute, both in
  float32: log-probabilities of random tokens, or a classifier's logits of padded sequences. So the limit
  holds in bf16 and f16, too: both sides have the same rounded weights
- greedy answers of a language model: equal

The last lines say what rounding changes, and computing in the export's own type; for these no limit fits
every model.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

TOLERANCE = 1e-4  # of two engines in float32
SEQUENCES, LENGTH, NEW_TOKENS = 16, 64, 64
QUESTIONS = [
    "Ann has 3 boxes of 12 pens and gives 5 away. How many are left?",
    "A train goes 60 km in one hour. How far does it go in 4 hours?",
    "Tom had 17 apples, ate 4 and bought 9. How many does he have now?",
    "5 friends share 35 sweets. How many does each of them get?",
]


def ours(command, model, lines, *options):
    """What a command of this project answers, one value per line."""
    with tempfile.TemporaryDirectory() as home:
        source, target = Path(home, "in.jsonl"), Path(home, "out.jsonl")
        source.write_text("".join(json.dumps(line) + "\n" for line in lines))
        subprocess.run(
            ["npx", *command, "--model", model, "--input", source, "--output", target, *options],
            check=True,
            stderr=subprocess.DEVNULL,
        )
        return [json.loads(line) for line in target.read_text().splitlines()]


def draw_rows(config, is_classifier):
    """Random tokens; those for a classifier are of all lengths and end as answers do."""
    rows = torch.randint(config.vocab_size, (SEQUENCES, LENGTH)).tolist()
    if not is_classifier:
        return rows
    end = config.eos_token_id
    end = end[0] if isinstance(end, list) else end
    return [row[: (i + 1) * LENGTH // SEQUENCES - 1] + [end] for i, row in enumerate(rows)]


def our_logprobs(folder, rows):
    pairs = [
        {"id": i, "promptTokens": row[:1], "completionTokens": row[1:]} for i, row in enumerate(rows)
    ]
    return torch.tensor([line["logprobs"] for line in ours(["reft", "score"], folder, pairs)])


@torch.no_grad()
def their_logprobs(model, rows):
    tokens = torch.tensor(rows)
    logprobs = torch.log_softmax(model(tokens).logits.float()[:, :-1], dim=-1)
    return logprobs.gather(2, tokens[:, 1:, None]).squeeze(2)


def our_logits(folder, rows):
    lines = ours(["tsx", "scripts/class-logits.ts"], folder, [{"tokens": row} for row in rows])
    return torch.tensor([line["logits"] for line in lines])


@torch.no_grad()
def their_logits(model, rows):
    """One padded batch, as a user of transformers would give it."""
    tokens = torch.full((len(rows), max(map(len, rows))), model.config.pad_token_id)
    mask = torch.zeros_like(tokens)
    for i, row in enumerate(rows):
        tokens[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = 1
    return model(input_ids=tokens, attention_mask=mask).logits.float()


def until_eos(tokens, model):
    ends = model.generation_config.eos_token_id
    ends = ends if isinstance(ends, list) else [ends]
    return tokens[: next((i for i, token in enumerate(tokens) if token in ends), None)]


def greedy_answers(export, model):
    """How many greedy answers are the same, token for token."""
    tokenizer = AutoTokenizer.from_pretrained(export)
    prompts = [f"Question:\n{question}\nAnswer reasoning:\n" for question in QUESTIONS]
    lines = [{"id": i, "prompt": prompt} for i, prompt in enumerate(prompts)]
    options = ["--temperature", "0", "--max-new-tokens", str(NEW_TOKENS)]
    same = 0
    for prompt, line in zip(prompts, ours(["reft", "generate"], export, lines, *options)):
        tokens = tokenizer(prompt, add_special_tokens=False, return_tensors="pt").input_ids
        output = model.generate(
            tokens,
            attention_mask=torch.ones_like(tokens),
            do_sample=False,
            max_new_tokens=NEW_TOKENS,
        )
        theirs = until_eos(output[0, tokens.shape[1] :].tolist(), model)
        same += theirs == until_eos(line["responses"][0]["tokens"], model)
    return same


def main(checkpoint, export):
    torch.manual_seed(0)
    config = AutoConfig.from_pretrained(export)
    is_classifier = config.architectures == ["LlamaForSequenceClassification"]
    if is_classifier:
        kind, what, here, there = AutoModelForSequenceClassification, "logits", our_logits, their_logits
    else:
        kind, what, here, there = AutoModelForCausalLM, "log-probabilities", our_logprobs, their_logprobs

    def load(folder, dtype):
        return kind.from_pretrained(folder, dtype=dtype, attn_implementation="eager").eval()

    failures = 0

    def report(text, passed):
        nonlocal failures
        failures += not passed
        print(f"{'ok  ' if passed else 'FAIL'} {text}")

    trained, exported, own = load(checkpoint, torch.float32), load(export, torch.float32), load(export, "auto")
    weights = trained.state_dict()
    equal = all(torch.equal(w, weights[name].to(own.dtype)) for name, w in own.state_dict().items())
    report(f"weights equal the checkpoint's, rounded to {own.dtype} by PyTorch", equal)

    rows = draw_rows(config, is_classifier)
    theirs = {folder: there(model, rows) for folder, model in ((checkpoint, trained), (export, exported))}
    for name, folder in (("checkpoint", checkpoint), ("export", export)):
        difference = (theirs[folder] - here(folder, rows)).abs().max().item()
        size = theirs[folder].abs().max().item()
        report(f"{what} of the {name}, up to {size:.1f}: {difference:.1e} apart", difference < TOLERANCE)

    if not is_classifier:
        same = greedy_answers(export, exported)
        report(f"greedy answers: {same} of {len(QUESTIONS)} equal", same == len(QUESTIONS))

    rounding = (theirs[export] - theirs[checkpoint]).abs().max().item()
    computing = (theirs[export] - there(own, rows)).abs().max().item()
    print(f"     rounding to {own.dtype} changes {what} by up to {rounding:.1e}")
    print(f"     computing in {own.dtype} changes {what} by up to {computing:.1e}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
