import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { compileNamed } from "../../src/engine/compile.ts";
import { liveTensors, readAndDispose, tf } from "../../src/engine/tf.ts";
import { Variable } from "../../src/engine/variable.ts";
import type { WeightedBatch } from "../../src/model/backward.ts";
import { packClasses, type Sequence, splitByTokens, withClass } from "../../src/model/batch.ts";
import {
  type Classifier,
  classifierParameters,
  classLogits,
  createClassifier,
  createClassifierScorer,
  disposeClassifier,
  isClassifier,
  loadClassifier,
  saveClassifier,
} from "../../src/model/classifier.ts";
import { loadModel } from "../../src/model/model.ts";
import { batchTensors } from "../../src/model/score.ts";
import { readWeights } from "../../src/model/weights.ts";
import { classLoss } from "../../src/rerank/loss.ts";
import {
  goldenPath,
  largestDifference,
  readGolden,
  relativeDifference,
  rowOf,
} from "../support/golden.ts";
import { userErrorOf } from "../support/runs.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

const home = temporaryFolder();

// Expected values: transformers in float32, a padded batch, scripts/golden/classifier.py.
describe.each(["multi-head", "grouped-query", "wide-heads"])("%s", (name) => {
  const golden = readGolden("classifier", `${name}.safetensors`);
  const classifier = createClassifier(loadModel(goldenPath("models", name)), 1);
  classifier.head.load(Float32Array.from(golden.get("head")!.values));
  afterAll(() => disposeClassifier(classifier));
  const labels = [...golden.get("labels")!.values];
  const rows = labels.map((_, row) =>
    rowOf(golden.get("tokens")!, row, golden.get("lengths")!.values[row]!),
  );
  const prompts = rows.map((row, i) => row.slice(0, golden.get("promptLengths")!.values[i]!));
  prompts[1] = prompts[0]!; // the same one, so that the two share it
  const sequences = rows.map((row, i) => ({
    prompt: prompts[i]!,
    response: row.slice(prompts[i]!.length),
  }));

  test.each([10_000, 64, 1])(
    "logits and P(correct) equal transformers', %d tokens at once",
    (maxTokens) => {
      const scorer = createClassifierScorer(classifier);
      const logits = scorer.logits(sequences, maxTokens);
      expect(largestDifference(logits, golden.get("logits")!.values)).toBeLessThan(1e-4);
      const probabilities = scorer.score(sequences, maxTokens);
      expect(largestDifference(probabilities, golden.get("probabilities")!.values)).toBeLessThan(
        1e-5,
      );
      scorer.dispose();
    },
  );

  test.each([10_000, 64])(
    "loss and every gradient equal transformers', %d tokens at once",
    (maxTokens) => {
      const { loss, gradients } = lossOf(classifier, sequences, labels, maxTokens);
      expect(loss).toBeCloseTo(golden.get("loss")!.values[0]!, 5);
      expect(gradients.size).toBe(
        [...golden.keys()].filter((key) => key.startsWith("grad.")).length,
      );
      for (const [weight, gradient] of gradients)
        expect(
          relativeDifference(gradient, golden.get(`grad.${weight}`)!.values),
          weight,
        ).toBeLessThan(1e-4);
    },
  );
});

/** Loss and gradients over a batch, microbatch by microbatch. */
function lossOf(
  classifier: Classifier,
  sequences: readonly Sequence[],
  labels: readonly number[],
  maxTokens: number,
) {
  const parameters = classifierParameters(classifier);
  const backward = compileNamed("loss", (inputs: WeightedBatch) => {
    const weights = readWeights({ parameters });
    const { value, grads } = tf
      .engine()
      .gradients(
        () =>
          classLoss(
            classLogits(classifier.model.config, weights, inputs),
            inputs.targets,
            inputs.predictionWeights,
          ),
        [...weights.tensors.values()],
      );
    return { value, ...Object.fromEntries(grads.map((grad, i) => [`grad${i}`, grad])) };
  });
  let loss = 0;
  const gradients = new Map<string, Float32Array>();
  const classified = sequences.map((sequence, i) => withClass(sequence, labels[i]!));
  for (const part of splitByTokens(classified, maxTokens)) {
    const batch = packClasses(part, maxTokens);
    const weights = new Float32Array(batch.targets.length).fill(1 / labels.length, 0, part.length);
    const [value, ...grads] = readAndDispose(
      Object.values(backward({ ...batchTensors(batch), predictionWeights: tf.tensor1d(weights) })),
    );
    loss += value![0]!;
    [...parameters.keys()].forEach((name, i) => {
      const sum = gradients.get(name) ?? new Float32Array(grads[i]!.length);
      gradients.set(
        name,
        sum.map((x, j) => x + grads[i]![j]!),
      );
    });
  }
  backward.dispose();
  return { loss, gradients };
}

