"""Does peft compute with an adapter what this project computes with it?

    pip install -r scripts/golden/requirements.txt
    python scripts/check_adapter.py ADAPTER

ADAPTER is a checkpoint of a run with an adapter, such as runs/svamp-smollm2-lora-warmup/checkpoints/step-000150,
of a language model or of a classifier, or a folder that peft wrote. Run it in the project's folder, which the
base model's path may begin at. Prints differences and ends with 1 where one is too large. peft reads the folder
itself; both sides compute in float32, with the base model's weights as its files have them:

- log-probabilities of random tokens, or a classifier's logits of padded sequences
- the same after peft has merged the adapter, which is what `reft export` writes as f32

The last line says what the adapter changes: where that is small, the others say little.
"""

import sys

import torch
from check_export import draw_rows, our_logits, our_logprobs, their_logits, their_logprobs
from peft import PeftConfig, PeftModel
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

TOLERANCE = 1e-5  # of the largest value, in float32


def main(adapter):
    torch.manual_seed(0)
    config = PeftConfig.from_pretrained(adapter)
    is_classifier = config.task_type == "SEQ_CLS"
    kind = AutoModelForSequenceClassification if is_classifier else AutoModelForCausalLM
    here, there = (our_logits, their_logits) if is_classifier else (our_logprobs, their_logprobs)
    what = "logits" if is_classifier else "log-probabilities"
    options = {"dtype": torch.float32, "attn_implementation": "eager"}
    if is_classifier:
        options["num_labels"] = 2
    base = kind.from_pretrained(config.base_model_name_or_path, **options).eval()
    ends = base.config.eos_token_id
    ends = ends if isinstance(ends, list) else [ends]
    base.config.pad_token_id = next(token for token in range(base.config.vocab_size) if token not in ends)

    rows = draw_rows(base.config, is_classifier)
    model = PeftModel.from_pretrained(base, adapter).eval()
    theirs = there(model, rows)
    with model.disable_adapter():
        change = (theirs - there(model, rows)).abs().max().item()
    ours = here(adapter, rows)
    failures = 0
    for name, values in (("peft", theirs), ("peft, merged,", there(model.merge_and_unload(), rows))):
        difference = (values - ours).abs().max().item()
        size = values.abs().max().item()
        passed = difference < TOLERANCE * size
        failures += not passed
        print(f"{'ok  ' if passed else 'FAIL'} {what} of {name} up to {size:.1f}: {difference:.1e} apart")
    print(f"     the adapter changes {what} by up to {change:.1e}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
