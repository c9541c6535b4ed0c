// How far each pair of a head turns per position.
import type { ModelConfig } from "./config.ts";
import type { Llama3RopeScaling } from "./ropeSettings.ts";

/**
 * By how many radians pair `i` of a head turns per position: `theta^(-2i / headDim)`, then scaled.
 * Every operation is rounded to float32, as in transformers, so that both turn alike far out, too.
 *
 * @returns headDim / 2 values
 */
export function ropeInverseFrequencies(config: ModelConfig): Float32Array {
  const { headDim, ropeTheta, ropeScaling } = config;
  const { fround } = Math;
  return Float32Array.from({ length: headDim / 2 }, (_, i) => {
    const frequency = fround(1 / fround(ropeTheta ** fround((2 * i) / headDim)));
    if (ropeScaling === null) return frequency;
    if (ropeScaling.type === "linear") return fround(frequency / ropeScaling.factor);
    return scaleLlama3(frequency, ropeScaling);
  });
}

/** The ramp is linear in 1 / wavelength. Reference: transformers, modeling_rope_utils.py. */
function scaleLlama3(frequency: number, scaling: Llama3RopeScaling): number {
  const { factor, lowFreqFactor, highFreqFactor, originalMaxPositions } = scaling;
  const { fround } = Math;
  const wavelength = fround(fround(2 * Math.PI) / frequency);
  if (wavelength < originalMaxPositions / highFreqFactor) return frequency;
  if (wavelength > originalMaxPositions / lowFreqFactor) return fround(frequency / factor);
  const turns = fround(originalMaxPositions / wavelength);
  const kept = fround(fround(turns - lowFreqFactor) / fround(highFreqFactor - lowFreqFactor));
  const stretched = fround(fround(fround(1 - kept) * frequency) / factor);
  return fround(stretched + fround(kept * frequency));
}
