// Finds the sandbox's processes, for tests that kill or stop them.
import { readdirSync, readFileSync } from "node:fs";

/** Process ids of the guests that this process has started, where there is a /proc. */
export function guestProcesses(): number[] {
  const read = (pid: string, name: string) => {
    try {
      return readFileSync(`/proc/${pid}/${name}`, "latin1");
    } catch {
      return ""; // it has ended meanwhile, or is none
    }
  };
  const isOurs = (pid: string) =>
    read(pid, "stat").split(") ")[1]?.split(" ")[1] === `${process.pid}`;
  return readdirSync("/proc")
    .filter((pid) => isOurs(pid) && read(pid, "cmdline").includes("guest.mjs"))
    .map(Number);
}
