import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { loadTokenizer, saveTokenizer } from "../../src/data/tokenizer.ts";
import { liveTensors } from "../../src/engine/tf.ts";
import { Variable } from "../../src/engine/variable.ts";
import { type Disk, nodeDisk } from "../../src/formats/disk.ts";
import { openSafetensors } from "../../src/formats/safetensors.ts";
import type { FloatDtype } from "../../src/formats/safetensorsHeader.ts";
import { createClassifier, disposeClassifier, saveClassifier } from "../../src/model/classifier.ts";
import { sequenceLogits } from "../../src/model/logits.ts";
import { disposeModel, loadModel, saveModel, saveVariables } from "../../src/model/model.ts";
import { type ExportOptions, exportModel } from "../../src/models/export.ts";
import { failingDisk } from "../support/failingDisk.ts";
import { relativeDifference } from "../support/golden.ts";
import { userErrorOf } from "../support/runs.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";
import { weightsIn, writeTinyAdapter, writeTinyData, writeTinyModel } from "../support/tiny.ts";

vi.mock("../../src/model/logits.ts", async (load) => {
  const actual = await load<typeof import("../../src/model/logits.ts")>();
  return { ...actual, sequenceLogits: vi.fn(actual.sequenceLogits) };
});

const whole = { dtype: "F32", maxShardBytes: 1e9, valueHead: false } as const;
const dtypes: readonly FloatDtype[] = ["F32", "BF16", "F16"];

let home: string;
let source: string;
let output: string;
beforeEach(() => {
  home = temporaryFolder();
  [source, output] = [join(home, "source"), join(home, "output")];
  writeTinyModel(source, writeTinyData(home));
});

function exported(options: Partial<ExportOptions> = {}, disk?: Disk) {
  return exportModel(source, output, { ...whole, ...options }, disk);
}

function bytesIn(folder: string): Record<string, Buffer> {
  return Object.fromEntries(
    readdirSync(folder).map((name) => [name, readFileSync(join(folder, name))]),
  );
}

/** What an export leaves beside its output until it is done. */
function hidden(): string[] {
  return readdirSync(home).filter((name) => name.startsWith("."));
}

/** Sets one number of the source's first layer. */
function setWeight(value: number): void {
  const model = loadModel(source);
  const variable = model.parameters.get("model.layers.0.mlp.up_proj.weight")!;
  variable.load(variable.values().with(5, value));
  saveModel(model, source);
  disposeModel(model);
}

function addValueHead(): void {
  mkdirSync(join(source, "training"));
  const head = new Map([
    ["value_head.weight", new Variable("weight", [1, 16], new Float32Array(16).fill(1 / 3))],
    ["value_head.bias", new Variable("bias", [1], Float32Array.of(0.1))],
  ]);
  saveVariables(head, join(source, "training", "value_head.safetensors"));
  for (const variable of head.values()) variable.dispose();
}

/** A disk that damages a file as soon as it was written. */
function damaging(file: string, damage: (path: string) => void): Disk {
  const sync = (path: string) => {
    nodeDisk.sync(path);
    if (path.endsWith(`/${file}`)) damage(path);
  };
  return { ...nodeDisk, sync };
}

function flipBit(offset: number) {
  return (path: string) => {
    const bytes = readFileSync(path);
    bytes[offset < 0 ? bytes.length + offset : offset]! ^= 1;
    writeFileSync(path, bytes);
  };
}

