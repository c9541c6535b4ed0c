// Generation with a key-value cache and continuous batching: a fixed number of slots, each holding one sequence at a time; when
// a sequence ends, its slot goes to the next prompt.
//
// Keys and values are written in place to the slot's own rows at the sequence's own positions, so nothing is padded on the left
// and sequences of any lengths share a step. Sampling happens inside the compiled step, with one random number per token drawn
// from the sequence's own stream: what a sequence becomes does not depend on its neighbours.
import { bucketSize } from "../data/batch.ts";
import { type Compiled, compile } from "../engine/compile.ts";
import { type Tensor, tf } from "../engine/tf.ts";
import type { Model } from "../model/model.ts";
import type { Rng } from "../rng.ts";
import { createCache, decodeStep, prefillStep } from "./steps.ts";

export interface Prompt {
  /** At least one token. */
  readonly tokens: readonly number[];
  /** Chooses the samples; unused when greedy. */
  readonly rng: Rng;
}

export interface Response {
  /** Ends in EOS unless `isTruncated`. */
  readonly tokens: readonly number[];
  /** Natural, of each token under the distribution it was sampled from (temperature 1 when greedy). */
  readonly logprobs: Float32Array;
  /** True when maxNewTokens came before EOS. */
  readonly isTruncated: boolean;
}

export interface GeneratorOptions {
  /** Sequences in the making at once. */
  readonly slots: number;
  /** Longest prompt and response together, in tokens. */
  readonly maxTokens: number;
  /** Logits are divided by it; 0 is greedy. */
  readonly temperature: number;
}

export interface GenerateOptions {
  readonly maxNewTokens: number;
  /** Tokens that end a response. */
  readonly eosIds: readonly number[];
  /** Called as soon as a response is complete, in order of completion; other work may go on between the calls. */
  readonly onResponse?: (index: number, response: Response) => void;
}

export interface Generator {
  /**
   * One response per prompt, in the prompts' order, with the model's current weights.
   *
   * @throws Error when a prompt and maxNewTokens do not fit into maxTokens
   */
  generate(prompts: readonly Prompt[], options: GenerateOptions): Promise<Response[]>;
  dispose(): void;
}

/** Tokens sampled per call of the decoding step: fewer calls against a few tokens past EOS that are thrown away. */
const DECODE_STEPS = 4;

/** A sequence in the making. */
interface Slot {
  readonly index: number;
  readonly prompt: Prompt;
  readonly tokens: number[];
  readonly logprobs: number[];
}

export function createGenerator(model: Model, options: GeneratorOptions): Generator {
  const { slots: slotCount, temperature } = options;
  const isGreedy = temperature === 0;
  // A few places more than a sequence needs: the last call decodes up to DECODE_STEPS - 1 tokens too many.
  const cache = createCache(
    model.config,
    slotCount,
    bucketSize(options.maxTokens + DECODE_STEPS, 16),
  );
  const prefill = compile("prefill", (...inputs) => prefillStep(model, cache, isGreedy, inputs));
  const decode = compile("decode", (...inputs) => decodeStep(model, cache, isGreedy, inputs));

  return {
    async generate(prompts, { maxNewTokens, eosIds, onResponse }) {
      const longest = prompts.reduce((most, { tokens }) => Math.max(most, tokens.length), 0);
      if (longest + maxNewTokens > options.maxTokens) {
        throw new Error(
          `generate: ${longest} + ${maxNewTokens} tokens do not fit into ${options.maxTokens}`,
        );
      }
      const responses: Response[] = new Array(prompts.length);
      const slots: (Slot | null)[] = new Array(slotCount).fill(null);
      let nextPrompt = 0;

      /** Adds a sampled token; a complete sequence leaves its slot. */
      const append = (slotIndex: number, token: number, logprob: number) => {
        const slot = slots[slotIndex]!;
        slot.tokens.push(token);
        slot.logprobs.push(logprob);
        const ended = eosIds.includes(token);
        if (!ended && slot.tokens.length < maxNewTokens) return;
        const response = {
          tokens: slot.tokens,
          logprobs: Float32Array.from(slot.logprobs),
          isTruncated: !ended,
        };
        responses[slot.index] = response;
        slots[slotIndex] = null;
        onResponse?.(slot.index, response);
      };

      while (nextPrompt < prompts.length || slots.some((slot) => slot !== null)) {
        await new Promise((resolve) => setImmediate(resolve)); // lets the sandbox take and give programs meanwhile
        const free = slots.flatMap((slot, i) => (slot === null ? [i] : []));
        const waiting = prompts.length - nextPrompt;
        // Prefill is worth its call when a fair part of the slots is free, or nothing else is left to do.
        if (
          waiting > 0 &&
          (free.length >= Math.min(waiting, slotCount / 4) || free.length === slotCount)
        ) {
          const taken = free.slice(0, waiting);
          for (const slotIndex of taken) {
            const index = nextPrompt++;
            slots[slotIndex] = { index, prompt: prompts[index]!, tokens: [], logprobs: [] };
          }
          runPrefill(prefill, slots, taken, temperature, append);
        } else {
          runDecode(decode, slots, temperature, append);
        }
      }
      return responses;
    },
    dispose() {
      prefill.dispose();
      decode.dispose();
      for (const variable of [...cache.keys, ...cache.values]) variable.dispose();
    },
  };
}

