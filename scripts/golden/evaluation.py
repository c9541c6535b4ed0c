"""Golden values of the evaluation's statistics: scipy's tests and intervals, and shares at k by trying every choice.
Run like scripts/golden/model.py. Writes test/golden/evaluation.json; test/golden/README.md describes it.
"""

import json
from itertools import permutations
from math import comb

import numpy as np
from scipy import stats

from common import GOLDEN

MCNEMAR = [(0, 1), (5, 0), (3, 12), (10, 10), (40, 80), (600, 700), (5000, 5400)]
PASS = [(1, 1, 1), (5, 2, 3), (100, 0, 50), (100, 1, 50), (100, 7, 20), (100, 60, 41), (1000, 3, 100)]
TOLERANCE = 1e-2


def shares(rng, size):
    """As means over choices are: many zeros and ones, the others between."""
    return np.clip(rng.normal(0.5, 0.6, size), 0, 1).round(3)


def mcnemar(only_a, only_b):
    n = only_a + only_b
    return {"onlyA": only_a, "onlyB": only_b, "p": stats.binomtest(min(only_a, only_b), n).pvalue}


def sign_flips(differences, resamples):
    test = stats.permutation_test(
        (differences,),
        lambda x, axis: x.sum(axis=axis),
        permutation_type="samples",
        n_resamples=resamples,
        rng=np.random.default_rng(1),
        batch=10_000,
    )
    return {"differences": differences.tolist(), "p": test.pvalue}


def bootstrap(values):
    result = stats.bootstrap(
        (values,), np.mean, n_resamples=200_000, method="percentile", batch=1000, rng=np.random.default_rng(2)
    )
    interval = result.confidence_interval
    return {"values": values.tolist(), "low": interval.low, "high": interval.high}


def passing(n, correct, k):
    return {"n": n, "correct": correct, "k": k, "share": 1 - comb(n - correct, k) / comb(n, k)}


def elects_right(pool, weight_of):
    groups = []
    for one in pool:
        if one["answer"] is None:
            continue
        for group in groups:
            if abs(group[0]["answer"] - one["answer"]) <= TOLERANCE:
                group.append(one)
                break
        else:
            groups.append([one])
    if not groups:
        return False
    return max(groups, key=lambda group: sum(map(weight_of, group)))[0]["correct"]


def best_is_right(pool):
    answered = [one for one in pool if one["answer"] is not None]
    return bool(answered) and max(answered, key=lambda one: one["probability"])["correct"]


def choices(pool):
    """Every share at every k, as the mean over all ordered choices of k."""
    rules = {
        "voting": lambda some: elects_right(some, lambda one: 1),
        "weightedVoting": lambda some: elects_right(some, lambda one: one["probability"]),
        "reranking": best_is_right,
        "pass": lambda some: any(one["correct"] for one in some),
    }
    expected = {}
    for k in range(1, len(pool)):
        every = list(permutations(pool, k))
        for name, rule in rules.items():
            expected[f"{name}@{k}"] = sum(map(rule, every)) / len(every)
    for name, rule in rules.items():
        expected[f"{name}@{len(pool)}"] = float(rule(pool))
    return {"candidates": pool, "shares": expected}


def pool(rng, answers):
    """The first of the answers is the right one; None is no answer. All probabilities differ."""
    gold = answers[0]
    drawn = [answers[i] for i in rng.integers(len(answers), size=7)]
    probabilities = rng.permutation(np.arange(7) / 8 + 0.07)
    return [
        {
            "answer": answer,
            "correct": answer is not None and abs(answer - gold) <= TOLERANCE,
            "probability": round(float(p), 3),
        }
        for answer, p in zip(drawn, probabilities)
    ]


if __name__ == "__main__":
    rng = np.random.default_rng(0)
    few, many = rng.normal(0.1, 1, 9).round(2), rng.normal(0.1, 0.5, 80).round(3)
    golden = {
        "mcnemar": [mcnemar(*pair) for pair in MCNEMAR],
        "signFlipsExact": [
            sign_flips(few, np.inf),
            sign_flips(np.array([0.5, -0.5, 0.5, 0, 0.25]), np.inf),  # ties, and one without a difference
            sign_flips(rng.normal(0.6, 1, 13).round(2), np.inf),
        ],
        "signFlipsDrawn": [sign_flips(many, 1_000_000), sign_flips(many + 0.05, 1_000_000)],
        "bootstrap": [bootstrap(shares(rng, 150)), bootstrap(rng.binomial(1, 0.1, 60).astype(float))],
        "pass": [passing(*case) for case in PASS],
        "pools": [
            choices(pool(rng, answers))
            for answers in ([1, 2], [1, 1.008, 1.016, 3], [1, None, 2, 3], [5, 5.005, None, 7])
        ],
    }
    path = GOLDEN / "evaluation.json"
    path.write_text(json.dumps(golden, indent=1) + "\n")
    print(f"{path.relative_to(GOLDEN)}: {path.stat().st_size:,} bytes")
