// Gradient accumulation, global-norm clipping and AdamW, all in place, with state kept by the variables' names.
import { createHash } from "node:crypto";
import { gather, rankCount, shareOf } from "../ranks.ts";
import { addOverRanks, sumOverRanks } from "./cluster.ts";
import { type Compiled, compile } from "./compile.ts";
import { sumOfSquares } from "./ops.ts";
import { attribute, backend, executeOp, FLOAT, readAndDispose, type Tensor, tf } from "./tf.ts";
import { Variable } from "./variable.ts";

export interface AdamWOptions {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
  /** Gradients are scaled so that their norm over all variables together is at most this. */
  readonly maxGradNorm: number;
  /**
   * Whether each of several ranks has the moments of its share of the variables alone, updates those, and sends them to the others.
   * Reference: Rajbhandari et al., arXiv 1910.02054, the first stage of ZeRO. False unless given.
   */
  readonly shard?: boolean | undefined;
}

/** One of the sets of variables that have their own learning rate. */
export interface ParameterGroup {
  readonly variables: readonly Variable[];
}

interface Slot {
  readonly variable: Variable;
  readonly gradient: Variable;
  /** Undefined where another rank updates the variable. */
  readonly moments: Moments | undefined;
}

interface Moments {
  readonly first: Variable;
  readonly second: Variable;
}

/** A moment of whichever rank has it. */
export interface StoredMoment {
  readonly shape: readonly number[];
  /** Row-major. */
  values(): Float32Array;
}

/** What came of an update that is made only with finite numbers. */
export interface GuardedUpdate {
  readonly gradNorm: number;
  /** The figures that are not finite, if the update was left out because of them: one record or none. */
  readonly skipped: readonly Readonly<Record<string, number>>[];
}

/**
 * One update with the gathered gradients, unless a figure of their losses or their norm is not finite: weights, moments and step counts
 * then stay as they are, to the last bit, and the gradients are cleared.
 */
export function updateIfFinite(
  optimizer: AdamW,
  learningRates: readonly (number | null)[],
  figures: Readonly<Record<string, number>>,
): GuardedUpdate {
  const notFinite = Object.entries(figures).filter(([, figure]) => !Number.isFinite(figure));
  if (notFinite.length > 0) {
    optimizer.discard();
    return { gradNorm: Number.NaN, skipped: [Object.fromEntries(notFinite)] };
  }
  const gradNorm = optimizer.update(learningRates);
  return { gradNorm, skipped: Number.isFinite(gradNorm) ? [] : [{ gradNorm }] };
}

/**
 * AdamW as PyTorch's, for variables that TensorFlow owns. Reference: Loshchilov and Hutter, arXiv 1711.05101.
 * Call `accumulate` inside a compiled step once per microbatch, then `update` once per global batch.
 */
export class AdamW {
  private readonly groups: readonly (readonly Slot[])[];
  private readonly slots: ReadonlyMap<string, Slot>;
  private readonly options: AdamWOptions;
  private readonly steps: number[];
  private readonly compiled = new Map<string, Compiled>();

  constructor(groups: readonly ParameterGroup[], options: AdamWOptions) {
    const all = groups.flatMap(({ variables }) => variables);
    const own = new Set(options.shard ? shareOf(all, ({ size }) => size) : all);
    const momentsOf = ({ name, shape }: Variable): Moments => ({
      first: new Variable(`${name}.exp_avg`, shape),
      second: new Variable(`${name}.exp_avg_sq`, shape),
    });
    const slotOf = (variable: Variable): Slot => ({
      variable,
      gradient: new Variable(`${variable.name}.grad`, variable.shape),
      moments: own.has(variable) ? momentsOf(variable) : undefined,
    });
    this.groups = groups.map(({ variables }) => variables.map(slotOf));
    this.slots = new Map(this.groups.flat().map((slot) => [slot.variable.name, slot]));
    if (this.slots.size !== this.groups.flat().length)
      throw new Error("AdamW: two variables have the same name");
    this.options = options;
    this.steps = groups.map(() => 0);
  }

