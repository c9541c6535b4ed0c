import { spawn, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { describe, expect, test, vi } from "vitest";
import { takeInterrupt, watchInterrupts } from "../../src/run/interrupts.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

// A loop of synchronous steps, as training is; it prints each step and how it ended. Writing its checkpoint takes a while.
const loop = (writingMilliseconds: number) => `
  import { watchInterrupts } from "./src/run/interrupts.ts";
  const interrupts = watchInterrupts();
  for (let step = 1; ; step++) {
    console.log("step " + step);
    const end = Date.now() + 100;
    while (Date.now() < end);
    if (await interrupts.requested()) break;
  }
  console.log("checkpoint");
  const end = Date.now() + ${writingMilliseconds};
  while (Date.now() < end);
  console.log("written");
  await interrupts[Symbol.asyncDispose]();
`;

async function runLoop(signals: NodeJS.Signals[], writingMilliseconds = 0, pauseMilliseconds = 0) {
  const script = loop(writingMilliseconds);
  const child = spawn("node", ["--import", "tsx", "--input-type=module", "-e", script]);
  let output = "";
  let errors = "";
  child.stderr.on("data", (text) => {
    errors += text;
  });
  child.stdout.on("data", (text) => {
    output += text;
  });
  const closed = new Promise<{ code: number | null; signal: string | null }>((resolve) =>
    child.on("close", (code, signal) => resolve({ code, signal })),
  );
  const said = (text: string) =>
    Promise.race([
      closed.then(() => expect.fail(`ended before it said "${text}": ${errors}`)),
      new Promise<void>((resolve) => {
        child.stdout.on("data", () => output.includes(text) && resolve());
      }),
    ]);
  await said("step 2");
  child.kill(signals[0]);
  if (signals[1] !== undefined) {
    await said("checkpoint");
    if (pauseMilliseconds > 0) await setTimeout(pauseMilliseconds);
    child.kill(signals[1]);
  }
  return { ...(await closed), output, errors };
}

/** Runs a module that says "ready"; sends it Ctrl-C then. */
async function interrupted(module: string, cwd = ".") {
  const child = spawn("node", ["--import", "tsx", "--input-type=module", "-e", module], { cwd });
  const written = { stdout: "", stderr: "" };
  child.stderr.on("data", (text) => {
    written.stderr += text;
  });
  child.stdout.on("data", (text) => {
    if (written.stdout === "") child.kill("SIGINT");
    written.stdout += text;
  });
  const code = await new Promise((resolve) => child.on("close", resolve));
  return { code, ...written };
}

describe("endOnInterrupt", () => {
  const imports = `
    import { setTimeout } from "node:timers/promises";
    import { endOnInterrupt, watchInterrupts } from "./src/run/interrupts.ts";
    endOnInterrupt("reft execute");
  `;

  test("ends the process with one line and exit code 1", async () => {
    const { code, stderr } = await interrupted(
      `${imports} console.log("ready"); await setTimeout(60_000);`,
    );
    expect(code).toBe(1);
    expect(stderr).toBe("\nreft execute: interrupted; what it was writing may not be whole\n");
  });

  test("ends it at once while nothing gives way, as when a model is exported", async () => {
    const { code, stderr } = await interrupted(
      `${imports} process.stdout.write("ready"); for (const end = Date.now() + 10_000; Date.now() < end; ); process.exit(0);`,
    );
    expect(code).toBe(1);
    expect(stderr).toBe("\nreft execute: interrupted; what it was writing may not be whole\n");
  });

  test.each([undefined, "module.exports = {};"])(
    "without what the set-up compiles for it (%s) says so once, and ends it between steps",
    async (older) => {
      const home = temporaryFolder();
      cpSync("src", join(home, "src"), { recursive: true });
      cpSync("package.json", join(home, "package.json"));
      symlinkSync(join(process.cwd(), "node_modules"), join(home, "node_modules"));
      if (older !== undefined) {
        mkdirSync(join(home, ".engine", "signals.node"), { recursive: true });
        writeFileSync(join(home, ".engine", "signals.node", "index.js"), older);
      }
      const { code, stderr } = await interrupted(
        `${imports} await watchInterrupts()[Symbol.asyncDispose](); console.log("ready"); await setTimeout(60_000);`,
        home,
      );
      expect(code).toBe(1);
      expect(stderr).toMatch(
        /^note: Ctrl-C .* Run `npx reft setup`\.\n\nreft execute: interrupted;.*\n$/,
      );
    },
  );

  test("lets a loop that watches end its step, and is back after it", async () => {
    const { code, stdout } = await interrupted(`${imports}
      const interrupts = watchInterrupts();
      console.log("ready");
      while (!(await interrupts.requested())) await setTimeout(10);
      await interrupts[Symbol.asyncDispose]();
      console.log("saved");
      await setTimeout(600);
      process.kill(process.pid, "SIGINT");
      await setTimeout(60_000);
    `);
    expect(stdout).toBe("ready\nsaved\n");
    expect(code).toBe(1);
  });
});

describe("watchInterrupts", () => {
  test.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)(
    "lets a loop end its step after %s",
    async (signal) => {
      const { code, output } = await runLoop([signal]);
      expect(code).toBe(0);
      expect(output).toMatch(/step 2\n(step \d+\n)*checkpoint\nwritten\n$/);
    },
  );

  test("ends at once at the second Ctrl-C, even while nothing gives way", async () => {
    const { code, output, errors } = await runLoop(["SIGINT", "SIGINT"], 100_000, 600);
    expect(code).toBe(1);
    expect(errors).toMatch(/\nInterrupted again: ended at once; .*\n$/);
    expect(output).not.toContain("written");
  });

  test("takes what npx hands on of the same Ctrl-C for the same", async () => {
    const { code, output } = await runLoop(["SIGINT", "SIGINT"], 300);
    expect(code).toBe(0);
    expect(output).toContain("written");
  });

  test("says at once in the middle of a step that it will stop, and ends at once at the next SIGTERM", async () => {
    const child = spawn("node", [
      "--import",
      "tsx",
      "--input-type=module",
      "-e",
      loop(0).replace("100", "100_000"),
    ]);
    child.stdout.once("data", () => child.kill("SIGTERM"));
    let errors = "";
    child.stderr.on("data", async (text) => {
      if (errors === "") {
        await setTimeout(600);
        child.kill("SIGTERM");
      }
      errors += text;
    });
    expect(await new Promise((resolve) => child.on("close", resolve))).toBe(1);
    expect(errors).toMatch(/^Stopping when this step is done .*\n\nInterrupted again: .*\n$/);
  });

  test("saves also when a closed terminal and its shell both send SIGHUP", async () => {
    const { code, output } = await runLoop(["SIGHUP", "SIGHUP"], 300);
    expect(code).toBe(0);
    expect(output).toContain("written");
  });

  test("stops watching when disposed", async () => {
    const before = process.listenerCount("SIGINT");
    const interrupts = watchInterrupts();
    expect(process.listenerCount("SIGINT")).toBe(before + 1);
    expect(await interrupts.requested()).toBe(false);
    await interrupts[Symbol.asyncDispose]();
    expect(process.listenerCount("SIGINT")).toBe(before);
  });

  test("hears a signal of the last step, after which nobody asks", async () => {
    vi.spyOn(process.stderr, "write").mockReturnValue(true);
    takeInterrupt();
    {
      await using _ = watchInterrupts();
      process.kill(process.pid, "SIGINT");
    }
    expect(takeInterrupt()).toBe(true);
  });
});

