// Holds a run's memory against its forecast: a warning before it begins, and a word at its end where the forecast was wrong.
import { writeFileSync } from "node:fs";
import { say } from "../terminal.ts";
import { type Forecast, togetherOf } from "./forecast.ts";
import { gigabytes, machineMemory } from "./machineMemory.ts";

/** How far the peak may be from the forecast before it is said. */
const tolerance = 0.1;

export interface MemoryWatch {
  readonly forecastMegabytes: number;
  /** Says so where the peak so far is not what the forecast was. */
  report(): void;
}

/** The most memory that this process has had, in 10^6 bytes, since a run in it began. */
export function peakMegabytes(): number {
  return (process.resourceUsage().maxRSS * 1024) / 1e6; // of kibibytes
}

/** A process that trains one stage after the other has a peak for each, where the system can begin one anew (Linux). */
function forgetPeak(): void {
  try {
    writeFileSync("/proc/self/clear_refs", "5");
  } catch {
    // Then the peak is that of all stages so far.
  }
}

/** Begins to watch a run, before its weights are loaded; warns where it will not fit. */
export function watchMemory(forecasted: Forecast): MemoryWatch {
  const { bytes, parts, isOnGpu } = forecasted;
  const { total, where } = machineMemory();
  const wanted = togetherOf(forecasted);
  if (!isOnGpu && wanted > total)
    say(
      `warning: this run will take about ${gigabytes(wanted)} of memory, but the ${where} has ${gigabytes(total)}: ` +
        "a dry run says what for, and what to lower (docs/memory.md)",
    );
  forgetPeak();
  const forecast = bytes / 1e6;
  // What a process has done before may still be in its memory.
  const isFresh =
    peakMegabytes() < 1.5 * (parts.find(({ name }) => name === "process")!.bytes / 1e6);
  return {
    forecastMegabytes: forecast,
    report: () => {
      const peak = peakMegabytes();
      if (isOnGpu || !isFresh || Math.abs(peak - forecast) <= tolerance * forecast) return;
      say(
        `memory: ${peak.toFixed(0)} MB at the most, ${peak > forecast ? "more" : "less"} than the forecast of ` +
          `${forecast.toFixed(0)} MB (docs/memory.md)`,
      );
    },
  };
}