type Append = (slotIndex: number, token: number, logprob: number) => void;

/** Reads the prompts of the slots in `taken`, each different one once, and samples their first tokens. */
function runPrefill(
  prefill: Compiled,
  slots: readonly (Slot | null)[],
  taken: readonly number[],
  temperature: number,
  append: Append,
): void {
  const prompts = taken.map((slotIndex) => slots[slotIndex]!.prompt);
  const different = [...new Set(prompts.map(({ tokens }) => tokens))];
  const rows = bucketSize(different.length, 1);
  const rowLength = bucketSize(Math.max(...different.map((tokens) => tokens.length)), 16);
  const tokens = new Int32Array(rows * rowLength);
  different.forEach((prompt, row) => {
    tokens.set(prompt, row * rowLength);
  });
  const count = bucketSize(taken.length, 1);
  const sources = new Int32Array(count);
  const lengths = new Int32Array(count);
  const targets = new Int32Array(count);
  const uniforms = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    // Padding repeats the last slot: it writes the same numbers to the same places.
    const like = Math.min(i, prompts.length - 1);
    const prompt = prompts[like]!;
    sources[i] = different.indexOf(prompt.tokens);
    lengths[i] = prompt.tokens.length;
    targets[i] = taken[like]!;
    uniforms[i] = i === like ? uniformFrom(prompt.rng) : 0;
  }
  const inputs = [
    tf.tensor2d(tokens, [rows, rowLength], "int32"),
    tf.tensor1d(sources, "int32"),
    tf.tensor1d(lengths, "int32"),
    tf.tensor1d(targets, "int32"),
    tf.tensor1d(uniforms),
    tf.scalar(temperature),
  ];
  const [sampled, logprobs] = readAll(prefill(...inputs));
  tf.dispose(inputs);
  taken.forEach((slotIndex, i) => {
    append(slotIndex, sampled![i]!, logprobs![i]!);
  });
}

/** Samples DECODE_STEPS more tokens for every slot; those of empty slots and past the end of a response are dropped. */
function runDecode(
  decode: Compiled,
  slots: readonly (Slot | null)[],
  temperature: number,
  append: Append,
): void {
  const count = slots.length;
  const lastTokens = new Int32Array(count);
  const positions = new Int32Array(count);
  const uniforms = new Float32Array(DECODE_STEPS * count);
  slots.forEach((slot, i) => {
    if (!slot) return;
    lastTokens[i] = slot.tokens.at(-1)!;
    positions[i] = slot.prompt.tokens.length + slot.tokens.length - 1;
  });
  const before = [...slots];
  slots.forEach((slot, i) => {
    for (let step = 0; slot && step < DECODE_STEPS; step++)
      uniforms[step * count + i] = uniformFrom(slot.prompt.rng);
  });
  const inputs = [
    tf.tensor1d(lastTokens, "int32"),
    tf.tensor1d(positions, "int32"),
    tf.tensor2d(uniforms, [DECODE_STEPS, count]),
    tf.scalar(temperature),
  ];
  const [sampled, logprobs] = readAll(decode(...inputs));
  tf.dispose(inputs);
  for (let step = 0; step < DECODE_STEPS; step++) {
    before.forEach((slot, i) => {
      if (slot && slots[i] === slot)
        append(i, sampled![step * count + i]!, logprobs![step * count + i]!);
    });
  }
}

function uniformFrom(rng: Rng): number {
  return Math.fround(rng.uniform() * (1 - 2 ** -24)); // float32 must not round it up to 1
}

function readAll(tensors: readonly Tensor[]): (Float32Array | Int32Array)[] {
  return tensors.map((tensor) => {
    const values = tensor.dataSync() as Float32Array | Int32Array;
    tensor.dispose();
    return values;
  });
}
