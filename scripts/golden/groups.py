"""Critic-free advantages and their losses after TRL (huggingface/trl at f2cd577: GRPOTrainer and RLOOTrainer), with gradients.
Run like scripts/golden/model.py.

TRL holds one row per sample, the samples of a question together, and marks a sample without a reward by NaN: it takes no part
in its group, and its advantage is 0. Here such samples stand for those whose program the sandbox failed to run; the losses
leave them out.

- GRPO: loss_type "grpo", scale_rewards "group" (sample deviation), beta times the k3 estimate in the loss
- RLOO: beta times the k1 estimate, summed over a response, is taken from its reward; the ratio is that of the whole response

Writes test/golden/groups/golden.safetensors; test/golden/README.md describes it.
"""

import torch

from common import GOLDEN, deterministic, save

NONE = float("nan")
SCORES = [  # per question
    [1.0, 0.0, 0.1, 1.0],
    [0.1, 0.1, 0.1, 0.1],  # no spread
    [0.0, NONE, 1.0, 0.0],
    [NONE, NONE, 1.0, NONE],  # one is left
]
LENGTHS = [5, 1, 7, 4, 3, 6, 2, 2, 7, 3, 1, 4, 2, 5, 6, 1]
SAMPLES = 4
KL_COEFFICIENT, CLIP_RANGE = 0.04, 0.2


def nanstd(grouped):
    """The sample deviation of each row; NaN where fewer than two numbers are left."""
    count = (~torch.isnan(grouped)).sum(dim=1, keepdim=True)
    mean = torch.nanmean(grouped, dim=1, keepdim=True)
    variance = torch.nanmean((grouped - mean) ** 2, dim=1, keepdim=True)
    correction = torch.where(count > 1, count / (count - 1), NONE)
    return torch.sqrt(variance * correction)


def grpo_advantages(scores):
    grouped = scores.view(-1, SAMPLES)
    centred = grouped - torch.nanmean(grouped, dim=1, keepdim=True)
    return torch.nan_to_num((centred / (nanstd(grouped) + 1e-4)).view(-1), nan=0.0)


def rloo_advantages(scores, logprobs, reference, mask):
    rewards = scores - KL_COEFFICIENT * ((logprobs - reference) * mask).sum(-1)
    grouped = rewards.view(-1, SAMPLES)
    count = (~torch.isnan(grouped)).sum(dim=1, keepdim=True)
    total = torch.nansum(grouped, dim=1, keepdim=True)
    baselines = (total - grouped) / (count - 1)
    return torch.nan_to_num(rewards - baselines.view(-1), nan=0.0)


def clipped(ratio, advantages):
    return -torch.min(ratio * advantages, ratio.clamp(1 - CLIP_RANGE, 1 + CLIP_RANGE) * advantages)


def with_gradient(loss_of, logprobs):
    logprobs = logprobs.clone().requires_grad_()
    loss = loss_of(logprobs)
    loss.backward()
    return loss, logprobs.grad


def run():
    lengths = torch.tensor(LENGTHS)
    mask = (torch.arange(max(LENGTHS)) < lengths[:, None]).double()
    float32 = lambda tensor: tensor.float().double() * mask  # inputs are float32 numbers, computed with in float64
    scores = torch.tensor(SCORES, dtype=torch.float64).view(-1)
    logprobs = float32(-1.5 - 2 * torch.rand(mask.shape))
    reference = float32(logprobs - 0.1 + 0.3 * torch.randn(mask.shape))
    new = float32(logprobs + 0.25 * torch.randn(mask.shape))

    grpo = grpo_advantages(scores).float().double()
    rloo = rloo_advantages(scores, logprobs, reference, mask).float().double()
    real = ~torch.isnan(scores)
    of_real = lambda per_response: per_response[real].mean()

    def kl_loss(new):
        drift = reference - new
        k3 = (torch.exp(drift) - drift - 1) * mask
        return of_real(k3.sum(-1) / lengths)

    def grpo_loss(new):
        per_token = clipped((new - logprobs).exp(), grpo[:, None]) * mask
        return of_real(per_token.sum(-1) / lengths) + KL_COEFFICIENT * kl_loss(new)

    def rloo_loss(new):
        return of_real(clipped(((new - logprobs) * mask).sum(-1).exp(), rloo))

    result = {
        "settings": torch.tensor([KL_COEFFICIENT, CLIP_RANGE]),
        "lengths": lengths,
        "isReal": real,
        "scores": torch.nan_to_num(scores),
        "logprobs": logprobs,
        "referenceLogprobs": reference,
        "newLogprobs": new,
        "grpoAdvantages": grpo,
        "rlooAdvantages": rloo,
    }
    losses = {"klLoss": kl_loss, "grpoLoss": grpo_loss, "rlooLoss": rloo_loss}
    for name, loss_of in losses.items():
        result[name], result[f"grad.{name}"] = with_gradient(loss_of, new)
    log_ratio = (new - logprobs) * mask
    for ratio in [log_ratio[mask.bool()].exp(), log_ratio.sum(-1)[real].exp()]:
        assert 0.1 < ((ratio - 1).abs() > CLIP_RANGE).double().mean() < 0.9  # both sides of the clip are exercised
    return result


if __name__ == "__main__":
    deterministic(0)
    save(GOLDEN / "groups" / "golden.safetensors", run())
