"""Five steps of clipping, AdamW and the linear schedule on three small tensors with given gradients.
Run like scripts/golden/model.py.

Writes test/golden/optim/<case>.safetensors; test/golden/README.md describes them.
"""

import torch
from torch.nn.utils import clip_grad_norm_
from transformers import get_linear_schedule_with_warmup

from common import GOLDEN, deterministic, save

STEPS = 5
SHAPES = {"matrix": (4, 3), "vector": (5,), "scalar": ()}
# The horizon lies beyond the five steps in "decay" and ends within them in "short".
CASES = {
    "plain": dict(lr=1e-2, weight_decay=0.0, warmup=0, total=1_000_000),
    "decay": dict(lr=1e-2, weight_decay=0.1, warmup=2, total=10),
    "short": dict(lr=1e-2, weight_decay=0.0, warmup=1, total=4),
    "small": dict(lr=1e-5, weight_decay=0.0, warmup=2, total=10),
    "smallDecay": dict(lr=1e-5, weight_decay=0.1, warmup=2, total=10),
}


def draw_gradient(step, shape):
    """Large at steps 0 and 3, so that they are clipped to norm 1; one element as small as epsilon."""
    gradient = torch.randn(shape) * (3.0 if step in (0, 3) else 0.05)
    if shape == (5,):
        gradient[0] = 1e-8 * (step + 1)
    return gradient


def run(lr, weight_decay, warmup, total):
    parameters = {name: torch.nn.Parameter(torch.randn(shape)) for name, shape in SHAPES.items()}
    optimizer = torch.optim.AdamW(
        parameters.values(), lr=lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=weight_decay,
        foreach=False,
    )
    schedule = get_linear_schedule_with_warmup(optimizer, warmup, total)
    result = {f"start.{name}": parameter.detach().clone() for name, parameter in parameters.items()}
    norms, rates = [], []
    for step in range(STEPS):
        for name, parameter in parameters.items():
            parameter.grad = draw_gradient(step, SHAPES[name])
            result[f"grad{step}.{name}"] = parameter.grad.clone()
        norms.append(clip_grad_norm_(list(parameters.values()), 1.0))
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
        for name, parameter in parameters.items():
            result[f"after{step}.{name}"] = parameter.detach().clone()
    return {
        **result,
        "gradNorms": torch.stack(norms),
        "learningRates": torch.tensor(rates),
        # lr, weightDecay, warmupSteps, totalSteps
        "settings": torch.tensor([lr, weight_decay, warmup, total]),
    }


if __name__ == "__main__":
    for seed, (name, case) in enumerate(CASES.items()):
        deterministic(seed)
        save(GOLDEN / "optim" / f"{name}.safetensors", run(**case))
