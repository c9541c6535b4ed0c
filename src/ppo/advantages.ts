// From rewards to advantages: by a value head (generalized advantage estimation, then whitening over the batch), or in comparison
// with the other responses to the same question (GRPO, RLOO).
// Reference: Schulman et al., High-Dimensional Continuous Control Using GAE, arXiv 1506.02438.

export interface AdvantageOptions {
  /** Discount per token. The ReFT paper's text swaps the two letters; the authors' code has gamma 1. */
  readonly gamma: number;
  /** 0: one-step errors, 1: all that follows. The authors' code has 0.95. */
  readonly gaeLambda: number;
}

export interface Advantages {
  readonly advantages: Float32Array;
  /** What the value head learns to predict: advantages + values, taken before any whitening. */
  readonly returns: Float32Array;
}

/**
 * How much better each token of one response did than the value head expected (eq. 16):
 *
 *     delta[t]      = rewards[t] + gamma * values[t + 1] - values[t]
 *     advantages[t] = delta[t] + gamma * gaeLambda * advantages[t + 1]
 *
 * Past the last token both are 0, whether the response ended with EOS or was truncated: the authors do not bootstrap.
 *
 * @param rewards one per response token, KL penalty included
 * @param values of the state before each response token, from the policy that sampled it
 */
export function estimateAdvantages(
  rewards: Float32Array,
  values: Float32Array,
  { gamma, gaeLambda }: AdvantageOptions,
): Advantages {
  if (rewards.length !== values.length) {
    const found = `${rewards.length} rewards, ${values.length} values`;
    throw new Error(`estimateAdvantages: expected as many of both, got ${found}`);
  }
  const advantages = new Float32Array(rewards.length);
  const returns = new Float32Array(rewards.length);
  let nextValue = 0;
  let nextAdvantage = 0;
  for (let t = rewards.length - 1; t >= 0; t--) {
    const delta = rewards[t]! + gamma * nextValue - values[t]!;
    nextAdvantage = delta + gamma * gaeLambda * nextAdvantage;
    nextValue = values[t]!;
    advantages[t] = nextAdvantage;
    returns[t] = nextAdvantage + nextValue;
  }
  return { advantages, returns };
}

/** Keeps advantages that are all alike from being divided by 0; the authors' value. */
const varianceEpsilon = 1e-8;

/**
 * Brings the advantages of a whole batch to mean 0 and standard deviation 1, every token counting alike:
 *
 *     (advantage - mean) / sqrt(variance + 1e-8)
 *
 * The variance is the sample's (divided by n - 1), as in the library that the authors use; for a single
 * token it is taken as 0, so that its advantage becomes 0 and not NaN.
 *
 * @param batch the advantages of each response of the global batch
 * @returns fresh arrays of the same lengths
 */
export function whiten(batch: readonly Float32Array[]): Float32Array[] {
  const count = sumOver(batch, () => 1);
  const mean = sumOver(batch, (advantage) => advantage) / count;
  const squares = sumOver(batch, (advantage) => (advantage - mean) ** 2);
  const scale = 1 / Math.sqrt(squares / Math.max(count - 1, 1) + varianceEpsilon);
  return batch.map((advantages) => advantages.map((advantage) => (advantage - mean) * scale));
}

/** Keeps a tiny deviation from making a large advantage; TRL's value, the paper has none. */
const deviationEpsilon = 1e-4;

/**
 * GRPO: how much better a response is than the others to its question, in standard deviations of their scores:
 *
 *     advantage = (score - mean) / (deviation + 1e-4)
 *
 * The deviation is the sample's (divided by n - 1), as in TRL; the paper says only "std".
 * Reference: Shao et al., DeepSeekMath, arXiv 2402.03300, section 4.1.2.
 *
 * @param scores of all responses to one question
 * @param deviation another one than theirs; null divides by nothing
 * @returns one number per response, for all of its tokens; 0 when all score the same, so for a single response, too
 */
export function standardise(
  scores: readonly number[],
  deviation: number | null = deviationOf(scores),
): number[] {
  if (!hasSpread(scores)) return scores.map(() => 0);
  const mean = sum(scores) / scores.length;
  const divisor = deviation === null ? 1 : deviation + deviationEpsilon;
  return scores.map((score) => (score - mean) / divisor);
}

/** The sample's standard deviation: divided by n - 1. NaN of a single number. */
export function deviationOf(scores: readonly number[]): number {
  const mean = sum(scores) / scores.length;
  const squares = sum(scores.map((score) => (score - mean) ** 2));
  return Math.sqrt(squares / (scores.length - 1));
}

/**
 * RLOO: the reward of a response less the mean reward of the others to its question.
 * Reference: Ahmadian et al., Back to Basics, arXiv 2402.14740, section 2.2; TRL's RLOOTrainer.
 *
 * @param rewards of all responses to one question, each the sum over its tokens, KL penalties included
 * @returns one number per response, for all of its tokens; 0 for a single response, which has nothing to be compared with
 */
export function leaveOneOut(rewards: readonly number[]): number[] {
  if (rewards.length === 1) return [0];
  const total = sum(rewards);
  return rewards.map((reward) => reward - (total - reward) / (rewards.length - 1));
}

/** Do the numbers differ at all? */
export function hasSpread(values: readonly number[]): boolean {
  return values.some((value) => value !== values[0]);
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}

/** In double precision. */
function sumOver(batch: readonly Float32Array[], term: (advantage: number) => number): number {
  let sum = 0;
  for (const advantages of batch) {
    for (const advantage of advantages) sum += term(advantage);
  }
  return sum;
}
