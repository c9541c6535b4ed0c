// How much memory there is: the machine's, or the container's where that has less.
import { totalmem } from "node:os";

export interface MachineMemory {
  /** All of it, in bytes. */
  readonly total: number;
  /** What nothing uses now, in bytes. */
  readonly free: number;
  /** What has it. */
  readonly where: "machine" | "container";
}

/** @param limit of the control group; 0, or more than the machine has, where there is none */
export function machineMemory(
  free = process.availableMemory(),
  limit = process.constrainedMemory(),
  machine = totalmem(),
): MachineMemory {
  const isContainer = limit > 0 && limit < machine;
  return {
    total: isContainer ? limit : machine,
    free,
    where: isContainer ? "container" : "machine",
  };
}

/** Bytes to read, in 10^9. */
export function gigabytes(bytes: number, digits = 1): string {
  return `${(bytes / 1e9).toFixed(digits)} GB`;
}
