// The machine that the figures are of.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";

export interface Machine {
  readonly cpu: string;
  /** Vector extensions that matter to matrix products. */
  readonly extensions: readonly string[];
  /** Of each side. */
  readonly threads: number;
  readonly node: string;
}

const extensionsThatMatter = [
  ..."avx avx2 fma avx512f avx512_vnni avx512_bf16 avx512_fp16".split(" "),
  ..."amx_tile amx_bf16 asimd sve".split(" "),
];

export function describeMachine(threads: number): Machine {
  const flags = new Set(
    /^(?:flags|Features)\s*:(.*)$/m
      .exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1]
      ?.trim()
      .split(" "),
  );
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    extensions: extensionsThatMatter.filter((name) => flags.has(name)),
    threads,
    node: process.version,
  };
}

/** Processes that ran or waited, on average of the last minute; the benchmark's own are among them. */
export function load(): number {
  return Math.round(100 * loadavg()[0]!) / 100;
}

export function commit(): string {
  const git = (...args: string[]) => execFileSync("git", args, { encoding: "utf8" }).trim();
  try {
    return (
      git("rev-parse", "--short", "HEAD") + (git("status", "--porcelain") ? " and changes" : "")
    );
  } catch {
    return "unknown";
  }
}