  /** Adds gradients, by variable name, to what this update has gathered so far. For use inside a compiled step. */
  accumulate(gradients: ReadonlyMap<string, Tensor>): void {
    for (const [name, gradient] of gradients) {
      const slot = this.slots.get(name);
      if (!slot) throw new Error(`AdamW: ${name} is not one of the optimizer's variables`);
      slot.gradient.assignAdd(gradient);
    }
  }

  /**
   * One update with the gathered gradients of all ranks, which are then cleared.
   *
   * @param learningRates one per group; null leaves the group, its moments and its step count as they are
   * @returns the global norm of the gradients before clipping; where it is not finite, nothing else was changed
   */
  update(learningRates: readonly (number | null)[]): number {
    const active = learningRates.flatMap((rate, group) => (rate === null ? [] : [group]));
    const norm = this.gradientNorm(active);
    if (!Number.isFinite(norm)) {
      this.discard();
      return norm;
    }

    for (const group of active) this.steps[group]!++;
    const { beta1, beta2, epsilon, maxGradNorm } = this.options;
    // As torch.nn.utils.clip_grad_norm_: min(1, max / (norm + 1e-6)).
    const scale = Math.min(1, maxGradNorm / (norm + 1e-6));
    // ResourceApplyAdam knows "epsilon hat": lr·√c2/c1 · m / (√v + ε·√c2) is PyTorch's lr/c1 · m / (√v/√c2 + ε), with the bias
    // corrections c = 1 - βᵗ computed here in double precision.
    const scalars = active.flatMap((group) => {
      const correction1 = 1 - beta1 ** this.steps[group]!;
      const correction2 = Math.sqrt(1 - beta2 ** this.steps[group]!);
      const rate = learningRates[group]!;
      return [(rate * correction2) / correction1, epsilon * correction2, rate];
    });
    const apply = this.compiledFor("adamw", active, (scalars) =>
      this.traceUpdate(active, scalars!),
    );
    const input = tf.tensor1d([...scalars, scale]);
    readAndDispose(apply(input));
    input.dispose();
    return norm;
  }

  /** Clears the gathered gradients without an update. */
  discard(): void {
    for (const { gradient } of this.slots.values()) gradient.clear();
  }

  /** Updates made so far, per group. */
  updates(): readonly number[] {
    return [...this.steps];
  }

  /** First and second moments that this rank has, named `<variable>.exp_avg` and `<variable>.exp_avg_sq` as in PyTorch. */
  moments(): ReadonlyMap<string, Variable> {
    const variables = [...this.slots.values()].flatMap(({ moments }) =>
      moments ? [moments.first, moments.second] : [],
    );
    return new Map(variables.map((variable) => [variable.name, variable]));
  }

  /**
   * The moments of all ranks, for the first one: each is fetched when its values are asked for, while the others call `sendMoments`, up
   * to `endSending`.
   */
  momentsOfAll(): ReadonlyMap<string, StoredMoment> {
    if (rankCount() === 1 || !this.options.shard) return this.moments();
    const all = [...this.slots.values()].flatMap(({ variable: { name, shape } }) =>
      [`${name}.exp_avg`, `${name}.exp_avg_sq`].map((moment) => {
        const values = () => {
          gather([moment]);
          return this.fetch(moment, shape);
        };
        return [moment, { shape, values }] as const;
      }),
    );
    return new Map(all);
  }

  /** Sends the first rank the moments that it asks for, until it asks for no more. */
  sendMoments(): void {
    for (;;) {
      const [moment] = gather<string>([]);
      if (moment === undefined) return;
      const { variable } = this.slots.get(moment.replace(/\.exp_avg(_sq)?$/, ""))!;
      this.fetch(moment, variable.shape);
    }
  }

  /** Tells the others that nothing more is asked for. */
  endSending(): void {
    gather([]);
  }

