// What a run goes on from when its pointers or checkpoints are lost, wrong or damaged: it ends up as one that was never stopped,
// or refuses and changes nothing.
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { loadConfig, parseOverride } from "../../src/config.ts";
import { loadCheckpoint, resolveModelFolder, saveCheckpoint } from "../../src/run/checkpoint.ts";
import { checkpointsIn } from "../../src/run/checkpointFiles.ts";
import { logMetrics, writeSamples } from "../../src/run/metrics.ts";
import { openRun } from "../../src/run/run.ts";
import { captureOutput } from "../support/captureOutput.ts";
import { checkpointOf, tinyConfig, userErrorOf } from "../support/runs.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

const said = captureOutput();

/** Steps of a run that saves at every third; the third and the twelfth are the best so far. */
async function train(folder: string, until: number, config = tinyConfig): Promise<void> {
  using run = openRun(folder, config);
  for (let step = (run.resumeFrom?.step ?? 0) + 1; step <= until; step++) {
    logMetrics(run, { step, epoch: step / 4 }, { "ppo/policyLoss": 1 / step });
    writeSamples(run, step, [{ question: `${step}` }]);
    if (step % 3 === 0) await saveCheckpoint(run, checkpointOf(step, step === 3 || step === 12));
  }
}

/** Every file of a folder with its content, without the time of day. */
function contentOf(folder: string): Record<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  return Object.fromEntries(
    files.map((file) => [
      file.slice(folder.length + 1),
      readFileSync(file, "utf8").replaceAll(/"time":"[^"]*"/g, ""),
    ]),
  );
}

let folder = "";
/** The folder of its checkpoints, or one of them. */
const at = (...names: string[]) => join(checkpointsIn(folder), ...names);
const remove = (...names: string[]) => rmSync(at(...names), { recursive: true });
const damage = (name: string) => appendFileSync(at(name, "model.safetensors"), "!");

/** Runs that were stopped after 11 steps, where step 3 is the best and step 9 the last, and never. */
const [stopped, straight] = ["stopped", "straight"].map((name) => join(temporaryFolder(), name));
await train(stopped!, 11);
await train(straight!, 14);

beforeEach(() => {
  folder = join(temporaryFolder(), "run");
  cpSync(stopped!, folder, { recursive: true });
});

async function expectRefusal(message: string | RegExp): Promise<void> {
  const before = contentOf(folder);
  const refusal = await userErrorOf(() => openRun(folder, tinyConfig));
  if (typeof message === "string") expect(refusal).toContain(message);
  else expect(refusal).toMatch(message);
  expect(contentOf(folder)).toEqual(before);
}

describe.each<[string, () => void, string]>([
  ["last.json is missing", () => remove("last.json"), "last.json does not name"],
  ["best.json is missing", () => remove("best.json"), "best.json does not name"],
  [
    "both are missing",
    () => {
      remove("last.json");
      remove("best.json");
    },
    "last.json does not name the newest checkpoint; going on from step-000009",
  ],
  ["last.json is other text", () => writeFileSync(at("last.json"), "{"), "last.json does not"],
  ["last.json is empty", () => writeFileSync(at("last.json"), ""), "last.json does not name"],
  ["best.json is other text", () => writeFileSync(at("best.json"), "x"), "best.json does not"],
  [
    "last.json names an older step that is not there",
    () => {
      const text = readFileSync(at("last.json"), "utf8");
      writeFileSync(at("last.json"), text.replaceAll(/000009/g, "000006").replace('9,"f', '6,"f'));
    },
    "going on from step-000009",
  ],
  [
    "last.json is that of an older copy",
    () => cpSync(at("best.json"), at("last.json")),
    "going on from step-000009",
  ],
  [
    "best.json names a step that is not there",
    () => {
      const text = readFileSync(at("best.json"), "utf8");
      writeFileSync(at("best.json"), text.replaceAll("000003", "000002"));
    },
    "best.json does not name the best checkpoint, which is step-000003",
  ],
  ["nothing is wrong", () => {}, ""],
  ["the clock was set back", () => vi.setSystemTime(0), ""],
  [
    "the folder was moved",
    () => {
      const moved = `${folder}-moved`;
      renameSync(folder, moved);
      folder = moved;
    },
    "",
  ],
])("a run of which %s", (_, spoil, note) => {
  test("goes on from its newest step, says so, and ends up as one that was never stopped", async () => {
    spoil();
    openRun(folder, tinyConfig)[Symbol.dispose]();
    expect(said.error).toContain(note);
    if (note === "") expect(said.error).toBe("");
    expect(loadCheckpoint(folder, "last")!.step).toBe(9);
    expect(loadCheckpoint(folder, "best")!.step).toBe(3);
    await train(folder, 14);
    vi.useRealTimers();
    expect(contentOf(folder)).toEqual(contentOf(straight!));
  });
});

