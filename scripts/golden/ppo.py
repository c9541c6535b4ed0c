"""The quantities of PPO after the formulas of the ReFT authors' code (lqtrung1998/mwp_ReFT at bdc844e,
with trl 0.7.2 for masked variances), from rewards to losses and their gradients.
Run like scripts/golden/model.py.

Their tensors are indexed by state: column t holds what belongs to the model's output at token t, whose
action is token t + 1. Prompt and response stand in one row, so a response of n tokens, EOS included,
owns the columns promptLength - 1 ... promptLength + n - 2. Here everything is computed in that layout,
then cut to one column per response token, which is how the project stores it.

Facts that the layout hides:
- "the last token before EOS" is a state: the reward belongs to the action EOS, the last response token;
  a truncated response gets it at its last token, too
- the EOS action is penalised and trained like any other; the state after it has value 0
- whitening divides by the sample standard deviation (n - 1), with 1e-8 added to the variance

Writes test/golden/ppo/<case>.safetensors; test/golden/README.md describes them.
"""

import torch

from common import GOLDEN, deterministic, save

PROMPT_LENGTH = 3
RESPONSE_LENGTHS = [5, 1, 7, 4, 7]  # tokens, EOS included
TRUNCATED = [False, False, True, False, False]  # the third never wrote EOS
SCORES = [1.0, 0.0, 0.1, 0.1, 1.0]
WIDTH = max(RESPONSE_LENGTHS)
ROW = PROMPT_LENGTH + WIDTH
PAD, EOS, OTHER = 0, 2, 5

CASES = {
    # klCoefficient, gamma, gaeLambda, clipRange, valueClipRange, valueCoefficient
    "program": (0.01, 1.0, 0.95, 0.2, 0.2, 5.0),  # the published values for P-CoT
    "language": (0.05, 1.0, 0.95, 0.2, 0.2, 5.0),  # ... and for N-CoT
    "discounted": (0.05, 0.9, 0.5, 0.1, 0.3, 0.7),
}


def token_rows():
    rows = torch.full((len(RESPONSE_LENGTHS), ROW), PAD)
    for row, length, truncated in zip(rows, RESPONSE_LENGTHS, TRUNCATED):
        row[: PROMPT_LENGTH + length] = OTHER
        if not truncated:
            row[PROMPT_LENGTH + length - 1] = EOS
    return rows


def masked_mean(x, mask):
    return (x * mask).sum() / mask.sum()


def masked_var(x, mask):
    """The sample variance."""
    n = mask.sum()
    return masked_mean((x - masked_mean(x, mask)) ** 2, mask) * n / (n - 1)


def whiten(x, mask):
    return (x - masked_mean(x, mask)) * torch.rsqrt(masked_var(x, mask) + 1e-8)


def state_mask_and_scores(tokens):
    """Both by state. Without EOS the score stands at the last state that has an action."""
    mask = torch.zeros(tokens.shape, dtype=torch.float64)
    scores = torch.zeros(tokens.shape, dtype=torch.float64)
    mask[:, PROMPT_LENGTH - 1 : -1] = 1
    scores[:, -2] = torch.tensor(SCORES, dtype=torch.float64)
    for row, column in (tokens == EOS).nonzero().tolist():
        mask[row, column:] = 0
        scores[row, column:] = 0
        scores[row, column - 1] = SCORES[row]
    return mask, scores


def advantages_of(rewards, values, gamma, gae_lambda):
    """One row: discounted sums of the TD errors, from the right."""
    delta = rewards[:-1] + gamma * values[1:] - values[:-1]
    advantages = torch.zeros_like(rewards)
    running = 0.0
    for t in range(len(delta) - 1, -1, -1):
        running = delta[t] + gamma * gae_lambda * running
        advantages[t] = running
    advantages[: PROMPT_LENGTH - 1] = 0
    return advantages


def by_response_token(states):
    return states[:, PROMPT_LENGTH - 1 : PROMPT_LENGTH - 1 + WIDTH]


def credit(tokens, logprobs, reference, values, kl_coefficient, gamma, gae_lambda):
    mask, scores = state_mask_and_scores(tokens)
    kl = (logprobs - reference) * mask
    kl_penalties = -kl_coefficient * kl
    rewards = scores + kl_penalties
    values = values * mask
    advantages = torch.stack(
        [advantages_of(r, v, gamma, gae_lambda) for r, v in zip(rewards, values)]
    )
    returns = advantages + values
    k3 = torch.exp(-kl) - 1 + kl
    return {
        "mask": mask,
        "klPenalties": kl_penalties * mask,
        "rewards": rewards * mask,
        "values": values,
        "advantages": advantages * mask,
        "returns": returns * mask,
        "whitenedAdvantages": whiten(advantages, mask) * mask,
    }, {
        "meanKlK1": masked_mean(kl, mask),
        "meanKlK3": masked_mean(k3, mask),
        "meanResponseKl": kl.sum(dim=1).mean(),
    }


