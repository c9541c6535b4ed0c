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

export function machineMemory(): MachineMemory {
  const limit = process.constrainedMemory(); // of the control group; 0 or more than the machine has where there is none
  const isContainer = limit > 0 && limit < totalmem();
  return {
    total: isContainer ? limit : totalmem(),
    free: process.availableMemory(),
    where: isContainer ? "container" : "machine",
  };
}
