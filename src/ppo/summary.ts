// The figures of one rollout that metrics.jsonl keeps and the alarms watch.
import { groupBy } from "../data/groupBy.ts";
import type { Answer } from "../generate/answer.ts";
import { meanLogs } from "../reward/logs.ts";
import { hasSpread } from "./advantages.ts";
import type { CreditedExperience } from "./credit.ts";
import { estimateKl } from "./rewards.ts";
import type { Experience, Rollout } from "./rollout.ts";

/** Figures of a rollout; see docs/metrics.md. Those of log-probabilities are of what can be learned from, the others of all answers. */
export function summariseRollout({ answers, experiences, isFull }: SummarisedRollout) {
  const mean = (of: (answer: Answer) => number) =>
    answers.reduce((sum, answer) => sum + of(answer), 0) / answers.length;
  const differ = (some: readonly Answer[]) => hasSpread(some.map(({ verdict }) => verdict.score));
  const groups = groupBy(answers, ({ question }) => question);
  const hasReference = experiences.some(({ referenceLogprobs }) => referenceLogprobs);
  const kl = hasReference ? estimateKl(experiences) : undefined;
  const signs = {
    isScoreConstant: !differ(answers),
    score: mean(({ verdict }) => verdict.score),
    groupsWithoutSpread: groups.filter((group) => !differ(group)).length / groups.length,
    correctFraction: mean(({ verdict }) => Number(verdict.correct)),
    extractedFraction: mean(({ verdict }) => Number(verdict.extracted)),
    truncatedFraction: mean(({ response }) => Number(response.isTruncated)),
    klReference: kl?.k1,
    entropy: experiences.length > 0 ? entropyEstimate(experiences) : undefined,
    timeoutFraction: mean(({ verdict }) => Number(verdict.outcome.kind === "timeout")),
    isFull,
  };
  const metrics: Record<string, number> = {
    "reward/score": signs.score,
    "reward/correctFraction": signs.correctFraction,
    "reward/extractedFraction": signs.extractedFraction,
    ...(kl && {
      "kl/reference": kl.k1,
      "kl/referenceK3": kl.k3,
      "kl/perResponse": kl.perResponse,
    }),
    "response/lengthTokens": mean(({ response }) => response.tokens.length),
    "response/truncatedFraction": signs.truncatedFraction,
    ...(signs.entropy !== undefined && { "response/entropyEstimate": signs.entropy }),
    "rollout/groupsWithoutSpread": signs.groupsWithoutSpread,
    ...meanLogs(answers.map(({ verdict }) => verdict)),
  };
  return { signs, metrics };
}

type SummarisedRollout = Pick<Rollout, "answers" | "experiences" | "isFull">;

/** Mean over responses of -logprob per token. */
function entropyEstimate(experiences: readonly Experience[]): number {
  const estimates = experiences.map(
    ({ logprobs }) => -logprobs.reduce((a, b) => a + b, 0) / logprobs.length,
  );
  return estimates.reduce((a, b) => a + b, 0) / experiences.length;
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
