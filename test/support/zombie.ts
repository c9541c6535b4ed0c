// A process that was killed and not yet asked for by its parent: what is left of it in containers without an init.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

export interface Zombie {
  readonly pid: number;
  /** Clock ticks from boot to its start. */
  readonly started: string;
  [Symbol.dispose](): void;
}

/** Makes one; it is gone when disposed. */
export async function makeZombie(): Promise<Zombie> {
  // The shell starts a process and then becomes another program, which knows nothing of it.
  const parent = spawn("sh", ["-c", "sleep 60 & echo $!; exec sleep 60"]);
  const { value } = await createInterface(parent.stdout)[Symbol.asyncIterator]().next();
  const pid = Number(value);
  const statOf = () => readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)!.split(" ");
  const started = statOf()[19]!;
  while (!readFileSync(`/proc/${parent.pid}/comm`, "utf8").startsWith("sleep"))
    await new Promise((resolve) => setTimeout(resolve, 5));
  process.kill(pid, "SIGKILL");
  while (statOf()[0] !== "Z") await new Promise((resolve) => setTimeout(resolve, 5));
  return { pid, started, [Symbol.dispose]: () => parent.kill("SIGKILL") };
}
