import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { expect, test, vi } from "vitest";
import { planStages, type RecipeStage, runStages } from "../../src/recipe/stages.ts";
import { watchInterrupts } from "../../src/run/interrupts.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

/** What each stage is told; a stage writes it into its folder. */
const settings = {
  warmup: { rate: 1 },
  sft: { rate: 2 },
  reft: { optimizer: { rate: 3, clip: 1 } },
  "test-sft": {},
  "test-reft": {},
};
type Name = keyof typeof settings;
const reads: Readonly<Record<Name, readonly Name[]>> = {
  warmup: [],
  sft: ["warmup"],
  reft: ["warmup"],
  "test-sft": ["sft"],
  "test-reft": ["reft"],
};
const all = Object.keys(settings);

/** How long a stage takes at least that is stopped. */
const milliseconds = 300;

interface Call {
  readonly changed?: Partial<Record<Name, unknown>>;
  readonly data?: string;
  /** This stage stops after it has written its file. */
  readonly stopIn?: Name;
}

/** One call of the command. Returns which stages ran, and what was said. */
async function call(folder: string, { changed = {}, data = "a", stopIn }: Call = {}) {
  const ran: string[] = [];
  const said: string[] = [];
  const stages = (Object.keys(settings) as Name[]).map(
    (name): RecipeStage => ({
      name,
      settings: { ...settings, ...changed }[name],
      inputs: name === "warmup" ? { train: data } : {},
      reads: reads[name],
      run: async (stageFolder) => {
        ran.push(name);
        writeFileSync(join(stageFolder, "made.json"), JSON.stringify({ ...settings, ...changed }));
        if (name === stopIn) await setTimeout(milliseconds);
        if (name === stopIn) throw new Error("stopped");
        return { accuracy: 0.5 };
      },
    }),
  );
  const planned = planStages(folder, stages);
  await runStages(folder, planned, (text) => said.push(text)).catch((error) => {
    if (stopIn === undefined) throw error;
  });
  return { ran, said, planned };
}

function recordOf(folder: string, name: Name) {
  return JSON.parse(readFileSync(join(folder, "stages", `${name}.json`), "utf8"));
}

test("the first call runs every stage, the second none", async () => {
  const folder = temporaryFolder();
  expect((await call(folder)).ran).toEqual(all);
  const { ran, said, planned } = await call(folder);
  expect(ran).toEqual([]);
  expect(said).toEqual([]);
  expect(planned.map(({ state }) => state)).toEqual(all.map(() => "done"));
  expect(recordOf(folder, "reft")).toMatchObject({
    result: { accuracy: 0.5 },
    settings: settings.reft,
  });
});

test("a changed setting redoes its stage and those that read from it, and names it", async () => {
  const folder = temporaryFolder();
  await call(folder);
  const changed = { reft: { optimizer: { rate: 4, clip: 1 } } };
  const { ran, planned } = await call(folder, { changed });
  expect(ran).toEqual(["reft", "test-reft"]);
  expect(planned.map(({ changes }) => changes)).toEqual([
    [],
    [],
    ["optimizer.rate: was 3, is now 4"],
    [],
    ["reft changed"],
  ]);
  expect((await call(folder, { changed })).ran).toEqual([]);
});

test("other data redoes everything that depends on it", async () => {
  const folder = temporaryFolder();
  await call(folder);
  const { ran, planned } = await call(folder, { data: "b" });
  expect(ran).toEqual(all);
  expect(planned[0]!.changes).toEqual(["train has other content"]);
});

test("what is made anew is moved aside with its record, each time to another place", async () => {
  const folder = temporaryFolder();
  await call(folder);
  const { said } = await call(folder, { changed: { reft: { optimizer: { rate: 4 } } } });
  const place = join(folder, "replaced", "reft-1");
  expect(said).toContain(`what was there before is now in ${place}`);
  const made = JSON.parse(readFileSync(join(place, "made.json"), "utf8"));
  expect(made.reft).toEqual(settings.reft);
  expect(JSON.parse(readFileSync(`${place}.json`, "utf8")).settings).toEqual(settings.reft);
  await call(folder);
  expect(existsSync(join(folder, "replaced", "reft-2", "made.json"))).toBe(true);
});

test("a stage that was stopped goes on in its folder; its seconds add up", async () => {
  const folder = temporaryFolder();
  expect((await call(folder, { stopIn: "reft" })).ran).toEqual(["warmup", "sft", "reft"]);
  expect(recordOf(folder, "reft")).not.toHaveProperty("result");
  const { seconds } = recordOf(folder, "reft");
  expect(1000 * seconds).toBeGreaterThan(0.9 * milliseconds);
  const { ran, planned } = await call(folder);
  expect(ran).toEqual(["reft", "test-sft", "test-reft"]);
  expect(planned[2]).toMatchObject({ state: "unfinished", changes: [] });
  expect(existsSync(join(folder, "replaced"))).toBe(false);
  expect(recordOf(folder, "reft").seconds).toBeGreaterThan(seconds);
});

test("a stage that was stopped and then told something else starts anew", async () => {
  const folder = temporaryFolder();
  await call(folder, { stopIn: "reft" });
  const { ran } = await call(folder, { changed: { reft: { optimizer: { rate: 4 } } } });
  expect(ran).toEqual(["reft", "test-sft", "test-reft"]);
  expect(existsSync(join(folder, "replaced", "reft-1", "made.json"))).toBe(true);
});

test("Ctrl-C in the last step of a stage keeps the next one from starting", async () => {
  const folder = temporaryFolder();
  vi.spyOn(process.stderr, "write").mockReturnValue(true);
  const ran: string[] = [];
  const stages = ["first", "second"].map((name): RecipeStage => {
    const run = async () => {
      ran.push(name);
      await using interrupts = watchInterrupts();
      if (name === "first") process.kill(process.pid, "SIGINT");
      while (name === "first" && !(await interrupts.requested()));
      return {};
    };
    return { name, settings: {}, inputs: {}, reads: [], run };
  });
  const call = () => runStages(folder, planStages(folder, stages), () => {});
  await expect(call).rejects.toThrow("stopped before second; the same command goes on with it");
  await call();
  expect(ran).toEqual(["first", "second"]);
});

test("a stage whose folder was removed runs again, alone", async () => {
  const folder = temporaryFolder();
  await call(folder);
  rmSync(join(folder, "sft"), { recursive: true });
  expect((await call(folder)).ran).toEqual(["sft"]);
});

test("a stage that a crash left between its record and its folder runs", async () => {
  const folder = temporaryFolder();
  await call(folder, { stopIn: "warmup" });
  rmSync(join(folder, "warmup"), { recursive: true });
  expect((await call(folder, { data: "b" })).ran).toEqual(all);
});

test("other alarms and other checkpoints to keep make nothing anew", async () => {
  const folder = temporaryFolder();
  const told = (extra: object) => ({ changed: { warmup: { ...settings.warmup, ...extra } } });
  await call(folder, told({ alarms: { onCollapse: "stop" }, checkpoint: { everySteps: 2 } }));
  const keep = { alarms: {}, checkpoint: { everySteps: 2, keep: { last: 3 } } };
  expect((await call(folder, told(keep))).ran).toEqual([]);
  expect((await call(folder, told({ ...keep, checkpoint: { everySteps: 3 } }))).ran).toEqual(all);
});
