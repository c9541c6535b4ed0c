import process from "node:process";

/** Seconds of processor time that a piece of work takes, which other work on the machine does not lengthen. */
export function processorSeconds(work: () => unknown): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}
