// Writes a random model of one of the benchmark's sizes, with a value head that does not say 0, a classifier, the model in bf16 and an adapter
// beside it that changes what it says. In a process of its own, so that the one that compares needs no TensorFlow.
//   npx tsx scripts/bench/createModel.ts tiny FOLDER
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { adapterTargets } from "../../src/config.ts";
import { makeFolder } from "../../src/folders.ts";
import { jsonText } from "../../src/formats/jsonl.ts";
import { createAdapter } from "../../src/model/adapter.ts";
import { createClassifier, saveClassifier } from "../../src/model/classifier.ts";
import { toHuggingFaceConfig } from "../../src/model/config.ts";
import {
  createModel,
  parameterShapes,
  saveModel,
  saveVariables,
  saveWeights,
} from "../../src/model/model.ts";
import { createValueHead } from "../../src/model/valueHead.ts";
import { Rng } from "../../src/rng.ts";
import { type ModelName, modelConfig } from "./workloads.ts";

const [name, folder] = process.argv.slice(2) as [ModelName, string];
const config = modelConfig(name);
const model = createModel(config, Rng.named(1, name));
saveModel(model, folder);
const valueHead = createValueHead(config);
const rng = Rng.named(1, `${name} value head`);
for (const variable of valueHead.values())
  variable.load(Float32Array.from({ length: variable.size }, () => 0.02 * rng.normal()));
saveVariables(valueHead, join(folder, "value_head.safetensors"));

const [base, lora] = ["bf16", "lora"].map((part) => join(folder, part)) as [string, string];
makeFolder(base);
makeFolder(lora);
writeFileSync(join(base, "config.json"), jsonText(toHuggingFaceConfig(config, "BF16")));
saveWeights(model.parameters, base, { dtype: "BF16", maxShardBytes: Number.POSITIVE_INFINITY });
const settings = { rank: 16, alpha: 32, targets: adapterTargets };
const loraRng = Rng.named(1, `${name} adapter`);
// The base's path begins at a folder around the adapter's: all of them can be moved.
const adapter = createAdapter(parameterShapes(config), settings, "bf16", loraRng);
for (const variable of adapter.variables.values()) {
  if (variable.name.endsWith(".lora_B.weight"))
    variable.load(Float32Array.from({ length: variable.size }, () => 0.02 * loraRng.normal()));
}
saveModel({ ...model, adapter }, lora);

saveClassifier(createClassifier(model, 1), join(folder, "classifier")); // takes the model over
