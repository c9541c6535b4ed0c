import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { placeIn } from "../../src/run/place.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

const hosts = ["h0:7000", "h1:7000"];

describe("which rank a process is", () => {
  it("is not said by an environment without others", () => {
    expect(placeIn({})).toBeUndefined();
    expect(placeIn({ SLURM_PROCID: "0", SLURM_NTASKS: "8" })).toBeUndefined(); // a batch script, not one of srun's tasks
    expect(placeIn({ SLURM_PROCID: "0", SLURM_STEP_NUM_TASKS: "1" })).toBeUndefined();
  });

  it("is said by our own variables, before all others", () => {
    const own = { REFT_RANK: "1", REFT_HOSTS: "h0:7000,h1:7000" };
    expect(placeIn({ ...own, TF_CONFIG: "{}" })).toEqual({ rank: 1, hosts });
  });

  it("is said by TF_CONFIG", () => {
    const config = { cluster: { worker: hosts }, task: { type: "worker", index: 1 } };
    expect(placeIn({ TF_CONFIG: JSON.stringify(config) })).toEqual({ rank: 1, hosts });
  });

  it("is said by what srun sets, with a port for each task of a host", () => {
    const folder = temporaryFolder();
    const scontrol = join(folder, "scontrol");
    writeFileSync(
      scontrol,
      '#!/bin/sh\n[ "$*" = "show hostnames n[1-2]" ] && printf "n1\\nn2\\n"\n',
    );
    chmodSync(scontrol, 0o755);
    vi.stubEnv("PATH", `${folder}:${process.env.PATH}`);
    const slurm = {
      ...{ SLURM_JOB_ID: "41007", SLURM_STEP_NUM_TASKS: "3", SLURM_STEP_NODELIST: "n[1-2]" },
      ...{ SLURM_STEP_TASKS_PER_NODE: "2,1", SLURM_PROCID: "2", SLURM_NODEID: "1" },
    };
    const place = { rank: 2, hosts: ["n1:25007", "n1:25008", "n2:25007"] };
    expect(placeIn(slurm)).toEqual(place);
    const cyclic = { ...slurm, SLURM_PROCID: "1" };
    expect(() => placeIn(cyclic)).toThrow("give srun --distribution=block");
    vi.unstubAllEnvs();
  });

  it.each([
    [{ REFT_RANK: "1" }, "expected both, found one of them"],
    [{ REFT_RANK: "2", REFT_HOSTS: "h0:1,h1:1" }, "expected a rank from 0 to 1"],
    [{ REFT_RANK: "-1", REFT_HOSTS: "h0:1,h1:1" }, "expected a rank from 0 to 1"],
    [{ REFT_RANK: "0", REFT_HOSTS: 'h0:1" } x,h1:1' }, "expected hosts as host:port"],
    [{ REFT_RANK: "0", REFT_HOSTS: "h0:1,h0:1" }, "expected different hosts or ports"],
    [{ TF_CONFIG: "{" }, "TF_CONFIG: expected JSON"],
    [{ TF_CONFIG: '{"cluster":{"worker":["h0:1"]},"task":{"type":"ps","index":0}}' }, "TF_CONFIG"],
  ])("refuses %j", (environment, message) => {
    expect(() => placeIn(environment)).toThrow(message);
  });
});
