// The figures of one rollout that metrics.jsonl keeps and the alarms watch.
import { hasSpread } from "./advantages.ts";
import type { CreditedExperience } from "./credit.ts";
import { estimateKl } from "./rewards.ts";
import { type Experience, groupByQuestion } from "./rollout.ts";

/** Figures of a rollout; see docs/metrics.md. */
export function summariseRollout(experiences: readonly Experience[]) {
  const mean = (of: (experience: Experience) => number) =>
    experiences.reduce((sum, experience) => sum + of(experience), 0) / experiences.length;
  const differ = (some: readonly Experience[]) =>
    hasSpread(some.map(({ answer }) => answer.verdict.score));
  const groups = groupByQuestion(experiences);
  const hasReference = experiences.some(({ referenceLogprobs }) => referenceLogprobs);
  const kl = hasReference ? estimateKl(experiences) : undefined;
  const signs = {
    isScoreConstant: !differ(experiences),
    groupsWithoutSpread: groups.filter((group) => !differ(group)).length / groups.length,
    correctFraction: mean(({ answer }) => Number(answer.verdict.correct)),
    extractedFraction: mean(({ answer }) => Number(answer.verdict.extracted)),
    truncatedFraction: mean(({ answer }) => Number(answer.response.isTruncated)),
    klReference: kl?.k1,
    timeoutFraction: mean(({ answer }) => Number(answer.verdict.outcome.kind === "timeout")),
  };
  const metrics: Record<string, number> = {
    "reward/score": mean(({ answer }) => answer.verdict.score),
    "reward/correctFraction": signs.correctFraction,
    "reward/extractedFraction": signs.extractedFraction,
    ...(kl && {
      "kl/reference": kl.k1,
      "kl/referenceK3": kl.k3,
      "kl/perResponse": kl.perResponse,
    }),
    "response/lengthTokens": mean(({ response }) => response.length),
    "response/truncatedFraction": signs.truncatedFraction,
    "response/entropyEstimate": mean(
      ({ logprobs }) => -logprobs.reduce((a, b) => a + b, 0) / logprobs.length,
    ),
    "rollout/groupsWithoutSpread": signs.groupsWithoutSpread,
  };
  return { signs, metrics };
}

/** 1 - variance(returns - values) / variance(returns): 1 is a perfect value head, 0 one that knows nothing. */
export function explainedVariance(experiences: readonly CreditedExperience[]): number {
  const returns = experiences.flatMap((e) => [...e.returns]);
  const errors = experiences.flatMap((e) => [...e.returns].map((value, t) => value - e.values[t]!));
  return 1 - variance(errors) / (variance(returns) + 1e-8);
}

function variance(values: readonly number[]): number {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
}
