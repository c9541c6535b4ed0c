// Saves checkpoints into the folder given until something ends it; prints each step that is safe.
// `saveForever.ts FOLDER [BYTES]`: BYTES is the size of a checkpoint's weights, doubled at each step when it starts with "x2:".
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadConfig } from "../../src/config.ts";
import { messageOf } from "../../src/errors.ts";
import { saveCheckpoint } from "../../src/run/checkpoint.ts";
import { logMetrics } from "../../src/run/metrics.ts";
import { openRun } from "../../src/run/run.ts";

const [folder, size = "200000"] = process.argv.slice(2) as [string, string?];
const doubles = size.startsWith("x2:");
let bytes = Number(size.replace("x2:", ""));
try {
  using run = openRun(folder, loadConfig("reft", "configs/tiny/reft.yaml"));
  for (let step = (run.resumeFrom?.step ?? 0) + 1; ; step++) {
    logMetrics(run, { step, epoch: step }, { loss: 1 / step });
    const weights = Buffer.alloc(bytes, step);
    const writeFiles = (inner: string) => writeFileSync(join(inner, "model.safetensors"), weights);
    await saveCheckpoint(run, { step, isBest: step % 3 === 0, state: { step }, writeFiles });
    process.stdout.write(`${step}\n`);
    if (doubles) bytes *= 2;
  }
} catch (error) {
  process.stderr.write(messageOf(error));
  process.exitCode = 1;
}
