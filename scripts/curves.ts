// How accuracy on dev grew with samples and with time, from the records of runs:
//   npx tsx scripts/curves.ts --runs runs/tiny-warmup,runs/tiny-reft --picture curves.svg
// One row per run and measured step on standard output.
import { basename, join } from "node:path";
import { z } from "zod";
import { UserError } from "../src/errors.ts";
import { markdownTable, percent } from "../src/evaluate/tables.ts";
import { readJsonl, writeFileAtomically } from "../src/formats/jsonl.ts";
import { readSettings } from "../src/settings.ts";
import { type Curve, curvesPicture } from "./curvesPicture.ts";
import { readOptions, runScript } from "./script.ts";

const options = readOptions("npx tsx scripts/curves.ts", {
  runs: { type: "string", demandOption: true, describe: "Folders of train-sft and train-reft" },
  picture: { type: "string", describe: "An SVG to write" },
});

const stepSchema = z.looseObject({
  step: z.int(),
  "time/stepSeconds": z.number().default(0), // step 0 has none
  "time/rolloutSeconds": z.number().default(0),
  "eval/accuracy": z.number().optional(),
});

const settingsSchema = z.union([
  z
    .looseObject({ stage: z.literal("sft"), training: z.looseObject({ batchSize: z.int() }) })
    .transform(({ training }) => training.batchSize),
  z
    .looseObject({
      stage: z.literal("reft"),
      rollout: z.looseObject({ questionsPerStep: z.int(), samplesPerQuestion: z.int() }),
    })
    .transform(({ rollout }) => rollout.questionsPerStep * rollout.samplesPerQuestion),
]);

/** Minutes are those of steps: measuring and writing checkpoints are not in them, nor the time between sittings. */
function readCurve(folder: string): Curve {
  const config = join(folder, "config.yaml");
  const settings = settingsSchema.safeParse(readSettings(config, []).values);
  if (!settings.success)
    throw new UserError(`${config}: expected the settings of train-sft or train-reft`);
  let [minutes, rolloutMinutes] = [0, 0];
  const points = readJsonl(join(folder, "metrics.jsonl"), stepSchema).flatMap(({ value }) => {
    minutes += value["time/stepSeconds"] / 60;
    rolloutMinutes += value["time/rolloutSeconds"] / 60;
    const { step, "eval/accuracy": accuracy } = value;
    const samples = step * settings.data;
    return accuracy === undefined ? [] : [{ step, samples, minutes, rolloutMinutes, accuracy }];
  });
  return { name: basename(folder), points };
}

await runScript("curves", async () => {
  const curves = options.runs.split(",").map(readCurve);
  const header = ["run", "step", "samples", "minutes", "of them rollouts", "dev, %"];
  const rows = curves.flatMap(({ name, points }) =>
    points.map(({ step, samples, minutes, rolloutMinutes, accuracy }) => [
      name,
      String(step),
      String(samples),
      minutes.toFixed(1),
      rolloutMinutes.toFixed(1),
      percent(accuracy),
    ]),
  );
  console.log(markdownTable([header, ...rows]));
  if (options.picture !== undefined) writeFileAtomically(options.picture, curvesPicture(curves));
});