describe("a run whose newest checkpoint cannot be used", () => {
  test("is refused when it is damaged, with the way to go on from the other one", async () => {
    damage("step-000009");
    await expectRefusal(/step-000009\/model.safetensors: damaged.* best checkpoint, of step 3, is/);
    cpSync(at("best.json"), at("last.json"));
    using run = openRun(folder, tinyConfig);
    expect(run.resumeFrom!.step).toBe(3);
    expect(existsSync(at("step-000009"))).toBe(true); // it may still be of use as a model
  });

  test("is refused when it has the weights of another step", async () => {
    cpSync(at("step-000003", "model.safetensors"), at("step-000009", "model.safetensors"));
    await expectRefusal(/step-000009\/model\.safetensors: damaged: expected SHA-256/);
  });

  test("is refused when it is not there", async () => {
    renameSync(at("step-000009"), join(folder, "away"));
    await expectRefusal(/step-000009\/checkpoint.json: missing.* best checkpoint, of step 3, is/);
  });

  test("is refused also without any pointer; following the advice goes on from the other one", async () => {
    damage("step-000009");
    remove("last.json");
    remove("best.json");
    await expectRefusal("go on from it after moving step-000009 out of");
    renameSync(at("step-000009"), join(folder, "away"));
    using run = openRun(folder, tinyConfig);
    expect(run.resumeFrom!.step).toBe(3);
    expect(loadCheckpoint(folder, "best")!.step).toBe(3);
  });

  test("is refused when last.json names a later step than any that is there; the newest one is named", async () => {
    const text = readFileSync(at("last.json"), "utf8");
    writeFileSync(at("last.json"), text.replaceAll("000009", "000010"));
    await expectRefusal(/The checkpoint of step 9 is intact .* after moving best.json, last.json/);
    remove("last.json");
    using run = openRun(folder, tinyConfig);
    expect(run.resumeFrom!.step).toBe(9);
  });

  test("is refused when its list is not the one that last.json was written for", async () => {
    const list = at("step-000009", "checkpoint.json");
    writeFileSync(list, readFileSync(list, "utf8").replace('"rng": [', '"rng":  ['));
    await expectRefusal("step-000009/checkpoint.json: damaged: expected SHA-256");
  });

  test("is refused on one line, whatever the hash in last.json is", async () => {
    const pointer = JSON.parse(readFileSync(at("last.json"), "utf8"));
    const wrong = { ...pointer, manifestSha256: "\nreft: forged" };
    writeFileSync(at("last.json"), JSON.stringify(wrong));
    await expectRefusal(/damaged: expected SHA-256 \\nreft: forged, found [0-9a-f]{64}/);
  });

  test("is refused when there is no other one, and when no checkpoint is left at all", async () => {
    damage("step-000003");
    damage("step-000009");
    await expectRefusal(/The best checkpoint is no help, .* no other checkpoint: put back a copy/);
    remove("step-000003");
    remove("step-000009");
    await expectRefusal("step-000009/checkpoint.json: missing");
    writeFileSync(at("last.json"), "{");
    remove("best.json");
    await expectRefusal("last.json: damaged");
  });

  test("is refused when the folder of the checkpoints was not copied", async () => {
    rmSync(at(), { recursive: true });
    await expectRefusal("expected the checkpoints of the run whose settings and figures are here");
  });

  test("is refused when it is another run's, in a folder put together from two", async () => {
    const other = join(temporaryFolder(), "run");
    const config = loadConfig("reft", "configs/tiny/reft.yaml", [parseOverride("seed=7")]);
    await train(other, 12, config);
    cpSync(join(checkpointsIn(other), "step-000012"), at("step-000012"), { recursive: true });
    await expectRefusal(/made with other settings:\n {2}seed: was 7, is now/);
  });
});

