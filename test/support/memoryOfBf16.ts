// `memoryOfBf16.ts FOLDER`: how much memory the process gains, at the most, by holding a model of bf16 and then by scoring with it; in
// a process of its own, because what a process has had is never less again. Prints both in 10^6 bytes.
import { tf } from "../../src/engine/tf.ts";
import { disposeModel, loadModel } from "../../src/model/model.ts";
import { createScorer } from "../../src/model/score.ts";

const peak = () => (process.resourceUsage().maxRSS * 1024) / 1e6;
tf.matMul(tf.ones([64, 64]), tf.ones([64, 64])).dispose(); // what TensorFlow takes for itself
const before = peak();
const model = loadModel(process.argv[2]!, "stored");
const loaded = peak();
const scorer = createScorer(model);
scorer.score([{ prompt: [1, 2, 3], response: [4, 5, 6, 7] }], 64);
const scored = peak();
scorer.dispose();
disposeModel(model);
process.stdout.write(JSON.stringify({ load: loaded - before, score: scored - loaded }));