describe("a command", () => {
  test("listens before it loads anything that takes time", () => {
    const imports = [
      ...readFileSync("src/cli.ts", "utf8").matchAll(/^import (?!type).* from "(.*)"/gm),
    ];
    const modules = imports
      .map(([, module]) => module!)
      .filter((name) => !name.startsWith("node:"));
    expect(modules.toSorted()).toEqual([
      "./errors.ts",
      "./run/interrupts.ts",
      "./setup.ts",
      "./suggest.ts",
      "./terminal.ts",
    ]);
  });

  test.skipIf(spawnSync("python3", ["--version"]).status !== 0)(
    "saves and stops when its terminal is closed (python3)",
    async () => {
      const folder = temporaryFolder();
      const script = `
        import { endOnInterrupt, watchInterrupts } from "./src/run/interrupts.ts";
        import { say } from "./src/terminal.ts";
        import { writeFileSync } from "node:fs";
        endOnInterrupt("test");
        const interrupts = watchInterrupts();
        while (!(await interrupts.requested())) {
          say("a step");
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
        for (let i = 0; i < 10; i++) {
          say("saving");
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
        writeFileSync(${JSON.stringify(join(folder, "saved"))}, "");
        process.exit(0);`;
      // Closes a terminal once something is written to it, and waits for the end of the process in it.
      const terminal = `
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
os.read(terminal, 1)
os.close(terminal)
os.waitpid(pid, 0)`;
      const node = ["node", "--import", "tsx", "--input-type=module", "-e", script];
      // Not with which exit code: Node itself crashes at its end where it cannot set the terminal back.
      spawnSync("python3", ["-c", terminal, ...node]);
      expect(existsSync(join(folder, "saved"))).toBe(true);
    },
  );
});
