"""GRPO's settings of today: value and gradient of TRL's own loss, `GRPOTrainer._compute_loss`, called on log-probabilities and
entropies of a model. Run scripts/golden/model.py first, then this one like it.

The method is called on a stand-in for the trainer that has the settings which it reads. Log-probabilities and entropies come from
`models/linear-rope` in float64, each row alone and without padding, so that the gradients are those of its weights. Advantages are
TRL's two lines, with its `nanstd`: they stand in the middle of a long method and cannot be called.

Writes test/golden/objectives/golden.safetensors; test/golden/README.md describes it.
"""

from collections import defaultdict
from types import SimpleNamespace

import torch
from torch.nn.functional import pad
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.utils import entropy_from_logits, nanstd

from common import GOLDEN, deterministic, save
from model import load_model, row_logprobs

SAMPLES = 4  # responses to each of two questions
LENGTHS = [5, 1, 7, 4, 3, 6, 2, 7]
TRUNCATED = [False, False, True, False, False, False, False, True]
SCORES = [1.0, 0.0, 0.1, 1.0, 0.0, 0.0, 1.0, 0.1]
PROMPT_LENGTH, MAX_NEW_TOKENS = 3, 9
KEPT = ["model.norm.weight", "model.layers.0.self_attn.q_proj.weight"]  # whose gradients are written

DEFAULT = {
    "loss_type": "grpo", "scale_rewards": "group", "importance_sampling_level": "token", "masked": False,
    "beta": 0.04, "epsilon": 0.2, "epsilon_high": 0.2, "entropy_coef": 0.0, "minibatches": 1,
}
CASES = {
    "default": {},
    "upperClip": {"epsilon_high": 0.35},
    "miniBatchTokens": {"loss_type": "bnpo"},
    "rolloutTokens": {"loss_type": "dapo", "minibatches": 2},
    "maxNewTokens": {"loss_type": "dr_grpo", "scale_rewards": "none"},
    "rolloutScale": {"scale_rewards": "batch"},
    "responseRatio": {"importance_sampling_level": "sequence", "epsilon": 0.05, "epsilon_high": 0.08},
    "masked": {"masked": True},
    "maskedTokens": {"masked": True, "loss_type": "dapo", "minibatches": 2},
    "entropy": {"entropy_coef": 0.3},
    "dapo": {
        "epsilon_high": 0.28, "loss_type": "dapo", "masked": True, "beta": 0.0, "entropy_coef": 0.3,
        "minibatches": 2,
    },
}


def float32(tensor):
    """Inputs are float32 numbers, computed with in float64."""
    return tensor.float().double()


def advantages(scores, scale):
    grouped = scores.view(-1, SAMPLES)
    centred = (grouped - grouped.mean(dim=1, keepdim=True)).view(-1)
    if scale == "none":
        return centred
    deviation = nanstd(grouped, dim=1).repeat_interleave(SAMPLES) if scale == "group" else nanstd(scores)
    return centred / (deviation + 1e-4)


def by_response_token(model, tokens):
    """Log-probabilities of the response tokens, and the entropies of what they were chosen from: [responses, longest] each."""
    logprobs, entropies = [], []
    for row, length in zip(tokens, LENGTHS):
        row = row[: PROMPT_LENGTH + length]
        logits = model(row[None]).logits[0]
        logprobs.append(row_logprobs(logits, row)[PROMPT_LENGTH - 1 :])
        entropies.append(entropy_from_logits(logits[PROMPT_LENGTH - 1 : -1]))
    width = max(LENGTHS)
    return tuple(torch.stack([pad(row, (0, width - len(row))) for row in rows]) for rows in (logprobs, entropies))


