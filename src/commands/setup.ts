// `reft setup`: runs the set-up (scripts/setup.mjs), which is a program of its own, because in a checkout it runs before any package
// is there.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { CommandModule, InferredOptionTypes } from "yargs";
import { UserError } from "../errors.ts";

const options = {
  gpu: {
    type: "boolean",
    conflicts: "cpu",
    describe:
      "Take TensorFlow's build for NVIDIA GPUs, with CUDA: a download of 3.4 GB; later set-ups keep it",
  },
  cpu: { type: "boolean", describe: "Go back to the build for CPUs" },
} as const;

const script = fileURLToPath(new URL("../../scripts/setup.mjs", import.meta.url));
const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

export const setupCommand: CommandModule<object, InferredOptionTypes<typeof options>> = {
  command: "setup",
  describe: "Fetch TensorFlow and compile its binding: once, and after an update",
  builder: options,
  handler: async ({ gpu, cpu }) => {
    const flags = [...(gpu ? ["--gpu"] : []), ...(cpu ? ["--cpu"] : [])];
    // A process group of its own: a signal reaches it through us alone, and once.
    const child = spawn(process.execPath, [script, ...flags], {
      stdio: ["ignore", "inherit", "pipe"],
      detached: true,
    });
    for (const signal of signals) process.on(signal, () => child.kill(signal));
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (text) => {
      said += text;
    });
    const code = await new Promise((resolve) => child.on("close", resolve));
    if (code !== 0) throw new UserError(said.trim() || "the set-up was ended; run it again");
  },
};
