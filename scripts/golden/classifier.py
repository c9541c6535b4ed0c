"""Logits, loss and gradients of LlamaForSequenceClassification with two labels, on the backbones of
test/golden/models. Run scripts/golden/model.py first, then this one like it.

The rows are one padded batch, as a user of transformers would give it: the model finds the last token of
a row by its padding id. Writes test/golden/classifier/<variant>.safetensors, and for one variant the
folder that save_pretrained makes; test/golden/README.md describes them.
"""

import shutil

import torch
from transformers import LlamaForSequenceClassification

from common import GOLDEN, deterministic, right_pad, save

VARIANTS = ["multi-head", "grouped-query", "wide-heads"]
SAVED = "grouped-query"
PROMPT_LENGTHS = [5, 5, 9, 1, 12]  # the first two rows have the same prompt
ANSWER_LENGTHS = [7, 2, 11, 4, 1]  # EOS included
LABELS = [1, 0, 0, 1, 1]
PAD, EOS = 0, 2


def draw_rows(vocab_size):
    """Question and answer; every row ends with EOS."""
    rows = []
    for prompt_length, answer_length in zip(PROMPT_LENGTHS, ANSWER_LENGTHS):
        row = torch.randint(3, vocab_size, (prompt_length + answer_length,))
        row[-1] = EOS
        rows.append(row)
    rows[1][: PROMPT_LENGTHS[1]] = rows[0][: PROMPT_LENGTHS[0]]
    return rows


def load_classifier(folder):
    """The backbone's weights with a head that is not small, so that an error of it would show."""
    model = LlamaForSequenceClassification.from_pretrained(
        folder, num_labels=2, pad_token_id=PAD, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    with torch.no_grad():
        model.score.weight.normal_(0.0, 0.3)
    return model


def expectations(model):
    rows = draw_rows(model.config.vocab_size)
    tokens = right_pad(rows, PAD)
    lengths = torch.tensor([len(row) for row in rows])
    mask = (torch.arange(tokens.shape[1])[None] < lengths[:, None]).long()
    output = model(input_ids=tokens, attention_mask=mask, labels=torch.tensor(LABELS))
    output.loss.backward()
    return {
        "tokens": tokens,
        "promptLengths": torch.tensor(PROMPT_LENGTHS),
        "lengths": lengths,
        "labels": torch.tensor(LABELS),
        "logits": output.logits,
        "probabilities": torch.softmax(output.logits, dim=-1)[:, 1],
        "loss": output.loss,
        "head": model.score.weight,
        **{f"grad.{name}": parameter.grad for name, parameter in model.named_parameters()},
    }


def main():
    for seed, name in enumerate(VARIANTS):
        deterministic(seed)
        model = load_classifier(GOLDEN / "models" / name)
        save(GOLDEN / "classifier" / f"{name}.safetensors", expectations(model))
        if name == SAVED:
            folder = GOLDEN / "classifier" / name
            shutil.rmtree(folder, ignore_errors=True)
            model.save_pretrained(folder)


if __name__ == "__main__":
    main()
