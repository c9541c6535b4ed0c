// Writes a random model of one of the benchmark's sizes, with a value head that does not say 0, and a classifier. In a process of its own, so that
// the one that compares needs no TensorFlow.
//   npx tsx scripts/bench/createModel.ts tiny FOLDER
import { join } from "node:path";
import { createClassifier, saveClassifier } from "../../src/model/classifier.ts";
import { createModel, saveModel, saveVariables } from "../../src/model/model.ts";
import { createValueHead } from "../../src/model/score.ts";
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
saveClassifier(createClassifier(model, 1), join(folder, "classifier"));