describe("loadClassifier", () => {
  const folder = goldenPath("classifier", "grouped-query");

  test("reads transformers' folder, and saveClassifier writes its weights byte for byte", () => {
    const classifier = loadClassifier(folder);
    saveClassifier(classifier, join(home, "again"));
    disposeClassifier(classifier);
    const bytes = readFileSync(join(home, "again", "model.safetensors"));
    expect(bytes.equals(readFileSync(join(folder, "model.safetensors")))).toBe(true);
  });

  test("gives back what saveClassifier wrote, of a model with an output matrix, too", () => {
    const made = createClassifier(loadModel(goldenPath("models", "multi-head")), 3);
    saveClassifier(made, join(home, "made"));
    const loaded = loadClassifier(join(home, "made"));
    const { otherKeys } = loaded.model.config; // with the labels
    expect(loaded.model.config).toEqual({ ...made.model.config, padId: 1, otherKeys });
    const valuesOf = (classifier: Classifier) =>
      [...classifierParameters(classifier)].map(([name, variable]) => [name, variable.values()]);
    expect(valuesOf(loaded)).toEqual(valuesOf(made));
    expect(valuesOf(made).map(([name]) => name)).not.toContain("lm_head.weight");
    for (const classifier of [made, loaded]) disposeClassifier(classifier);
  });

  test("keeps the family of the model that it was made of", () => {
    const made = createClassifier(loadModel(goldenPath("models", "qwen2")), 3);
    saveClassifier(made, join(home, "qwen2"));
    const json = JSON.parse(readFileSync(join(home, "qwen2", "config.json"), "utf8"));
    expect(json.architectures).toEqual(["Qwen2ForSequenceClassification"]);
    expect(isClassifier(join(home, "qwen2"))).toBe(true);
    const loaded = loadClassifier(join(home, "qwen2"));
    expect([...loaded.model.parameters.keys()]).toEqual([...made.model.parameters.keys()]);
    expect(loaded.model.config).toMatchObject({ modelType: "qwen2", qkvBias: true });
    for (const classifier of [made, loaded]) disposeClassifier(classifier);
  });

  test("refuses a language model", async () => {
    expect(await userErrorOf(() => loadClassifier(goldenPath("models", "multi-head")))).toContain(
      'expected "LlamaForSequenceClassification"',
    );
  });

  test("refuses another number of labels", async () => {
    const classifier = loadClassifier(folder);
    const head = new Variable("score.weight", [3, 48]);
    saveClassifier({ ...classifier, head }, join(home, "three"));
    head.dispose();
    disposeClassifier(classifier);
    expect(await userErrorOf(() => loadClassifier(join(home, "three")))).toContain(
      "score.weight has shape [3,48], expected [2,48]",
    );
  });
});

describe("loadModel", () => {
  test("refuses a classifier", async () => {
    expect(await userErrorOf(() => loadModel(goldenPath("classifier", "grouped-query")))).toContain(
      'expected "LlamaForCausalLM"',
    );
  });
});

describe("saveClassifier", () => {
  const configOf = (ids: object) => {
    const classifier = createClassifier(loadModel(goldenPath("models", "multi-head")), 1);
    const { model, head } = classifier;
    const name = join(home, JSON.stringify(ids));
    saveClassifier({ model: { ...model, config: { ...model.config, ...ids } }, head }, name);
    disposeClassifier(classifier);
    return JSON.parse(readFileSync(join(name, "config.json"), "utf8"));
  };

  test("describes what transformers needs", () => {
    expect(configOf({})).toMatchObject({
      architectures: ["LlamaForSequenceClassification"],
      id2label: { "0": "wrong", "1": "right" },
      label2id: { wrong: 0, right: 1 },
    });
  });

  test.each([
    ["the model's own", { padId: 0, bosId: 1, eosIds: [2] }, 0],
    ["BOS where the model has none", { bosId: 1, eosIds: [2] }, 1],
    ["BOS where the model pads with EOS", { padId: 2, bosId: 1, eosIds: [2] }, 1],
    ["one that ends nothing where BOS and EOS are one", { padId: 0, bosId: 0, eosIds: [0, 1] }, 2],
    ["one of the vocabulary", { padId: 67, bosId: 1, eosIds: [2] }, 1],
  ])("pads with %s", (_, ids, expected) => {
    expect(configOf(ids).pad_token_id).toBe(expected);
  });
});

describe("createClassifier", () => {
  const headOf = (seed: number) => {
    const classifier = createClassifier(loadModel(goldenPath("models", "wide-heads")), seed);
    const values = classifier.head.values();
    disposeClassifier(classifier);
    return values;
  };

  test("draws the same head for the same seed, of the size that transformers draws", () => {
    const head = headOf(1);
    expect(headOf(1)).toEqual(head);
    expect(headOf(2)).not.toEqual(head);
    const deviation = Math.sqrt(head.reduce((sum, x) => sum + x * x, 0) / head.length);
    expect(deviation).toBeGreaterThan(0.015); // initializer_range is 0.02, 64 numbers
    expect(deviation).toBeLessThan(0.025);
  });

  test("takes the model over: nothing is left after disposeClassifier", () => {
    const before = liveTensors();
    const classifier = createClassifier(loadModel(goldenPath("models", "multi-head")), 1);
    const scorer = createClassifierScorer(classifier);
    scorer.score([{ prompt: [5], response: [6, 2] }], 64);
    scorer.dispose();
    disposeClassifier(classifier);
    expect(liveTensors()).toBe(before);
  });
});
