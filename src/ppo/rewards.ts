// The reward of each response token: a KL penalty everywhere, the score of the answer at the end.
// Reference: ReFT, arXiv 2401.08967, section 3.2; where paper and authors' code differ, the code is followed.

/** What the rollout knows of one response; one number per response token, EOS included. */
export interface ScoredResponse extends ResponseLogprobs {
  /** Of the answer: 1 for a right one, `partialReward` for a wrong one, 0 for none. */
  readonly score: number;
}

export interface ResponseLogprobs {
  /** Natural logs, from the policy that sampled the response. */
  readonly logprobs: Float32Array;
  /** Of the same tokens, from the frozen warm-up model; undefined where no KL coefficient asks for it. */
  readonly referenceLogprobs?: Float32Array | undefined;
}

/**
 * Credits one response:
 *
 *     klPenalty[t] = -klCoefficient * (logprobs[t] - referenceLogprobs[t])
 *     rewards[t]   = klPenalty[t] + (score if t is the last token, else 0)
 *
 * The authors put the score "at the last token before EOS". Their rows are indexed by state, and the state
 * before EOS is the one whose action is EOS: in a row of actions, such as ours, that is EOS itself. EOS is
 * penalised like other tokens. A truncated response has no EOS; its score stands at its last token, too.
 */
export function tokenRewards(
  { score, logprobs, referenceLogprobs }: ScoredResponse,
  { klCoefficient }: { readonly klCoefficient: number },
): Float32Array {
  const reference = klCoefficient === 0 ? logprobs : referenceLogprobs;
  checkLengths("tokenRewards", logprobs, reference);
  const rewards = logprobs.map((logprob, t) => -klCoefficient * (logprob - reference[t]!));
  rewards[rewards.length - 1]! += score;
  return rewards;
}

/** How far the policy has drifted from the reference, estimated on what the policy sampled; in nats. */
export interface KlEstimates {
  /** Mean per token of `d = logprob - referenceLogprob`: unbiased, noisy, may be negative. */
  readonly k1: number;
  /** Mean per token of `exp(-d) - 1 + d`: unbiased, never negative, less noisy while the drift is small. */
  readonly k3: number;
  /** Mean per response of the sum of d. */
  readonly perResponse: number;
}

/**
 * KL(policy || reference) over a rollout; NaN if it has no token.
 * Reference: Schulman, Approximating KL Divergence, joschu.net/blog/kl-approx.html.
 */
export function estimateKl(responses: readonly ResponseLogprobs[]): KlEstimates {
  let tokens = 0;
  let sumK1 = 0;
  let sumK3 = 0;
  for (const { logprobs, referenceLogprobs } of responses) {
    checkLengths("estimateKl", logprobs, referenceLogprobs);
    tokens += logprobs.length;
    for (let t = 0; t < logprobs.length; t++) {
      const d = logprobs[t]! - referenceLogprobs[t]!;
      sumK1 += d;
      sumK3 += Math.expm1(-d) + d; // expm1 keeps the digits that exp(-d) - 1 loses near 0
    }
  }
  return { k1: sumK1 / tokens, k3: sumK3 / tokens, perResponse: sumK1 / responses.length };
}

function checkLengths(
  caller: string,
  logprobs: Float32Array,
  reference: Float32Array | undefined,
): asserts reference is Float32Array {
  if (logprobs.length === 0) throw new Error(`${caller}: a response has at least one token`);
  if (logprobs.length !== reference?.length) {
    const found = `${logprobs.length} logprobs, ${reference?.length ?? "no"} referenceLogprobs`;
    throw new Error(`${caller}: expected as many of both, got ${found}`);
  }
}
