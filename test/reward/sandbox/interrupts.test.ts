import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "vitest";

// Runs a program that takes a while; asked to stop, waits for its outcome and runs another one.
const script = `
  import { createSandbox } from "./src/reward/sandbox/sandbox.ts";
  const sandbox = await createSandbox({ timeoutSeconds: 20, workers: 1, memoryMegabytes: 256 });
  await sandbox.run("def solution():\\n    return 1");
  const running = sandbox.run(
    "import time\\ndef solution():\\n    end = time.time() + 0.5\\n    while time.time() < end: pass\\n    return 2",
  );
  process.on("SIGINT", async () => {
    const after = sandbox.run("def solution():\\n    return 3");
    console.log(JSON.stringify([await running, await after]));
    await sandbox.close();
    process.exit(0);
  });
  console.log("ready");
`;

test("a Ctrl-C on the terminal, which reaches the whole group, harms no program", async () => {
  const args = ["--import", "tsx", "--input-type=module", "-e", script];
  const child = spawn("node", args, { detached: true, stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.on("data", (chunk) => {
    if (output === "") process.kill(-child.pid!, "SIGINT");
    output += chunk;
  });
  expect(await once(child, "exit")).toEqual([0, null]);
  expect(JSON.parse(output.replace("ready", ""))).toEqual([
    { kind: "answer", value: 2 },
    { kind: "answer", value: 3 },
  ]);
});