describe("exportModel", () => {
  test("writes the source's own files and what ends a response, and finds no difference", () => {
    const report = exported();
    const { "generation_config.json": generation, ...rest } = bytesIn(output);
    expect(rest).toEqual(bytesIn(source));
    expect(JSON.parse(String(generation))).toEqual({ eos_token_id: 2 });
    expect(report).toMatchObject({ maxDifference: 0, meanKl: 0, agreement: 1, weightFiles: 1 });
    expect(hidden()).toEqual([]);
  });

  test.each(dtypes)("gives the same bytes again when it exports its own export: %s", (dtype) => {
    exported({ dtype, maxShardBytes: 3000 });
    const again = join(home, "again");
    const report = exportModel(output, again, { ...whole, dtype, maxShardBytes: 3000 });
    expect(bytesIn(again)).toEqual(bytesIn(output));
    expect(report.maxDifference).toBe(0);
  });

  test("reports what rounding does: eight times as much in bfloat16 as in float16, about", () => {
    const coarse = exported({ dtype: "BF16" });
    output = join(home, "fine");
    const fine = exported({ dtype: "F16" });
    expect(coarse.maxDifference / fine.maxDifference).toBeGreaterThan(4);
    expect(coarse.maxDifference / fine.maxDifference).toBeLessThan(16);
    expect(fine.meanKl).toBeGreaterThan(0);
    expect(fine.meanKl).toBeLessThan(coarse.meanKl);
  });

  test("cuts the weights into files of at most the given size, and loads them", () => {
    const { weightFiles } = exported({ maxShardBytes: 3000 });
    const shards = readdirSync(output).filter((name) => name.endsWith(".safetensors"));
    expect(shards).toHaveLength(weightFiles);
    const last = String(weightFiles).padStart(5, "0");
    expect(shards.at(-1)).toBe(`model-${last}-of-${last}.safetensors`);
    expect(Object.assign({}, ...shards.map((name) => weightsIn(join(output, name))))).toEqual(
      weightsIn(join(source, "model.safetensors")),
    );
    for (const name of shards) {
      using file = openSafetensors(join(output, name));
      const sizes = [...file.tensors.values()].map(
        ({ shape }) => 4 * shape.reduce((a, b) => a * b),
      );
      const isAlone = sizes.length === 1; // the embedding is larger than a file may be
      expect(isAlone || sizes.reduce((a, b) => a + b) <= 3000).toBe(true);
    }
  });

  test.each(["a file", "a folder with a file"])("refuses an output that is %s", async (what) => {
    if (what === "a file") writeFileSync(output, "");
    else {
      mkdirSync(output);
      writeFileSync(join(output, "notes.txt"), "");
    }
    expect(await userErrorOf(() => exported())).toBe(
      `${output}: expected a new or empty folder; give another one`,
    );
  });

  test("fills an empty folder", () => {
    mkdirSync(output);
    exported();
    expect(existsSync(join(output, "config.json"))).toBe(true);
  });

  test.each([
    ["F16", 65_520],
    ["F16", -1e6],
    ["BF16", Math.fround(3.4e38)],
  ] as const)("names a weight that %s cannot hold: %d", async (dtype, value) => {
    setWeight(value);
    expect(await userErrorOf(() => exported({ dtype }))).toBe(
      `${source}: model.layers.0.mlp.up_proj.weight holds ${value}, which ${dtype} cannot hold; ` +
        "export as bf16 or f32",
    );
    expect(existsSync(output)).toBe(false);
  });

  test.each([Number.NaN, Number.NEGATIVE_INFINITY])(
    "names a weight that is %d, and where it stands",
    async (value) => {
      setWeight(value);
      expect(await userErrorOf(() => exported())).toContain(
        `model.safetensors: model.layers.0.mlp.up_proj.weight holds ${value} at [0, 5] (its shape is [32, 16])`,
      );
      expect(existsSync(output)).toBe(false);
    },
  );

  test("takes the largest weight that rounds to a number", () => {
    setWeight(65_519);
    exported({ dtype: "F16" });
    const weights = weightsIn(join(output, "model.safetensors"));
    expect(weights["model.layers.0.mlp.up_proj.weight"]![5]).toBe(65_504);
  });

  test("keeps a value head under TRL's names, in float32", () => {
    addValueHead();
    exported({ valueHead: true, dtype: "BF16" });
    expect(weightsIn(join(output, "value_head.safetensors"))).toEqual({
      "v_head.summary.bias": [Math.fround(0.1)],
      "v_head.summary.weight": Array(16).fill(Math.fround(1 / 3)),
    });
  });

  test("names a number of the value head that is none", async () => {
    addValueHead();
    flipBit(-1)(join(source, "training", "value_head.safetensors")); // a sign: still a number
    exported({ valueHead: true });
    const bytes = readFileSync(join(source, "training", "value_head.safetensors"));
    bytes.writeFloatLE(Number.NaN, bytes.length - 4);
    writeFileSync(join(source, "training", "value_head.safetensors"), bytes);
    output = join(home, "again");
    expect(await userErrorOf(() => exported({ valueHead: true }))).toContain(
      "value_head.safetensors: value_head.weight holds NaN at [0, 15]",
    );
  });

  test("says where a value head was expected", async () => {
    expect(await userErrorOf(() => exported({ valueHead: true }))).toBe(
      `${join(source, "training", "value_head.safetensors")}: missing, but valueHead expects ` +
        "a checkpoint of train-reft, which has a value head; give one, or leave the option out",
    );
  });

  test("leaves no tensors", () => {
    const before = liveTensors();
    exported();
    expect(liveTensors()).toBe(before);
  });
});

function replace(text: string, by: string) {
  return (path: string) => writeFileSync(path, readFileSync(path, "utf8").replace(text, by));
}