def trainer(case, logprobs, entropies):
    """What `_compute_loss` reads of a trainer in whose accumulation window there is one batch."""
    return SimpleNamespace(
        **{key: case[key] for key in ["loss_type", "importance_sampling_level", "beta", "epsilon_high", "entropy_coef"]},
        epsilon_low=case["epsilon"],
        max_completion_length=MAX_NEW_TOKENS,
        current_gradient_accumulation_steps=1,
        _entropy_bonus_enabled=case["entropy_coef"] != 0,
        _get_per_token_logps_and_entropies=lambda *_, **__: (logprobs, entropies, None),
        _metrics={"train": defaultdict(list)},
        model=SimpleNamespace(training=True),
        accelerator=SimpleNamespace(
            num_processes=1, sync_gradients=True, gather=lambda x: x, reduce=lambda x, **_: x
        ),
        args=SimpleNamespace(
            delta=None, use_bias_correction_kl=False, steps_per_generation=case["minibatches"]
        ),
        top_entropy_quantile=1.0, off_policy_mask_threshold=None, use_vllm=False, use_adaptive_entropy=False,
        aux_loss_enabled=False,
    )


def run_case(model, tokens, old, reference, case):
    case = {**DEFAULT, **case}
    lengths = torch.tensor(LENGTHS)
    mask = (torch.arange(max(LENGTHS)) < lengths[:, None]).long()
    if case["masked"]:
        mask = mask * (~torch.tensor(TRUNCATED)).long()[:, None]
    per_response = advantages(torch.tensor(SCORES, dtype=torch.float64), case["scale_rewards"])
    seen = []
    for part in torch.arange(len(LENGTHS)).chunk(case["minibatches"]):
        logprobs, entropies = (x[part] for x in by_response_token(model, tokens))
        logprobs.retain_grad()
        inputs = {
            "prompt_ids": tokens[part, :PROMPT_LENGTH],
            "prompt_mask": torch.ones(len(part), PROMPT_LENGTH, dtype=torch.long),
            "completion_ids": tokens[part, PROMPT_LENGTH:],
            "completion_mask": mask[part],
            "advantages": per_response[part],
            "old_per_token_logps": old[part],
            "ref_per_token_logps": reference[part],
            "num_items_in_batch": mask.sum(),
        }
        trl = trainer(case, logprobs, entropies)
        model.zero_grad()
        loss = GRPOTrainer._compute_loss(trl, model, inputs)
        loss.backward()
        gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
        norm = torch.stack([gradient.norm() for gradient in gradients.values()]).norm()
        clipped = trl._metrics["train"]["clip_ratio/region_mean"][0]
        entropy = (entropies * mask[part]).sum() / mask[part].sum()
        seen.append((loss.detach(), norm, entropy.detach(), logprobs.grad, gradients, clipped))
    print(case["loss_type"], *(f"loss {each[0]:.4f} norm {each[1]:.4f} clipped {each[5]:.2f}" for each in seen), sep="; ")
    mean = lambda index: sum(each[index] for each in seen) / len(seen)
    last = {f"grad.{name}": seen[-1][4][name] for name in KEPT} if case["minibatches"] == 1 else {}
    return {
        "advantages": per_response,
        "loss": mean(0),
        "gradNorm": mean(1),
        "entropy": mean(2),
        "grad.newLogprobs": torch.cat([each[3] for each in seen]),
        **last,
    }


def main():
    deterministic(0)
    model = load_model(GOLDEN / "models" / "linear-rope").double()
    tokens = torch.randint(3, model.config.vocab_size, (len(LENGTHS), PROMPT_LENGTH + max(LENGTHS)))
    for first in range(0, len(LENGTHS), SAMPLES):
        tokens[first : first + SAMPLES, :PROMPT_LENGTH] = tokens[first, :PROMPT_LENGTH].clone()
    with torch.no_grad():
        new, _ = by_response_token(model, tokens)
    inside = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
    old = float32(new + 0.25 * torch.randn(new.shape)) * inside
    reference = float32(old - 0.1 + 0.3 * torch.randn(new.shape)) * inside
    result = {
        "tokens": tokens, "lengths": torch.tensor(LENGTHS), "isTruncated": torch.tensor(TRUNCATED),
        "scores": torch.tensor(SCORES), "logprobs": old, "referenceLogprobs": reference, "newLogprobs": new,
    }
    for name, case in CASES.items():
        of_case = run_case(model, tokens, old, reference, case)
        result.update({f"{name}.{key}": value for key, value in of_case.items()})
    save(GOLDEN / "objectives" / "golden.safetensors", result)


if __name__ == "__main__":
    main()
