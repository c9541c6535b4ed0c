// What TensorBoard reads of a run: by a small reader of our own, and by TensorBoard itself where a Python has it. Takes 1 s, and 3 s
// more where it does.
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { encodeEvent, eventFileStart } from "../../src/formats/eventFile.ts";
import { writeSamples } from "../../src/run/metrics.ts";
import { openRun } from "../../src/run/run.ts";
import { runSteps } from "../../src/run/steps.ts";
import { crc32c, readBoard, readEvents } from "../support/eventFile.ts";
import { tinyConfig, untrained } from "../support/runs.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

vi.spyOn(process.stderr, "write").mockImplementation(() => true);

const logged = { ...tinyConfig, logging: { tensorboard: true } };

/** Five steps, measured and saved at every second; a crash after `until`. */
async function train(folder: string, until = 5, config: typeof tinyConfig = logged): Promise<void> {
  using run = openRun(folder, config);
  const plan = {
    ...{ label: "Test", totalSteps: 5, stepsPerEpoch: 2 },
    ...{ measuresStart: true, measureEverySteps: 2, saveEverySteps: null },
    memory: { forecastMegabytes: 123, report: () => {} },
  };
  const interrupts = { requested: async () => false, [Symbol.asyncDispose]: async () => {} };
  const crash = new Error("crash");
  await runSteps(run, interrupts, plan, {
    trained: untrained,
    step: (step) => {
      if (step === until) throw crash;
      return { "ppo/policyLoss": step === 2 ? Number.NaN : 1 / (step + 1) };
    },
    measure: (step) => {
      const sample = (i: number) => ({
        ...{ id: `q${i}`, question: `Question ${i}\n# of *two* lines`, text: `answer ${step}` },
        ...{ outcome: { kind: "answer", value: i }, score: 0.5, correct: false },
      });
      writeSamples(run, step, [0, 1, 2, 3, 4, 5].map(sample));
      return { figures: { "eval/accuracy": step / 10 }, isBest: true };
    },
    save: (target, training) => {
      writeFileSync(join(target, "config.json"), "{}");
      writeFileSync(join(training, "step"), "");
    },
    state: () => ({}),
    shown: () => ({}),
  }).catch((error: unknown) => {
    if (error !== crash) throw error;
  });
}

/** Figures as metrics.jsonl has them, rounded as TensorBoard's are. */
function metricsOf(folder: string) {
  const lines = readFileSync(join(folder, "metrics.jsonl"), "utf8").trimEnd().split("\n");
  return lines.map((line) => {
    const { step, time, ...figures } = JSON.parse(line);
    const rounded = Object.entries(figures).map(([name, value]) => [
      name,
      Math.fround(Number(value)),
    ]);
    return { step, time: Date.parse(time) / 1000, figures: Object.fromEntries(rounded) };
  });
}

const pointsOf = (folder: string) =>
  readBoard(folder)
    .slice(3)
    .map(({ step, time, figures }) => ({ step, time, figures }));

describe("events", () => {
  test("the checksum is CRC-32C", () => {
    expect(crc32c(Buffer.from("123456789"))).toBe(0xe3069283); // RFC 3720's polynomial, the usual check value
  });

  test("come back as they were written, large steps and any text included", () => {
    const values = [
      { tag: "loss", figure: 0.1 },
      { tag: "diverged", figure: Number.POSITIVE_INFINITY },
      { tag: "text", text: `Ärger 🎈 \0 ${"x".repeat(300)}` },
    ];
    const event = encodeEvent({ time: 1764391552.25, step: 2 ** 40 + 3, values });
    const [version, start, read] = readEvents(Buffer.concat([eventFileStart(5), event]));
    expect(version).toMatchObject({ time: 5, version: "brain.Event:2" });
    expect(start).toMatchObject({ step: 0, isStart: true });
    expect(read).toMatchObject({
      ...{ time: 1764391552.25, step: 2 ** 40 + 3 },
      figures: { loss: Math.fround(0.1), diverged: Number.POSITIVE_INFINITY },
      texts: { text: values[2]!.text },
    });
  });
});

