"""Five SFT steps of the multi-head model: mean cross-entropy over the completion tokens of the whole
batch, clipping to norm 1, AdamW, linear warm-up. Run scripts/golden/model.py first, then this one like it.

Writes test/golden/sft/golden.safetensors; test/golden/README.md describes it.
"""

import torch
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_
from transformers import get_linear_schedule_with_warmup

from common import GOLDEN, deterministic, right_pad, save
from model import load_model

STEPS = 5
LEARNING_RATE = 1e-3
WARMUP_STEPS = 2
TOTAL_STEPS = 20  # scheduleEpochs beyond the epochs that are run
PROMPT_LENGTHS = [3, 6, 1, 4]
COMPLETION_LENGTHS = [9, 4, 12, 2]
EOS = 2


def draw_batch(vocab_size):
    """Rows of prompt and completion; every completion ends with EOS."""
    rows, masks = [], []
    for prompt_length, completion_length in zip(PROMPT_LENGTHS, COMPLETION_LENGTHS):
        row = torch.randint(3, vocab_size, (prompt_length + completion_length,))
        row[-1] = EOS
        rows.append(row)
        masks.append([0] * prompt_length + [1] * completion_length)
    return rows, masks


def mean_loss(model, rows, masks):
    """Row by row, without padding: the sum over completion tokens of all rows, divided once by their number."""
    total, count = 0.0, 0
    for row, mask in zip(rows, masks):
        keep = torch.tensor(mask[1:], dtype=torch.bool)
        logits = model(row[None]).logits[0, :-1]
        total = total + cross_entropy(logits[keep], row[1:][keep], reduction="sum")
        count += int(keep.sum())
    return total / count


def train(model, batches):
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0,
        foreach=False,
    )
    schedule = get_linear_schedule_with_warmup(optimizer, WARMUP_STEPS, TOTAL_STEPS)
    losses, norms, rates = [], [], []
    for rows, masks in batches:
        loss = mean_loss(model, rows, masks)
        optimizer.zero_grad()
        loss.backward()
        norms.append(clip_grad_norm_(model.parameters(), 1.0))
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
        losses.append(loss.detach())
    return torch.stack(losses), torch.stack(norms), torch.tensor(rates)


def report_float32_noise(model, batches, result):
    """How far float32 itself is from float64: what a tolerance must allow at least."""
    exact = model.double()
    losses, _, _ = train(exact, batches)
    weight_gap = max(
        (parameter - result[f"final.{name}"]).abs().max().item()
        for name, parameter in exact.named_parameters()
    )
    loss_gap = (losses - result["losses"]).abs().max().item()
    print(f"float32 against float64: losses {loss_gap:.1e}, weights {weight_gap:.1e}")


def main():
    deterministic(0)
    folder = GOLDEN / "models" / "multi-head"
    model = load_model(folder)
    batches = [draw_batch(model.config.vocab_size) for _ in range(STEPS)]
    losses, norms, rates = train(model, batches)
    result = {
        "tokens": torch.stack([right_pad(rows) for rows, _ in batches]),
        "lossMask": torch.stack([right_pad(masks) for _, masks in batches]),
        "lengths": torch.tensor([[len(row) for row in rows] for rows, _ in batches]),
        "losses": losses,
        "gradNorms": norms,
        "learningRates": rates,
        **{f"final.{name}": parameter for name, parameter in model.named_parameters()},
    }
    report_float32_noise(load_model(folder), batches, result)
    save(GOLDEN / "sft" / "golden.safetensors", result)


if __name__ == "__main__":
    main()
