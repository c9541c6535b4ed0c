"""One rollout's two updates of policy and value head, after the formulas of ppo.py: values, gradients of the
value loss, weights after clipping and AdamW. Run scripts/golden/model.py first, then this one like it.

A value is one linear unit with bias on the last hidden state, which the value loss trains, too. Everything is
computed in float64, each row alone and without padding.

Writes test/golden/ppo/update.safetensors; test/golden/README.md describes it.
"""

import torch
from torch.nn.functional import pad
from torch.nn.utils import clip_grad_norm_

from common import GOLDEN, deterministic, right_pad, save
from model import load_model, row_logprobs
from ppo import (
    OTHER, PROMPT_LENGTH, RESPONSE_LENGTHS, SCORES, by_response_token, credit, float32, losses, token_rows,
)

UPDATES = 2  # passes over the rollout, each one minibatch
KL_COEFFICIENT, GAMMA, GAE_LAMBDA = 0.05, 0.98, 0.95
CLIP, VALUE_CLIP, VALUE_COEFFICIENT = 0.1, 0.08, 0.5  # so narrow that the first update leaves them
LEARNING_RATE, VALUE_HEAD_LEARNING_RATE = 1e-3, 1e-2
# A token must not be so near to the edge of a clip range that float32 takes it for one beyond.
SMALLEST_MARGIN = 1e-4


def draw_tokens(vocab_size):
    """The rows of ppo.py with real tokens; the first two have the same prompt."""
    rows = token_rows()
    tokens = torch.where(rows == OTHER, torch.randint(3, vocab_size, rows.shape), rows)
    tokens[1, :PROMPT_LENGTH] = tokens[0, :PROMPT_LENGTH]
    return tokens


def draw_head(dim):
    head = torch.nn.Linear(dim, 1).double()
    with torch.no_grad():
        head.weight.copy_(float32(0.1 * torch.randn(1, dim)))
        head.bias.fill_(0.25)
    return head


def by_state(model, head, tokens):
    """Log-probabilities of the actions, and values; the last state of a row has no action."""
    logprobs, values = [], []
    for row, length in zip(tokens, RESPONSE_LENGTHS):
        row = row[: PROMPT_LENGTH + length]
        states = model.model(row[None]).last_hidden_state[0]
        logprobs.append(pad(row_logprobs(model.lm_head(states), row), (0, 1)))
        values.append(head(states).squeeze(1))
    return right_pad(logprobs), right_pad(values)


def setting():
    deterministic(0)
    model = load_model(GOLDEN / "models" / "linear-rope").double()
    return model, draw_head(model.config.hidden_size), draw_tokens(model.config.vocab_size)


@torch.no_grad()
def rollout(model, head, tokens):
    logprobs, values = by_state(model, head, tokens)
    reference = float32(logprobs + 0.3 * torch.randn(tokens.shape))
    credited, _ = credit(tokens, logprobs, reference, values, KL_COEFFICIENT, GAMMA, GAE_LAMBDA)
    old = {name: by_response_token(states) for name, states in credited.items()}
    for name, states in {"logprobs": logprobs, "referenceLogprobs": reference}.items():
        old[name] = by_response_token(states) * old["mask"]
    return old


def losses_of(model, head, tokens, old):
    new_logprobs, new_values = (
        by_response_token(states) * old["mask"] for states in by_state(model, head, tokens)
    )
    drifts = {CLIP: (new_logprobs - old["logprobs"]).exp() - 1, VALUE_CLIP: new_values - old["values"]}
    for clip, drift in drifts.items():
        assert (drift.abs() - clip).abs().min() > SMALLEST_MARGIN
    return losses(new_logprobs, new_values, old, CLIP, VALUE_CLIP, VALUE_COEFFICIENT)


def train(model, head, tokens, old, trains_policy):
    """The means over the updates, and the weights after them."""
    groups = [{"params": head.parameters(), "lr": VALUE_HEAD_LEARNING_RATE}]
    if trains_policy:
        groups.append({"params": model.parameters(), "lr": LEARNING_RATE})
    optimizer = torch.optim.AdamW(
        groups, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, foreach=False
    )
    trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    seen = []
    for _ in range(UPDATES):
        result = losses_of(model, head, tokens, old)
        optimizer.zero_grad()
        loss = result["loss"] if trains_policy else VALUE_COEFFICIENT * result["valueLoss"]
        loss.backward()
        result["gradNorm"] = clip_grad_norm_(trained, 1.0)
        optimizer.step()
        seen.append({name: value.detach() for name, value in result.items()})
    print(*({name: round(value.item(), 4) for name, value in each.items()} for each in seen), sep="\n")
    named = ["policyLoss", "valueLoss", "gradNorm", "meanRatio", "clipFraction", "approxKl"]
    means = {name: sum(each[name] for each in seen) / UPDATES for name in named}
    return seen, means


def named_parameters(model, head):
    yield from model.named_parameters()
    yield from ((f"value_head.{name}", parameter) for name, parameter in head.named_parameters())


def value_gradients(model, head, tokens, old):
    losses_of(model, head, tokens, old)["valueLoss"].backward()
    return {
        f"valueGrad.{name}": parameter.grad
        for name, parameter in named_parameters(model, head)
        if parameter.grad is not None  # lm_head has no part in the values
    }


def main():
    model, head, tokens = setting()
    start = {f"start.value_head.{name}": p.detach().clone() for name, p in head.named_parameters()}
    old = rollout(model, head, tokens)
    gradients = value_gradients(model, head, tokens, old)
    seen, means = train(model, head, tokens, old, trains_policy=True)
    # Ratios and values are clipped in the second update, the gradient in the first.
    assert 0.1 < seen[1]["clipFraction"] < 0.9 and 0.05 < seen[1]["valueClipFraction"] < 0.9
    assert seen[0]["gradNorm"] > 1 > seen[1]["gradNorm"]

    frozen, warm, _ = setting()
    _, warmup_means = train(frozen, warm, tokens, old, trains_policy=False)
    result = {
        "tokens": tokens,
        "lengths": torch.tensor(RESPONSE_LENGTHS),
        "scores": torch.tensor(SCORES),
        "settings": torch.tensor(
            [KL_COEFFICIENT, GAMMA, GAE_LAMBDA, CLIP, VALUE_CLIP, VALUE_COEFFICIENT]
        ),
        "learningRates": torch.tensor([LEARNING_RATE, VALUE_HEAD_LEARNING_RATE]),
        **{name: old[name] for name in ["logprobs", "referenceLogprobs", "values", "returns"]},
        **start,
        **gradients,
        **means,
        **{f"final.{name}": parameter for name, parameter in named_parameters(model, head)},
        "warmup.gradNorm": warmup_means["gradNorm"],
        **{f"warmup.value_head.{name}": parameter for name, parameter in warm.named_parameters()},
    }
    save(GOLDEN / "ppo" / "update.safetensors", result)


if __name__ == "__main__":
    main()
