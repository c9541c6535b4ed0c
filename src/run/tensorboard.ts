// The same figures as metrics.jsonl, and some of the samples, as TensorBoard reads them: RUN/tensorboard/. The file is made of the
// run's records, and made anew when the run goes on. So it has every step once, also those from before it was asked for.
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { z } from "zod";
import { encodeEvent, eventFileStart, type SummaryValue } from "../formats/eventFile.ts";
import { readJsonl } from "../formats/jsonl.ts";
import { type MetricsRecord, readMetrics, samplesIn } from "./metrics.ts";
import type { Run } from "./run.ts";

/** Where the figures of a run go beside metrics.jsonl. */
export interface Board {
  /** Adds what was logged of a step, and the samples that were written at it. */
  add(record: MetricsRecord): void;
}

/** Samples of a measurement that are shown: the first ones, which are answers to the same questions each time. */
const shownSamples = 4;

/** Begins the file with the records that the run has already. */
export function openBoard(run: Run): Board {
  const folder = join(run.folder, "tensorboard");
  run.disk.makeFolder(folder);
  const before = readdirSync(folder).filter((name) =>
    /^events\.out\.tfevents\.\d+\.reft$/.test(name),
  );
  const startedAt = Date.now() / 1000;
  const name = `events.out.tfevents.${String(Math.floor(startedAt)).padStart(10, "0")}.reft`;
  const path = join(folder, name);
  const settings = { tag: "settings", text: verbatim(stringify(run.config)) };
  const start = encodeEvent({ time: startedAt, step: 0, values: [settings] });
  run.disk.write(path, Buffer.concat([eventFileStart(startedAt), start]));
  for (const other of before) if (other !== name) run.disk.remove(join(folder, other));
  const board: Board = {
    add({ step, time, ...figures }) {
      const scalars = Object.entries(figures).map(([tag, figure]) => ({
        tag,
        figure: Number(figure),
      }));
      const values = [...scalars, ...sampleValues(samplesIn(run.folder, step))];
      run.disk.append(path, encodeEvent({ time: Date.parse(time) / 1000, step, values }));
    },
  };
  for (const record of readMetrics(run.folder)) board.add(record);
  return board;
}

const answerLine = z.looseObject({
  question: z.string(),
  text: z.string(),
  outcome: z.unknown(),
  score: z.unknown(),
});

/** Samples of a reranker are probabilities, which are no texts. */
function sampleValues(path: string): SummaryValue[] {
  if (!existsSync(path)) return [];
  const samples = readJsonl(path, z.unknown()).slice(0, shownSamples);
  return samples.flatMap(({ value }, i) => {
    const sample = answerLine.safeParse(value).data;
    return sample ? [{ tag: `samples/${i + 1}`, text: describeSample(sample) }] : [];
  });
}

function describeSample({ question, text, outcome, score }: z.infer<typeof answerLine>): string {
  return `${verbatim(question)}\n\nscore ${score}\n\n${verbatim(text)}\n\n${verbatim(JSON.stringify(outcome))}\n`;
}

/** As code, so that Markdown changes nothing in it. */
function verbatim(text: string): string {
  return text.replace(/^/gm, "    ");
}