describe("exportModel of a classifier", () => {
  beforeEach(() => {
    const tokenizer = loadTokenizer(source);
    const classifier = createClassifier(loadModel(source), 3);
    rmSync(source, { recursive: true });
    saveClassifier(classifier, source);
    saveTokenizer(tokenizer, source);
    disposeClassifier(classifier);
  });

  test("writes the source's own files, and finds no difference", () => {
    const before = liveTensors();
    const report = exported();
    expect(bytesIn(output)).toEqual(bytesIn(source));
    expect(report).toMatchObject({ positions: 9, maxDifference: 0, weightFiles: 1 });
    expect(liveTensors()).toBe(before);
  });

  test("rounds the head with the rest, and gives the same bytes again from there", () => {
    const report = exported({ dtype: "BF16", maxShardBytes: 3000 });
    expect(report.maxDifference).toBeGreaterThan(0);
    const shards = readdirSync(output).filter((name) => name.endsWith(".safetensors"));
    using last = openSafetensors(join(output, shards.at(-1)!));
    expect(last.tensors.get("score.weight")).toMatchObject({ dtype: "BF16", shape: [2, 16] });
    const config = JSON.parse(readFileSync(join(output, "config.json"), "utf8"));
    const architectures = ["LlamaForSequenceClassification"];
    expect(config).toMatchObject({ architectures, dtype: "bfloat16", id2label: { 1: "right" } });
    const again = join(home, "again");
    exportModel(output, again, { ...whole, dtype: "BF16", maxShardBytes: 3000 });
    expect(bytesIn(again)).toEqual(bytesIn(output));
  });

  test("finds a changed head", async () => {
    const disk = damaging("model.safetensors", flipBit(-1));
    expect(await userErrorOf(() => exported({}, disk))).toContain("score.weight: number 31 is not");
    expect(existsSync(output)).toBe(false);
  });
});

describe("exportModel of an adapter", () => {
  let base: string;
  /** Puts the model under another name, in the type of the release, and an adapter in its place. */
  function adapt(size: number, dtype: FloatDtype = "BF16"): void {
    base = join(home, "base");
    exportModel(source, base, { ...whole, dtype });
    rmSync(source, { recursive: true });
    writeTinyAdapter(source, base, size);
  }

  test("merges it as float32: the folder computes what base and adapter do", () => {
    adapt(0.1);
    const live = liveTensors();
    const report = exported();
    expect(report.mergeLoss).toBe(0);
    expect(report.maxDifference).toBeGreaterThan(0); // one product in place of two and a sum
    expect(report.agreement).toBe(1);
    expect(liveTensors()).toBe(live);
    expect(readdirSync(output).filter((name) => name.startsWith("adapter"))).toEqual([]);
    const tokens = [[5, 6, 7, 8, 9, 10]];
    const [expected, found, without] = [source, output, base].map((folder) => {
      const model = loadModel(folder);
      const logits = sequenceLogits(model, tokens)[0]!;
      disposeModel(model);
      return logits;
    });
    expect(relativeDifference(found!, expected!)).toBeLessThan(1e-5);
    expect(relativeDifference(without!, expected!)).toBeGreaterThan(0.01);
  });

  test("says how much of it 16 bits lose: most of a small one, little of a large one", () => {
    adapt(3e-4);
    const small = exported({ dtype: "BF16" });
    expect(small.mergeLoss).toBeGreaterThan(0.5);
    rmSync(source, { recursive: true });
    writeTinyAdapter(source, base, 1);
    rmSync(output, { recursive: true });
    const large = exported({ dtype: "BF16" });
    expect(large.mergeLoss).toBeGreaterThan(0);
    expect(large.mergeLoss).toBeLessThan(0.02);
    rmSync(output, { recursive: true });
    expect(exported({ dtype: "F16" }).mergeLoss).toBeLessThan(large.mergeLoss! / 4);
  });

  test("has no loss to tell of a model without one", () => {
    expect(exported({ dtype: "BF16" }).mergeLoss).toBeUndefined();
  });

  test("leaves its end tokens in the merged model", () => {
    adapt(0.1);
    const path = join(source, "generation_config.json");
    writeFileSync(path, JSON.stringify({ eos_token_id: [2, 7] }));
    exported();
    const { eos_token_id } = JSON.parse(readFileSync(join(output, "config.json"), "utf8"));
    expect(eos_token_id).toEqual([2, 7]);
  });

  test("finds a merge that is not base and adapter", async () => {
    adapt(0.1);
    const asWritten = vi.mocked(sequenceLogits).getMockImplementation()!;
    vi.mocked(sequenceLogits)
      .mockImplementationOnce(asWritten)
      .mockImplementationOnce((...args) => asWritten(...args).map((row) => row.with(3, 99)));
    expect(await userErrorOf(() => exported())).toContain("logits differ by up to ");
    expect(existsSync(output)).toBe(false);
    expect(hidden()).toEqual([]);
  });

  test("of a classifier gives a classifier without one", () => {
    adapt(0.1, "F32");
    const classifier = createClassifier(loadModel(source), 3);
    rmSync(source, { recursive: true });
    saveClassifier(classifier, source); // its tokenizer is the base model's
    disposeClassifier(classifier);
    const live = liveTensors();
    const report = exported();
    expect(report).toMatchObject({ positions: 9, agreement: 1, mergeLoss: 0 });
    const config = JSON.parse(readFileSync(join(output, "config.json"), "utf8"));
    expect(config.architectures).toEqual(["LlamaForSequenceClassification"]);
    expect(weightsIn(join(output, "model.safetensors"))["score.weight"]).toEqual(
      weightsIn(join(source, "adapter_model.safetensors"))["base_model.model.score.weight"],
    );
    expect(liveTensors()).toBe(live);
  });
});

