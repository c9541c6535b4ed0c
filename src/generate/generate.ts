// Generation with a key-value cache and continuous batching: a fixed number of slots, each holding one sequence at a time; when
// a sequence ends, its slot goes to the next prompt.
//
// Keys and values are written in place to the slot's own rows at the sequence's own positions, so nothing is padded on the left
// and sequences of any lengths share a step. Sampling happens inside the compiled step, with one random number per token drawn
// from the sequence's own stream: what a sequence becomes does not depend on its neighbours.
//
// Sequences with one prompt, the same array, share its keys and values: they stay in a slot when a sequence ends, so the next
// sample of this prompt begins there at once or copies them, and the prompt is read once for all of its samples.
import type { KvCacheDtype } from "../config.ts";
import { type Compiled, compile } from "../engine/compile.ts";
import { type Tensor, tf } from "../engine/tf.ts";
import { UserError } from "../errors.ts";
import { bucketSize } from "../model/batch.ts";
import type { Model } from "../model/model.ts";
import type { Rng } from "../rng.ts";
import { nothing, planSlots, type Tokens } from "./slots.ts";
import { copyStep, createCache, decodeStep, prefillStep } from "./steps.ts";

export interface Prompt {
  /** At least one token. Prompts with the same array are read once. */
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
  /** The type of cached keys and values; float32 unless given. */
  readonly kvCacheDtype?: KvCacheDtype | undefined;
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
   * @throws UserError when a log-probability is NaN, once `onResponse` had the response that ends in it: it may say more
   */
  generate(prompts: readonly Prompt[], options: GenerateOptions): Promise<Response[]>;
  dispose(): void;
}

/** Tokens sampled per call of the decoding step: fewer calls against a few tokens past EOS that are thrown away. */
const DECODE_STEPS = 2;
/** Prompts are read, and slots are made, in multiples of so many tokens; so whatever is read fits into its slot. */
const LENGTH_UNIT = 32;

/** A sequence in the making. */
interface Slot {
  readonly index: number;
  readonly prompt: Prompt;
  readonly tokens: number[];
  readonly logprobs: number[];
}

/**
 * Places of a slot for sequences of so many tokens: a few more than they need, since the last call decodes up to DECODE_STEPS - 1
 * tokens too many.
 */
export function capacityOf(maxTokens: number): number {
  return bucketSize(maxTokens + DECODE_STEPS, LENGTH_UNIT);
}

/** @throws UserError for keys and values of bf16 on a GPU */
export function createGenerator(model: Model, options: GeneratorOptions): Generator {
  const { slots: slotCount, temperature } = options;
  const capacity = capacityOf(options.maxTokens);
  const cache = createCache(model.config, slotCount, capacity, options.kvCacheDtype);
  const prefill = compile("prefill", (...inputs) => prefillStep(model, cache, inputs));
  const copy = compile("copy", (...inputs) => copyStep(model.config, cache, inputs));
  const decode = compile("decode", (...inputs) => decodeStep(model, cache, temperature, inputs));

  return {
    async generate(prompts, generating) {
      checkLengths(prompts, generating, options);
      const responses: Response[] = new Array(prompts.length);
      const slots: (Slot | null)[] = new Array(slotCount).fill(null);
      /** Of each slot, the prompt whose keys and values it has. */
      let held: readonly Tokens[] = new Array(slotCount).fill(nothing);
      let nextPrompt = 0;

      /** Adds a sampled token; a complete sequence leaves its slot. */
      const append = (slotIndex: number, token: number, logprob: number) => {
        const slot = slots[slotIndex]!;
        slot.tokens.push(token);
        slot.logprobs.push(logprob);
        const response = responseOf(slot, generating);
        if (!response) return;
        responses[slot.index] = response;
        slots[slotIndex] = null;
        generating.onResponse?.(slot.index, response);
        checkFinite(response, slot.index);
      };

      while (nextPrompt < prompts.length || slots.some((slot) => slot !== null)) {
        await new Promise((resolve) => setImmediate(resolve)); // lets the sandbox take and give programs meanwhile
        const waiting = prompts
          .slice(nextPrompt, nextPrompt + slotCount)
          .map(({ tokens }) => tokens);
        const busy = slots.map((slot) => slot !== null);
        const plan = planSlots(held, busy, waiting);
        held = plan.held;
        for (const slot of plan.start) {
          const prompt = prompts[nextPrompt]!;
          slots[slot] = { index: nextPrompt++, prompt, tokens: [], logprobs: [] };
        }
        if (plan.read.length > 0) runPrefill(prefill, held, plan.read);
        if (plan.copy.length > 0) runCopy(copy, held, plan.copy);
        runDecode(decode, slots, held, append);
      }
      return responses;
    },
    dispose() {
      for (const step of [prefill, copy, decode]) step.dispose();
      for (const variable of [...cache.keys, ...cache.values]) variable.dispose();
    },
  };
}

