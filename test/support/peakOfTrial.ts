// `peakOfTrial.ts CONFIG FOLDER`: takes the first steps of supervised fine-tuning in a folder, and prints in 10^6 bytes what the process had
// before, at the most, and by the forecast; in a process of its own, because what a process has had is never less again.
import { readFileSync } from "node:fs";
import { loadConfig } from "../../src/config.ts";
import { codeBytes } from "../../src/run/forecast.ts";
import { peakMegabytes } from "../../src/run/memoryWatch.ts";
import { metricsIn } from "../../src/run/metrics.ts";
import { trainSft } from "../../src/sft/train.ts";

const [file, folder] = process.argv.slice(2) as [string, string];
const before = peakMegabytes(); // of a development set-up, in place of codeBytes
await trainSft(loadConfig("sft", file), folder, { trialSteps: 2 });
const [line] = readFileSync(metricsIn(folder), "utf8").split("\n");
const forecast = JSON.parse(line!)["memory/forecastMegabytes"] - codeBytes / 1e6 + before;
process.stdout.write(JSON.stringify({ forecast, peak: peakMegabytes() }));
