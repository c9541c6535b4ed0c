// What eight ranks would bring where none of it could be measured: eight GPUs of one host, and eight hosts with a GPU each. The model of
// docs/distributed.md, with its assumptions; prints its table.
//   npx tsx scripts/bench/ranksOnPaper.ts
import { markdownTable } from "../../src/evaluate/tables.ts";
import { readOptions, runScript } from "../script.ts";

/** One NVIDIA H200, per second: shares of what its data sheet says that other programs reach. */
const gpu = {
  /** Multiplications and additions in TF32: 40 % of 495e12. */
  operations: 0.4 * 495e12,
  /** Bytes read or written: 60 % of 4.8e12. */
  bytes: 0.6 * 4.8e12,
  /** A decode step takes at least so many seconds: 512 answers to SVAMP took SmolLM2 4 to 8 s (docs/log.md). */
  decodeStepSeconds: 0.02,
} as const;

/** Bytes that a rank sends per second while all of them do. */
const networks = {
  "8 GPUs, NVLink": 0.7 * 450e9,
  "8 hosts, 400 Gbit/s": 0.7 * 50e9,
  "8 hosts, 25 Gbit/s": 0.7 * 3.1e9,
} as const;

const models = [
  { name: "135 M", weights: 135e6, adapter: 4.9e6 },
  { name: "1 B", weights: 1.24e9, adapter: 11e6 },
  { name: "7 B", weights: 6.74e9, adapter: 40e6 },
] as const;

/** A GRPO step, as in the settings for SmolLM2 but larger: each answer is sampled, scored by policy and reference, and learned once. */
const step = {
  answers: 512,
  promptTokens: 100,
  answerTokens: 200,
  slots: 128,
  updates: 4,
} as const;

interface Trained {
  readonly weights: number;
  /** Either all of them or those of an adapter. */
  readonly trained: number;
}

interface Seconds {
  readonly rollout: number;
  readonly learning: number;
  readonly exchange: number;
}

/** Seconds of a step on so many ranks. */
function secondsOf({ weights, trained }: Trained, ranks: number, network: number): Seconds {
  const answers = step.answers / ranks;
  const slots = Math.min(step.slots, answers);
  const decodeStep = Math.max(
    gpu.decodeStepSeconds,
    (4 * weights) / gpu.bytes,
    (2 * weights * slots) / gpu.operations,
  );
  const tokens = answers * (step.promptTokens + step.answerTokens);
  // Forwards 2 per weight, backwards to the layer below 2, to the weight itself 2 where it is trained.
  const perToken = 2 * 2 + 4 + (trained === weights ? 2 : 0);
  // AdamW reads gradient, weight and moments, and writes all but the gradient.
  const updates = (step.updates * 7 * 4 * trained) / gpu.bytes;
  return {
    rollout: (answers / slots) * step.answerTokens * decodeStep,
    learning: (perToken * weights * tokens) / gpu.operations + updates,
    // A ring sends each number 2 (n - 1) / n times.
    exchange: (step.updates * 2 * ((ranks - 1) / ranks) * 4 * trained) / network,
  };
}

const totalOf = ({ rollout, learning, exchange }: Seconds) => rollout + learning + exchange;

await runScript("ranksOnPaper", async () => {
  readOptions("npx tsx scripts/bench/ranksOnPaper.ts", {});
  const rows = models.flatMap(({ name, weights, adapter }) =>
    (
      [
        ["full", weights],
        ["LoRA", adapter],
      ] as const
    ).flatMap(([what, trained]) =>
      Object.entries(networks).map(([network, bytesPerSecond]) => {
        const one = totalOf(secondsOf({ weights, trained }, 1, bytesPerSecond));
        const eight = secondsOf({ weights, trained }, 8, bytesPerSecond);
        return [
          `${name}, ${what}`,
          network,
          one.toPrecision(3),
          totalOf(eight).toPrecision(3),
          (one / totalOf(eight)).toFixed(1),
          `${((100 * eight.rollout) / totalOf(eight)).toFixed(0)} %`,
          `${((100 * eight.exchange) / totalOf(eight)).toFixed(0)} %`,
        ];
      }),
    ),
  );
  const heads = [
    ...["model", "ranks", "one GPU, s a step", "eight, s", "times as fast"],
    ...["rollout's share", "exchange's share"],
  ];
  console.log(markdownTable([heads, ...rows]));
});