describe("a run's board", () => {
  test("is not there unless asked for", async () => {
    const folder = temporaryFolder();
    await train(folder, 5, tinyConfig);
    expect(readdirSync(folder)).not.toContain("tensorboard");
  });

  test("has every figure of metrics.jsonl, some samples of each measurement, and the settings", async () => {
    const folder = temporaryFolder();
    await train(folder);
    expect(pointsOf(folder)).toEqual(metricsOf(folder));
    const events = readBoard(folder);
    expect(events[2]!.texts.settings).toContain("    stage: reft\n");
    const withTexts = events.slice(3).filter(({ texts }) => Object.keys(texts).length > 0);
    expect(withTexts.map(({ step }) => step)).toEqual([0, 2, 4, 5]);
    expect(Object.keys(withTexts[1]!.texts)).toEqual([1, 2, 3, 4].map((i) => `samples/${i}`));
    expect(withTexts[1]!.texts["samples/2"]).toMatch(
      /^ {4}Question 1\n {4}# of \*two\* lines\n\nscore 0.5\n\n {4}answer 2\n\n {4}\{"kind"/,
    );
  });

  test("has no step twice and none too few after a crash, and one file", async () => {
    const folder = temporaryFolder();
    await train(folder, 3); // the checkpoint is of step 2
    expect(pointsOf(folder).map(({ step }) => step)).toEqual([0, 1, 2, 3]);
    await train(folder);
    expect(pointsOf(folder).map(({ step }) => step)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(pointsOf(folder)).toEqual(metricsOf(folder));
  });

  test("can be read when the process was killed within a record", async () => {
    const folder = temporaryFolder();
    await train(folder);
    const [name] = readdirSync(join(folder, "tensorboard"));
    const path = join(folder, "tensorboard", name!);
    const whole = readFileSync(path);
    writeFileSync(path, whole.subarray(0, whole.length - 7));
    expect(pointsOf(folder)).toEqual(metricsOf(folder).slice(0, -1));
    await train(folder);
    expect(pointsOf(folder)).toEqual(metricsOf(folder));
  });

  test("asked for when the run goes on, it begins with the first step; files of others stay", async () => {
    const folder = temporaryFolder();
    await train(folder, 3, tinyConfig);
    await train(folder);
    expect(pointsOf(folder)).toEqual(metricsOf(folder));
    writeFileSync(join(folder, "tensorboard", "events.out.tfevents.1.other"), "");
    await train(folder);
    expect(readdirSync(join(folder, "tensorboard")).length).toBe(2);
  });
});

// Pinned in scripts/golden/requirements.txt.
const python = process.env.REFT_PYTHON ?? "python3";
const hasTensorBoard =
  spawnSync(python, ["-c", "import tensorboard.backend.event_processing"]).status === 0;

test.skipIf(!hasTensorBoard)(
  "TensorBoard reads the same (tensorboard in REFT_PYTHON)",
  async () => {
    const folder = temporaryFolder();
    await train(folder, 3);
    await train(folder);
    const script = join("scripts", "check_tensorboard.py");
    const { stdout, stderr, status } = spawnSync(python, [script, join(folder, "tensorboard")], {
      encoding: "utf8",
    });
    expect(status, stderr).toBe(0);
    const { figures, texts } = JSON.parse(stdout) as {
      figures: Record<string, [step: number, value: number | null][]>;
      texts: Record<string, [step: number, text: string][]>;
    };
    const names = new Set(metricsOf(folder).flatMap(({ figures }) => Object.keys(figures)));
    const expected = [...names].map((name) => {
      const points = metricsOf(folder).filter(({ figures }) => name in figures);
      const finite = (value: number) => (Number.isFinite(value) ? value : null);
      return [name, points.map(({ step, figures }) => [step, finite(figures[name])])];
    });
    expect(figures).toEqual(Object.fromEntries(expected));
    expect(texts["samples/1"]!.map(([step]) => step)).toEqual([0, 2, 4, 5]);
    expect(texts["samples/1"]![1]![1]).toContain("answer 2");
    expect(texts.settings![0]![1]).toContain("stage: reft");
  },
);
