// A forecast as a page to read: what of memory and disk a task will take, whether that is there, and what to lower where it is not.
import { type Forecast, togetherOf } from "../run/forecast.ts";
import { gigabytes as inGigabytes, type MachineMemory } from "../run/machineMemory.ts";

/** A setting that would take less, and what it would save, in bytes. */
export interface Saving {
  readonly text: string;
  readonly bytes: number;
}

export interface DiskUse {
  readonly name: string;
  readonly bytes: number;
}

/** @returns lines that say all of it, without what depends on the machine */
export function describeForecast(title: string, forecast: Forecast, disk: readonly DiskUse[]) {
  const { parameters, trained, parts, bytes, guests, processes, isOnGpu } = forecast;
  const rows: readonly (readonly [string, number])[] = [
    ...parts.filter((part) => part.bytes > 0).map((part) => [part.name, part.bytes] as const),
    ["together", bytes],
  ];
  const others: readonly (readonly [string, number])[] = [
    ...(guests > 0 ? [["the sandbox's guests", guests] as const] : []),
    ...disk.map((use) => [`disk: ${use.name}`, use.bytes] as const),
  ];
  const millions = (count: number) => `${(count / 1e6).toFixed(2)} M`;
  const some = trained === parameters ? "all" : millions(trained);
  const ofTrained = trained > 0 ? `, ${some} trained` : "";
  return [
    `${title}: ${millions(parameters)} weights${ofTrained}`,
    `memory at the most, in 10^6 bytes${processes > 1 ? `, of each of ${processes} ranks` : ""}${isOnGpu ? ", the GPU's but for the process" : ""}:`,
    ...table(rows),
    ...(others.length > 0 ? ["beside it:", ...table(others)] : []),
  ];
}

/** @returns lines that say whether it fits, and what to lower where it does not */
export function describeFit(
  forecast: Forecast,
  { total, free, where }: MachineMemory,
  savings: readonly Saving[],
): string[] {
  if (forecast.isOnGpu) return ["how much the GPU has is not looked at"];
  const wanted = togetherOf(forecast);
  const has = `the ${where} has ${gigabytes(total)}, of which ${gigabytes(free)} are free now`;
  if (wanted <= free) return [`fits: ${has}`];
  return [
    `${wanted <= total ? "fits only when other work ends" : "DOES NOT FIT"}: ${gigabytes(wanted)} are wanted, ${has}`,
    ...(savings.length > 0 ? ["what would take less:"] : []),
    ...savings.map(({ text, bytes: saved }) => `  ${text} saves ${gigabytes(saved)}`),
  ];
}

/** With a digit more below one. */
export function gigabytes(bytes: number): string {
  return inGigabytes(bytes, bytes < 0.995e9 ? 2 : 1);
}

function table(rows: readonly (readonly [string, number])[]): string[] {
  const cells = rows.map(
    ([name, bytes]) => [name, Math.round(bytes / 1e6).toLocaleString("en")] as const,
  );
  const width = Math.max(...cells.map(([name]) => name.length));
  const digits = Math.max(...cells.map(([, text]) => text.length));
  return cells.map(([name, text]) => `  ${name.padEnd(width)}  ${text.padStart(digits)}`);
}