  /** The values of the one rank that has them, on all ranks. */
  private fetch(moment: string, shape: readonly number[]): Float32Array {
    const own = this.moments().get(moment);
    return sumOverRanks("a moment", () => own?.read() ?? tf.zeros([...shape]));
  }

  /** SHA-256 of the weights: the same on all ranks, as long as none of them has gone astray. */
  fingerprint(): string {
    const hash = createHash("sha256");
    for (const { variable } of this.slots.values()) hash.update(variable.values());
    return hash.digest("hex");
  }

  /** Goes on from so many updates per group; the moments of then are loaded into `moments`. */
  resumeAt(updates: readonly number[]): void {
    updates.forEach((count, group) => {
      this.steps[group] = count;
    });
  }

  dispose(): void {
    for (const run of this.compiled.values()) run.dispose();
    for (const slot of this.slots.values()) {
      for (const variable of [slot.gradient, slot.moments?.first, slot.moments?.second])
        variable?.dispose();
    }
  }

  private gradientNorm(active: readonly number[]): number {
    const run = this.compiledFor("gradient_norm", active, () => {
      const slots = active.flatMap((group) => this.groups[group]!);
      const gradients = slots.map(({ gradient }) => gradient);
      addOverRanks(`gradients of ${active.join(" and ")}`, gradients);
      return tf.sqrt(tf.addN(slots.map(({ gradient }) => sumOfSquares(gradient.read()))));
    });
    const [norm] = readAndDispose(run());
    return norm![0]!;
  }

  private compiledFor(
    name: string,
    active: readonly number[],
    step: (...inputs: Tensor[]) => Tensor,
  ): Compiled {
    const key = `${name}_${active.join("_")}`;
    let run = this.compiled.get(key);
    if (!run) {
      run = compile(key, (...inputs) => [step(...inputs)]);
      this.compiled.set(key, run);
    }
    return run;
  }

  /** @param scalars per active group: corrected rate, corrected epsilon, rate; at the end the scale of the gradients */
  private traceUpdate(active: readonly number[], scalars: Tensor): Tensor {
    const { weightDecay } = this.options;
    const scalar = (index: number) => tf.reshape(tf.slice(scalars, [index], [1]), []);
    const scale = scalar(3 * active.length);
    active.forEach((group, position) => {
      const [rate, epsilon, decayRate] = [0, 1, 2].map((i) => scalar(3 * position + i));
      for (const slot of this.groups[group]!) {
        if (!slot.moments) continue;
        const gradient = tf.mul(slot.gradient.read(), scale);
        if (weightDecay !== 0)
          slot.variable.assignSub(tf.mul(slot.variable.read(), tf.mul(decayRate!, weightDecay)));
        this.applyAdam(slot.variable, slot.moments, gradient, rate!, epsilon!);
      }
    });
    const slots = active.flatMap((group) => this.groups[group]!);
    for (const { gradient } of slots) gradient.clear();
    if (this.options.shard) this.spread(active, slots);
    return scale;
  }

  /** Gives all ranks what each of them has updated: it is added to zeros. */
  private spread(active: readonly number[], slots: readonly Slot[]): void {
    if (rankCount() === 1) return;
    for (const { variable, moments } of slots) if (!moments) variable.clear();
    const variables = slots.map(({ variable }) => variable);
    addOverRanks(`weights of ${active.join(" and ")}`, variables);
  }

  private applyAdam(
    variable: Variable,
    { first, second }: Moments,
    gradient: Tensor,
    rate: Tensor,
    epsilon: Tensor,
  ): void {
    const { beta1, beta2 } = this.options;
    const tensors = [0, 0, rate, beta1, beta2, epsilon, gradient].map((x) =>
      typeof x === "number" ? tf.scalar(x) : x,
    );
    const handles = [variable, first, second].map(({ handle }) => handle);
    executeOp(
      "ResourceApplyAdam",
      [
        attribute.type("T", FLOAT),
        attribute.bool("use_locking", false),
        attribute.bool("use_nesterov", false),
      ],
      [...handles, ...backend.getInputTensorIds(tensors)],
      0,
    );
  }
}
