import { type Instructions, instructions, systemFile } from "../../src/run/machine.ts";

/** What the processor of this machine has, whatever oneDNN's limit for itself. */
export const processorHas = (name: Instructions["available"][number]): boolean =>
  instructions(systemFile, undefined).available.includes(name);
