// How good the classifier's probabilities are, apart from how they rank.

/** P(correct) as the classifier gave it, and how it was. */
export interface Prediction {
  readonly probability: number;
  readonly correct: boolean;
}

/** The predictions in one tenth of the probabilities. */
export interface ReliabilityBin {
  /** Probabilities from here up to `to`; the last bin has 1, too. */
  readonly from: number;
  readonly to: number;
  readonly count: number;
  /** Both null in an empty bin. In a calibrated classifier they are alike. */
  readonly meanProbability: number | null;
  readonly correctFraction: number | null;
}

const bins = 10;

/** The reliability table: predictions in ten bins of equal width. Reference: Guo et al., arXiv 1706.04599, section 2. */
export function reliabilityTable(predictions: readonly Prediction[]): ReliabilityBin[] {
  return Array.from({ length: bins }, (_, bin) => {
    const inside = predictions.filter(
      ({ probability }) => Math.min(bins - 1, Math.floor(bins * probability)) === bin,
    );
    const isEmpty = inside.length === 0;
    return {
      from: bin / bins,
      to: (bin + 1) / bins,
      count: inside.length,
      meanProbability: isEmpty ? null : mean(inside.map(({ probability }) => probability)),
      correctFraction: isEmpty ? null : mean(inside.map(({ correct }) => Number(correct))),
    };
  });
}

/**
 * The mean over all predictions of |mean probability - share of right ones| in their bin.
 * Reference: Guo et al., arXiv 1706.04599, eq. 3.
 */
export function expectedCalibrationError(table: readonly ReliabilityBin[]): number {
  const count = table.reduce((sum, bin) => sum + bin.count, 0);
  const gaps = table.map(
    (bin) => bin.count * Math.abs((bin.meanProbability ?? 0) - (bin.correctFraction ?? 0)),
  );
  return gaps.reduce((sum, gap) => sum + gap, 0) / count;
}

/** Shares and means over predictions; `majorityAccuracy` is what the more frequent label would reach if it were always said. */
export function summarisePredictions(predictions: readonly Prediction[]) {
  const correctFraction = mean(predictions.map(({ correct }) => Number(correct)));
  return {
    classifierAccuracy: mean(
      predictions.map(({ probability, correct }) => Number(probability > 0.5 === correct)),
    ),
    majorityAccuracy: Math.max(correctFraction, 1 - correctFraction),
    correctFraction,
    /** Reference: Brier, Monthly Weather Review 78 (1950), p. 1; for one of the two labels. */
    brierScore: mean(
      predictions.map(({ probability, correct }) => (probability - Number(correct)) ** 2),
    ),
  };
}

/**
 * The mean of -log p(label). From logits, because 1 - p is 0 in float32 long before the loss is infinite.
 *
 * @param logits [predictions, 2] of wrong and right
 */
export function meanLoss(logits: Float32Array, labels: readonly boolean[]): number {
  const losses = labels.map((correct, i) => {
    const margin = (logits[2 * i + 1]! - logits[2 * i]!) * (correct ? 1 : -1);
    return Math.max(0, -margin) + Math.log1p(Math.exp(-Math.abs(margin))); // log(1 + exp(-margin))
  });
  return mean(losses);
}

function mean(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
}
