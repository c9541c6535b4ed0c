import { describe, expect, test } from "vitest";
import { allowedProcessors, instructions, processorQuota } from "../../src/run/machine.ts";

/** A system of these files. */
const files = (content: Readonly<Record<string, string>>) => (path: string) => content[path];

test("the processors are those that the process may run on", () => {
  const status = "Cpus_allowed:\tff\nCpus_allowed_list:\t0-3,8,10-11\n";
  expect(allowedProcessors(files({ "/proc/self/status": status }))).toBe(7);
  expect(allowedProcessors(files({}))).toBeUndefined();
});

describe("a quota of processor time", () => {
  test.each<[string, Record<string, string>, number | undefined]>([
    ["no control groups", {}, undefined],
    [
      "version 2 without a limit",
      { "/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/cpu.max": "max 100000\n" },
      undefined,
    ],
    [
      "version 2 in a container",
      { "/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/cpu.max": "150000 100000\n" },
      1.5,
    ],
    [
      "version 2, the least of those around",
      {
        "/proc/self/cgroup": "0::/jobs/mine\n",
        "/sys/fs/cgroup/jobs/mine/cpu.max": "max 100000\n",
        "/sys/fs/cgroup/jobs/cpu.max": "400000 100000\n",
        "/sys/fs/cgroup/cpu.max": "800000 100000\n",
      },
      4,
    ],
    [
      "version 2, a group that the container does not show",
      { "/proc/self/cgroup": "0::/docker/0f\n", "/sys/fs/cgroup/cpu.max": "50000 100000\n" },
      0.5,
    ],
    [
      "version 1",
      {
        "/proc/self/cgroup": "5:memory:/a\n2:cpu,cpuacct:/a\n1:name=systemd:/\n0::/\n",
        "/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "250000\n",
        "/sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000\n",
        "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
        "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
      },
      2.5,
    ],
  ])("%s", (_, content, quota) => {
    expect(processorQuota(files(content))).toBe(quota);
  });
});

describe("instruction sets", () => {
  const narrow = "fpu avx2 fma";
  const wide = `${narrow} avx512f avx512dq avx512vl avx512bw`;
  test.each<[string, string | undefined, string[], string]>([
    ["fpu sse4_1", undefined, [], "any processor"],
    [narrow, undefined, ["AVX2"], "AVX2"],
    [`${narrow} avx512f`, undefined, ["AVX2"], "AVX2"],
    [`${wide} amx_tile amx_bf16`, undefined, ["AVX2", "AVX-512", "AMX"], "AVX-512"],
    [wide, "AVX2", ["AVX2", "AVX-512"], "AVX2"],
    [wide, "SSE41", ["AVX2", "AVX-512"], "any processor"],
  ])("%s, held to %s", (flags, limit, available, kernels) => {
    const cpuinfo = `model name\t: Some\nflags\t\t: ${flags}\nbugs\t: none\n`;
    expect(instructions(files({ "/proc/cpuinfo": cpuinfo }), limit)).toEqual({
      available,
      kernels,
    });
  });
});