def losses(new_logprobs, new_values, old, clip, value_clip, value_coefficient):
    """`old` by response token. Means per response, then over the batch."""
    mask = old["mask"]
    lengths = mask.sum(dim=1).clamp(min=1)
    log_ratio = new_logprobs - old["logprobs"]
    ratio = log_ratio.exp()
    advantages = old["whitenedAdvantages"]
    policy_terms = torch.max(-advantages * ratio, -advantages * ratio.clamp(1 - clip, 1 + clip))
    policy_loss = ((policy_terms * mask).sum(dim=1) / lengths).mean()

    clipped = torch.max(torch.min(new_values, old["values"] + value_clip), old["values"] - value_clip)
    errors, clipped_errors = (new_values - old["returns"]) ** 2, (clipped - old["returns"]) ** 2
    value_terms = torch.max(errors, clipped_errors)
    value_loss = 0.5 * ((value_terms * mask).sum(dim=1) / lengths).mean()
    explained = 1 - masked_var(old["returns"] - new_values, mask) / (
        masked_var(old["returns"], mask) + 1e-8
    )
    return {
        "policyLoss": policy_loss,
        "valueLoss": value_loss,
        "loss": policy_loss + value_coefficient * value_loss,
        "meanRatio": masked_mean(ratio, mask),
        "clipFraction": masked_mean(((ratio - 1).abs() > clip).double(), mask),
        "valueClipFraction": masked_mean((clipped_errors > errors).double(), mask),
        "approxKl": masked_mean(ratio - 1 - log_ratio, mask),
        "explainedVariance": explained.clamp(min=-1),
    }


def float32(tensor):
    """Inputs are float32 numbers, computed with in float64."""
    return tensor.float().double()


def run(kl_coefficient, gamma, gae_lambda, clip, value_clip, value_coefficient):
    tokens = token_rows()
    logprobs = float32(-1.5 - 2 * torch.rand(tokens.shape))
    reference = float32(logprobs - 0.1 + 0.3 * torch.randn(tokens.shape))
    values = float32(0.5 * torch.randn(tokens.shape))
    credited, kl = credit(tokens, logprobs, reference, values, kl_coefficient, gamma, gae_lambda)
    old = {name: by_response_token(states) for name, states in credited.items()}
    old["logprobs"] = by_response_token(logprobs) * old["mask"]
    old["referenceLogprobs"] = by_response_token(reference) * old["mask"]

    # Rounded before use, so that whoever computes from the stored inputs computes from the same numbers.
    stored = {name: float32(tensor) for name, tensor in old.items()}
    new_logprobs = float32(stored["logprobs"] + 0.25 * torch.randn(stored["mask"].shape))
    towards_returns = 0.6 * (stored["returns"] - stored["values"])
    new_values = float32(
        stored["values"] + towards_returns + 0.2 * torch.randn(stored["mask"].shape)
    )
    new_logprobs = (new_logprobs * stored["mask"]).requires_grad_()
    new_values = (new_values * stored["mask"]).requires_grad_()
    result = losses(new_logprobs, new_values, stored, clip, value_clip, value_coefficient)
    result["loss"].backward()
    # Both sides of each clip are exercised, and the explained variance is not at its floor.
    assert 0.1 < result["clipFraction"] < 0.9 and 0.05 < result["valueClipFraction"] < 0.9
    assert result["explainedVariance"] > -1
    del result["valueClipFraction"]  # the project does not log it
    return {
        "lengths": torch.tensor(RESPONSE_LENGTHS),
        "endsWithEos": ~torch.tensor(TRUNCATED),
        "scores": torch.tensor(SCORES),
        # klCoefficient, gamma, gaeLambda, clipRange, valueClipRange, valueCoefficient
        "settings": torch.tensor(
            [kl_coefficient, gamma, gae_lambda, clip, value_clip, value_coefficient]
        ),
        **old,
        **kl,
        "newLogprobs": new_logprobs,
        "newValues": new_values,
        **result,
        "grad.newLogprobs": new_logprobs.grad,
        "grad.newValues": new_values.grad,
    }


if __name__ == "__main__":
    for seed, (name, case) in enumerate(CASES.items()):
        deterministic(seed)
        save(GOLDEN / "ppo" / f"{name}.safetensors", run(*case))