/** @throws Error when a prompt and its response do not fit into a slot */
function checkLengths(
  prompts: readonly Prompt[],
  { maxNewTokens }: GenerateOptions,
  { maxTokens }: GeneratorOptions,
): void {
  const longest = prompts.reduce((most, { tokens }) => Math.max(most, tokens.length), 0);
  if (longest + maxNewTokens <= maxTokens) return;
  throw new Error(`generate: ${longest} + ${maxNewTokens} tokens do not fit into ${maxTokens}`);
}

/** The response that a sequence is with its newest token; undefined where it goes on. */
function responseOf(
  { tokens, logprobs }: Slot,
  { maxNewTokens, eosIds }: GenerateOptions,
): Response | undefined {
  const ended = Number.isNaN(logprobs.at(-1)) || eosIds.includes(tokens.at(-1)!);
  if (!ended && tokens.length < maxNewTokens) return undefined;
  return { tokens, logprobs: Float32Array.from(logprobs), isTruncated: !ended };
}

/** @throws UserError for a response that ends because its last log-probability is NaN */
function checkFinite({ tokens, logprobs }: Response, index: number): void {
  if (!Number.isNaN(logprobs.at(-1))) return;
  throw new UserError(
    `expected finite log-probabilities, found NaN at token ${tokens.length - 1} of response ${index}: ` +
      "the model's weights are damaged; take another checkpoint",
  );
}

type Append = (slotIndex: number, token: number, logprob: number) => void;

/** Reads the prompts of some slots. */
function runPrefill(prefill: Compiled, held: readonly Tokens[], slots: readonly number[]): void {
  for (const group of groupsOf(slots)) {
    const rowLength = longestLength(group.map((slot) => held[slot]!));
    const tokens = new Int32Array(group.length * rowLength).fill(-1);
    group.forEach((slot, row) => {
      tokens.set(held[slot]!, row * rowLength);
    });
    run(prefill, [
      tf.tensor2d(tokens, [group.length, rowLength], "int32"),
      tf.tensor1d(group, "int32"),
    ]);
  }
}

/** Gives slots the prompts of others. */
function runCopy(
  copy: Compiled,
  held: readonly Tokens[],
  pairs: readonly (readonly [source: number, target: number])[],
): void {
  for (const group of groupsOf(pairs)) {
    const length = longestLength(group.map(([source]) => held[source]!));
    const inputs = [group.map(([source]) => source), group.map(([, target]) => target)];
    run(copy, [...inputs.map((slots) => tf.tensor1d(slots, "int32")), tf.zeros([length], "int32")]);
  }
}

/** In groups whose sizes are powers of two, so that few sizes are traced. */
function groupsOf<T>(items: readonly T[]): T[][] {
  const groups: T[][] = [];
  for (let begin = 0; begin < items.length; begin += groups.at(-1)!.length)
    groups.push(items.slice(begin, begin + 2 ** Math.floor(Math.log2(items.length - begin))));
  return groups;
}

function longestLength(prompts: readonly Tokens[]): number {
  return bucketSize(Math.max(...prompts.map((tokens) => tokens.length)), LENGTH_UNIT);
}

/** Samples DECODE_STEPS more tokens for every slot; those of empty slots and past the end of a response are dropped. */
function runDecode(
  decode: Compiled,
  slots: readonly (Slot | null)[],
  held: readonly Tokens[],
  append: Append,
): void {
  const count = slots.length;
  const lastTokens = new Int32Array(count);
  const positions = new Int32Array(count);
  const uniforms = new Float32Array(DECODE_STEPS * count);
  slots.forEach((slot, i) => {
    // The prompt's last token is fed for the first one of the response; a GPU writes behind the prompt of an empty slot.
    lastTokens[i] = slot ? (slot.tokens.at(-1) ?? slot.prompt.tokens.at(-1)!) : -1;
    positions[i] = held[i]!.length + (slot ? slot.tokens.length - 1 : 0);
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
  ];
  const [sampled, logprobs] = run(decode, inputs);
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

/** Runs a step and reads its results; the inputs are disposed. */
function run(step: Compiled, inputs: Tensor[]): (Float32Array | Int32Array)[] {
  const outputs = step(...inputs);
  const values = outputs.map((tensor) => tensor.dataSync() as Float32Array | Int32Array);
  tf.dispose([...inputs, ...outputs]);
  return values;
}