describe("a run whose best checkpoint is lost", () => {
  test("goes on, says so, and is not taken for another model in silence", async () => {
    remove("step-000003");
    remove("best.json");
    await train(folder, 11);
    expect(said.error).toContain("the best checkpoint, of step 3, is gone");
    expect(await userErrorOf(() => resolveModelFolder(folder))).toMatch(
      /best.json: expected it to name the best checkpoint, of step 3, found nothing there; .*run\/step-000009$/,
    );
    await train(folder, 12); // a better one
    expect(resolveModelFolder(folder)).toBe(at("step-000012"));
  });

  test("is not taken for another model before it is put right", async () => {
    remove("best.json");
    expect(await userErrorOf(() => resolveModelFolder(folder))).toContain("of step 3");
    remove("last.json");
    expect(await userErrorOf(() => resolveModelFolder(folder))).toContain("name a checkpoint");
    openRun(folder, tinyConfig)[Symbol.dispose]();
    expect(resolveModelFolder(folder)).toBe(at("step-000003"));
  });

  test("keeps it while a save finds best.json lost", async () => {
    using run = openRun(folder, tinyConfig);
    await saveCheckpoint(run, checkpointOf(12, true));
    remove("best.json");
    await saveCheckpoint(run, checkpointOf(15));
    expect(existsSync(at("step-000012"))).toBe(true);
  });
});

describe("what a save that was cut off has left", () => {
  test("is removed: an unfinished folder, a superseded one, one that is not pointed at yet", () => {
    mkdirSync(at(".step-000012.tmp"));
    cpSync(at("step-000003"), at("step-000002"), { recursive: true });
    openRun(folder, tinyConfig)[Symbol.dispose]();
    expect(readdirSync(at()).toSorted()).toEqual([
      "best.json",
      "last.json",
      "step-000003",
      "step-000009",
    ]);
  });

  test("stays as long as the best one is damaged, for which it may stand in", () => {
    cpSync(at("step-000003"), at("step-000002"), { recursive: true });
    damage("step-000003");
    openRun(folder, tinyConfig)[Symbol.dispose]();
    expect(existsSync(at("step-000002"))).toBe(true);
  });
});

describe("metrics.jsonl", () => {
  const path = () => join(folder, "metrics.jsonl");
  const edit = (change: (lines: string[]) => void) => {
    const lines = readFileSync(path(), "utf8").split("\n");
    change(lines);
    writeFileSync(path(), lines.join("\n"));
  };

  test.each<[string, (lines: string[]) => void, string]>([
    [
      "with other text within",
      (lines) => lines.splice(4, 1, "\0\0\0"),
      ":5: expected the figures of step 5, because the checkpoint is of step 9, found none that are whole",
    ],
    ["without a line", (lines) => lines.splice(4, 1), ":5: expected the figures of step 5"],
    ["with a line twice", (lines) => lines.splice(4, 0, lines[3]!), ":5: expected the figures"],
    ["cut off before the checkpoint", (lines) => lines.splice(6), ":7: expected the figures of"],
    ["emptied", (lines) => lines.splice(0), ":1: expected the figures of step 9"],
    [
      "with other text in the last line that is kept",
      (lines) => lines.splice(8, 1, "?"),
      ":9: expected the figures of step 9",
    ],
  ])("%s is refused, and left as it is", async (_, change, message) => {
    edit(change);
    await expectRefusal(`metrics.jsonl${message}`);
  });

  test("may end in anything after the checkpoint, as a crash leaves it", async () => {
    edit((lines) => lines.splice(9, 1, "\0\0", '{"step":1'));
    await train(folder, 11);
    expect(readFileSync(path(), "utf8").split("\n")).toHaveLength(12);
  });

  test("may be moved away, and then begins anew", async () => {
    rmSync(path());
    await train(folder, 11); // from step 9
    await train(folder, 14); // from step 9 again, with the figures of 10 and 11
    await train(folder, 15);
    const steps = readFileSync(path(), "utf8").trim().split("\n");
    expect(steps.map((line) => JSON.parse(line).step)).toEqual([10, 11, 12, 13, 14, 15]);
  });
});

test("a run whose checkpoints were not copied, but for their folder, says that it starts again", async () => {
  for (const name of readdirSync(at())) remove(name);
  await train(folder, 14);
  expect(said.error).toContain(`${at()} holds no checkpoint: starting at the first step again`);
  expect(contentOf(folder)).toEqual(contentOf(straight!));
});
