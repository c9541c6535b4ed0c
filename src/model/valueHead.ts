// The value head: one linear unit on the hidden states that predict a response's tokens.
import { type Tensor, tf } from "../engine/tf.ts";
import { Variable } from "../engine/variable.ts";
import type { ModelConfig } from "./config.ts";
import type { Weights } from "./weights.ts";

/** One linear unit on the hidden state: [predictions]. */
export function responseValues(weights: Weights, states: Tensor): Tensor {
  const values = tf.add(
    weights.project(states, "value_head.weight"),
    weights.vector("value_head.bias"),
  );
  return tf.reshape(values, [states.shape[0]!]);
}

/** A value head that says 0 everywhere until it has learned. */
export function createValueHead(config: ModelConfig): ReadonlyMap<string, Variable> {
  const head = [
    new Variable("value_head.weight", [1, config.dim]),
    new Variable("value_head.bias", [1]),
  ];
  return new Map(head.map((variable) => [variable.name, variable]));
}
