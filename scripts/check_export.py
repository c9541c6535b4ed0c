"""Does transformers compute with an export what this project computes with the checkpoint?

    pip install -r scripts/golden/requirements.txt
    npx reft export --checkpoint CHECKPOINT --output EXPORT
    python scripts/check_export.py CHECKPOINT EXPORT

CHECKPOINT is a checkpoint's folder, such as runs/tiny-reft/checkpoints/step-000120. Run it in the
project's folder. Compares weights, log-probabilities of random tokens and greedy answers, prints
the differences and ends with 1 where one is too large. Both sides compute in float32; the last
line says what else changes when transformers computes in the export's own type.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

TOLERANCE = 1e-4  # of two engines in float32
SEQUENCES, LENGTH, NEW_TOKENS = 16, 64, 64
QUESTIONS = [
    "Ann has 3 boxes of 12 pens and gives 5 away. How many are left?",
    "A train goes 60 km in one hour. How far does it go in 4 hours?",
    "Tom had 17 apples, ate 4 and bought 9. How many does he have now?",
    "5 friends share 35 sweets. How many does each of them get?",
]


def load(folder, dtype):
    return AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, attn_implementation="eager"
    ).eval()


def reft(command, model, lines, *options):
    """What a command of this project answers, one value per line."""
    with tempfile.TemporaryDirectory() as home:
        source, target = Path(home, "in.jsonl"), Path(home, "out.jsonl")
        source.write_text("".join(json.dumps(line) + "\n" for line in lines))
        subprocess.run(
            ["npx", "reft", command, "--model", model, "--input", source, "--output", target, *options],
            check=True,
            stderr=subprocess.DEVNULL,
        )
        return [json.loads(line) for line in target.read_text().splitlines()]


def our_logprobs(model, sequences):
    pairs = [
        {"id": i, "promptTokens": row[:1], "completionTokens": row[1:]}
        for i, row in enumerate(sequences.tolist())
    ]
    return torch.tensor([line["logprobs"] for line in reft("score", model, pairs)])


@torch.no_grad()
def their_logprobs(model, sequences):
    logprobs = torch.log_softmax(model(sequences).logits.float()[:, :-1], dim=-1)
    return logprobs.gather(2, sequences[:, 1:, None]).squeeze(2)


def until_eos(tokens, model):
    ends = model.generation_config.eos_token_id
    ends = ends if isinstance(ends, list) else [ends]
    return tokens[: next((i for i, token in enumerate(tokens) if token in ends), None)]


def greedy_answers(export, model):
    """How many greedy answers are the same, token for token."""
    tokenizer = AutoTokenizer.from_pretrained(export)
    prompts = [f"Question:\n{question}\nAnswer reasoning:\n" for question in QUESTIONS]
    lines = [{"id": i, "prompt": prompt} for i, prompt in enumerate(prompts)]
    ours = reft("generate", export, lines, "--temperature", "0", "--max-new-tokens", str(NEW_TOKENS))
    same = 0
    for prompt, line in zip(prompts, ours):
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
    model = load(export, torch.float32)
    own = load(export, "auto")
    rounded = load(checkpoint, own.dtype).state_dict()
    failures = 0

    def report(text, passed):
        nonlocal failures
        failures += not passed
        print(f"{'ok  ' if passed else 'FAIL'} {text}")

    equal = all(torch.equal(weight, rounded[name]) for name, weight in own.state_dict().items())
    report(f"weights equal the checkpoint's, rounded to {own.dtype} by PyTorch", equal)

    sequences = torch.randint(model.config.vocab_size, (SEQUENCES, LENGTH))
    theirs = their_logprobs(model, sequences)
    difference = (theirs - our_logprobs(export, sequences)).abs().max().item()
    report(f"log-probabilities: export {difference:.1e} apart", difference < TOLERANCE)
    difference = (theirs - our_logprobs(checkpoint, sequences)).abs().max().item()
    passed = own.dtype != torch.float32 or difference < TOLERANCE
    report(f"log-probabilities: {difference:.1e} from the checkpoint's", passed)

    same = greedy_answers(export, model)
    report(f"greedy answers: {same} of {len(QUESTIONS)} equal", same == len(QUESTIONS))

    difference = (theirs - their_logprobs(own, sequences)).abs().max().item()
    print(f"     computing in {own.dtype} changes log-probabilities by up to {difference:.1e}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