describe("exportModel finds what changed between writing and reading:", () => {
  const [data, header, length] = [-1, 40, 3];
  test.each([
    ["a bit of a weight", "model.safetensors", flipBit(data), "number 15 is not the source's"],
    ["a bit of the header", "model.safetensors", flipBit(header), ""],
    ["a bit of the header's length", "model.safetensors", flipBit(length), "header of"],
    ["the value head", "value_head.safetensors", flipBit(data), "v_head.summary.weight: number 15"],
    ["the configuration", "config.json", replace('"llama"', '"lama"'), "config.json: not what"],
    ["the tokenizer", "tokenizer.json", replace('": 300', '": 301'), "tokenizer.json: not what"],
    ["the way to answer", "reft.json", replace("a = 1", "a = 2"), "reft.json: not what"],
    ["the end tokens", "generation_config.json", replace("2", "3"), "generation_config.json: not"],
    ["a file's length", "model.safetensors", (p: string) => appendFileSync(p, "x"), "bytes after"],
  ])("%s", async (_, file, damage, found) => {
    addValueHead();
    const before = liveTensors();
    const disk = damaging(file, damage);
    const message = await userErrorOf(() => exported({ valueHead: true }, disk));
    expect(message).toMatch(/^the export failed its check and was removed: .*Try another disk/);
    expect(message).toContain(found);
    expect(message).toContain(file);
    expect(readdirSync(home)).not.toContain("output");
    expect(hidden()).toEqual([]);
    expect(liveTensors()).toBe(before);
  });

  test.each([1e-3, Number.NaN])("logits that are off by %d", async (error) => {
    const spoilt: typeof sequenceLogits = (...args) => {
      const logits = vi.mocked(sequenceLogits).getMockImplementation()!(...args);
      logits[1]![7]! += error;
      return logits;
    };
    const asWritten = vi.mocked(sequenceLogits).getMockImplementation()!;
    vi.mocked(sequenceLogits)
      .mockImplementationOnce(asWritten)
      .mockImplementationOnce(asWritten)
      .mockImplementationOnce(spoilt);
    expect(await userErrorOf(() => exported())).toContain("logits differ by up to ");
    expect(existsSync(output)).toBe(false);
  });
});

describe("exportModel on a disk that fails", () => {
  test("leaves a whole export or none, and says what to do, wherever the disk is full", async () => {
    for (let n = 1; ; n++) {
      output = join(home, `full-${n}`);
      const disk = failingDisk(n, "ENOSPC");
      const message = await userErrorOf(() => exported({}, disk)).catch(() => "");
      if (disk.failedAt === undefined) {
        expect(n).toBeGreaterThan(10);
        break;
      }
      expect(message).toContain("free some space and try again");
      expect(existsSync(output)).toBe(disk.failedAt === `sync ${home}`); // after the renaming
      expect(hidden()).toEqual([]);
    }
  });

  // Writing to this device fails as writing to a full disk does.
  test.skipIf(!existsSync("/dev/full"))("leaves nothing when weights do not fit", async () => {
    const makeFolder = (path: string) => {
      nodeDisk.makeFolder(path);
      symlinkSync("/dev/full", join(path, `.model.safetensors.${process.pid}.tmp`));
    };
    const message = await userErrorOf(() => exported({}, { ...nodeDisk, makeFolder }));
    expect(message).toContain("ENOSPC: no space left on device");
    expect(existsSync(output)).toBe(false);
    expect(hidden()).toEqual([]);
  });

  test("takes the same command after a crash", () => {
    expect(() => exported({}, failingDisk(6, "crash"))).toThrow("crash");
    expect(existsSync(output)).toBe(false);
    expect(hidden()).toHaveLength(1);
    exported();
    expect(hidden()).toEqual([]);
    expect(existsSync(join(output, "model.safetensors"))).toBe(true);
  });
});
