// What Linux says about the machine or the container that this runs in.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";

/** Reads a file of the system; undefined where there is none. */
export type ReadSystemFile = (path: string) => string | undefined;

export const systemFile: ReadSystemFile = (path) => {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
};

export interface Threads {
  /** That the engine takes. */
  readonly threads: number;
  readonly processors: number;
  /** Undefined: no limit. */
  readonly quota: number | undefined;
  /** Processes that ran or waited in the last minute. */
  readonly load: number;
}

export function threadsHere(): Threads {
  const processors = allowedProcessors(systemFile) ?? cpus().length;
  const set = Number(process.env.TF_NUM_INTRAOP_THREADS);
  const quota = processorQuota(systemFile);
  return { threads: set > 0 ? set : processors, processors, quota, load: loadavg()[0]! };
}

/** The GPUs as nvidia-smi names them; empty where it names none. */
export function gpuNames(): string {
  const options = { encoding: "utf8", timeout: 10_000 } as const;
  const query = ["--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"];
  const { status, stdout } = spawnSync("nvidia-smi", query, options);
  return status === 0 ? stdout.trim().split("\n").join("; ") : "";
}

/** The processors that this process may run on: what the engine takes as many threads as. */
export function allowedProcessors(read: ReadSystemFile): number | undefined {
  const list = /^Cpus_allowed_list:\s*(.*)$/m.exec(read("/proc/self/status") ?? "")?.[1];
  return list?.split(",").reduce((sum, range) => {
    const [first, last = first] = range.split("-").map(Number);
    return sum + last! - first! + 1;
  }, 0);
}

/**
 * The processor time that a container has in a second, in seconds: the least of its control group's and of those around it, in
 * either version. Undefined where nothing limits it.
 */
export function processorQuota(read: ReadSystemFile): number | undefined {
  const groups = (read("/proc/self/cgroup") ?? "").trim().split("\n");
  const quotas = groups.flatMap((line) => {
    const [, controllers = "", path = ""] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    const isV1 = controllers.split(",").includes("cpu");
    if (controllers !== "" && !isV1) return [];
    return foldersAround(path).map((folder) =>
      isV1
        ? quotaOf(
            read(`/sys/fs/cgroup/cpu${folder}/cpu.cfs_quota_us`),
            read(`/sys/fs/cgroup/cpu${folder}/cpu.cfs_period_us`),
          )
        : quotaOf(...(read(`/sys/fs/cgroup${folder}/cpu.max`)?.split(" ") ?? [])),
    );
  });
  const least = Math.min(...quotas);
  return Number.isFinite(least) ? least : undefined;
}

/** "/a/b" gives "/a/b", "/a" and "". */
function foldersAround(path: string): string[] {
  const names = path.split("/").filter((name) => name !== "");
  return [...names.keys(), names.length].map((count) =>
    names
      .slice(0, count)
      .map((name) => `/${name}`)
      .join(""),
  );
}

/** "max" and -1 stand for no limit. */
function quotaOf(quota?: string, period?: string): number {
  const seconds = Number(quota) / Number(period);
  return seconds > 0 ? seconds : Number.POSITIVE_INFINITY;
}

export interface Instructions {
  /** Of those that matter here, what the processor has. */
  readonly available: readonly ("AVX2" | "AVX-512" | "AMX")[];
  /** Which copy of the engine's own kernels runs: IsForThisProcessor in native/vectors.h. */
  readonly kernels: "AVX-512" | "AVX2" | "any processor";
}

/** @param limit oneDNN's for itself, which the kernels heed, too: ONEDNN_MAX_CPU_ISA */
export function instructions(read: ReadSystemFile, limit: string | undefined): Instructions {
  const listed = /^flags\s*:(.*)$/m.exec(read("/proc/cpuinfo") ?? "")?.[1] ?? "";
  const flags = new Set(listed.trim().split(" "));
  const hasAll = (...names: readonly string[]) => names.every((name) => flags.has(name));
  const isLimited = (...limits: readonly string[]) => limits.includes(limit ?? "");
  const avx2 = hasAll("avx2", "fma");
  const avx512 = avx2 && hasAll("avx512dq", "avx512vl", "avx512bw");
  const runsNarrow = avx2 && !isLimited("SSE41", "AVX");
  const runsWide = runsNarrow && avx512 && !isLimited("AVX2", "AVX2_VNNI", "AVX2_VNNI_2");
  return {
    available: [
      ...(avx2 ? (["AVX2"] as const) : []),
      ...(avx512 ? (["AVX-512"] as const) : []),
      ...(hasAll("amx_tile", "amx_bf16") ? (["AMX"] as const) : []),
    ],
    kernels: runsWide ? "AVX-512" : runsNarrow ? "AVX2" : "any processor",
  };
}
