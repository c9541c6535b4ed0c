// `reft doctor` with a sandbox that is none: 3 s. The real one is tried by its own tests.
import { readdirSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { main } from "../../src/cli.ts";
import { UserError } from "../../src/errors.ts";
import { machineMemory } from "../../src/run/machineMemory.ts";
import {
  describeDisk,
  describeGpu,
  describeMemory,
  describeProcessor,
  describeThreads,
  type Finding,
} from "../../src/tasks/doctor.ts";
import { captureOutput } from "../support/captureOutput.ts";
import { fakeSandbox } from "../support/fakeSandbox.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

const clearScreen = "\u001b[2J";
let isBroken = false;
vi.mock("../../src/reward/sandbox/sandbox.ts", () => ({
  createSandbox: async () => {
    if (isBroken)
      throw new UserError(`${homedir()}/py and ${process.cwd()}/py: ${clearScreen} are gone`);
    return fakeSandbox((program) => {
      const [, factor] = /return (\d+) \* 7/.exec(program) ?? [];
      return { kind: "answer", value: factor === undefined ? 1 : 7 * Number(factor) };
    });
  },
}));
// That sandbox finds every gold program wrong.
vi.mock("../../src/evaluate/checkGold.ts", () => ({ checkGold: async () => {} }));

const said = captureOutput();
const ownTemporary = temporaryFolder(); // This file has its own, because other ones run the command at the same time.
beforeEach(() => void vi.stubEnv("TMPDIR", ownTemporary));

test("reports every check, trains, leaves nothing, and tells nothing of the user", async () => {
  expect(await main(["doctor", "--json"])).toBe(0);
  const report = JSON.parse(said.log) as { reft: string; node: string; findings: Finding[] };
  expect(report).toMatchObject({ reft: expect.stringMatching(/^\d/), node: process.versions.node });
  expect(report.findings.map(({ name }) => name)).toEqual([
    "engine",
    "processor",
    "threads",
    "GPU",
    "memory",
    "disk",
    "tokenizer",
    "sandbox",
    "training",
  ]);
  expect(report.findings.filter(({ state }) => state === "failed")).toEqual([]);
  expect(report.findings.at(-1)!.found).toMatch(
    /^SFT from loss [67]\.\d\d to [2-5]\.\d\d, a step of ReFT, gap of log-probabilities \de-\d$/,
  );
  for (const secret of [homedir(), process.cwd(), tmpdir()]) expect(said.log).not.toContain(secret);
  expect(said.error + said.stderr).toBe("");
  expect(readdirSync(ownTemporary)).toEqual([]);
});

test("goes on after what fails, ends with 1, and shows what it says harmlessly", async () => {
  isBroken = true;
  try {
    expect(await main(["doctor"])).toBe(1);
  } finally {
    isBroken = false;
  }
  expect(said.log).toMatch(/failed {3}sandbox {4}~\/py and \S+\/py: \\u\{1b\}\[2J are gone/);
  expect(said.log).toMatch(/failed {3}training/);
  expect(said.log).not.toContain(homedir());
  expect(said.stderr).toBe("reft doctor: not all is well: sandbox, training failed\n");
});

describe("says what to do", () => {
  test("when a processor is old, or held back", () => {
    const fast = {
      ...{ name: "Some CPU", computes: true, roundsToBf16: true, isLimited: false },
      ...{ available: ["AVX2", "AVX-512", "AMX"] as const, kernels: "AVX-512" as const },
    };
    expect(describeProcessor(fast)).toEqual({
      state: "ok",
      found: "Some CPU: AVX2, AVX-512, AMX; kernels for AVX-512, bf16 by AMX",
    });
    expect(describeProcessor({ ...fast, roundsToBf16: false }).advice).toMatch(/g\+\+ 11/);
    const held = { ...fast, isLimited: true };
    expect(describeProcessor(held).state).toBe("ok");
    for (const slower of [{ kernels: "AVX2" as const }, { roundsToBf16: false }])
      expect(describeProcessor({ ...held, ...slower }).advice).toMatch(/ONEDNN_MAX_CPU_ISA/);
    const old = { ...fast, available: [], kernels: "any processor" as const, roundsToBf16: false };
    expect(describeProcessor(old).advice).toMatch(/AVX2/);
    expect(describeProcessor({ ...old, computes: false }).state).toBe("ok");
    const plain = { ...fast, available: ["AVX2"] as const, kernels: "AVX2" as const };
    expect(describeProcessor({ ...plain, roundsToBf16: false }).state).toBe("ok");
  });

  test("when there are more threads than processors, or others take them", () => {
    const idle = { threads: 4, processors: 4, quota: undefined, load: 0.5 };
    expect(describeThreads(idle)).toEqual({
      state: "ok",
      found: "4 threads on 4 processors, no quota, load 0.5",
    });
    expect(describeThreads({ ...idle, quota: 1.5 })).toMatchObject({
      state: "warning",
      found: "4 threads on 4 processors, a quota of 1.5, load 0.5",
      advice: expect.stringMatching(/TF_NUM_INTRAOP_THREADS=2$/),
    });
    expect(describeThreads({ ...idle, threads: 2, quota: 1.5 }).state).toBe("ok");
    expect(describeThreads({ ...idle, threads: 8 }).advice).toMatch(/=4$/);
    expect(describeThreads({ ...idle, load: 9 })).toMatchObject({ state: "warning" });
  });

  test("about GPUs that are there and not in use, or wanted and not there", () => {
    expect(describeGpu("", false, false)).toEqual({ state: "ok", found: "none; the CPU computes" });
    expect(describeGpu("H100, 80 GB", true, false)).toMatchObject({ state: "ok" });
    expect(describeGpu("H100", false, false).advice).toMatch(/--gpu/);
    expect(describeGpu("", false, true)).toMatchObject({
      state: "warning",
      found: "the set-up is for GPUs, but none is in use; nvidia-smi names none",
    });
  });

  test("about memory and disk", () => {
    expect(describeMemory(machineMemory(8e9, 0, 16e9))).toEqual({
      state: "ok",
      found: "8.0 GB free of 16.0 GB",
    });
    expect(describeMemory(machineMemory(1e9, 2 ** 64, 16e9))).toMatchObject({ state: "warning" });
    expect(describeMemory(machineMemory(3e9, 4e9, 16e9)).found).toBe(
      "3.0 GB free of 4.0 GB that the container may have",
    );
    expect(describeDisk(1e11, 1e11).state).toBe("ok");
    expect(describeDisk(1e9, 1e11).state).toBe("warning");
    expect(describeDisk(1e11, 1e6).state).toBe("failed");
  });
});
