import { chmodSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { cachedSnapshot, snapshotName } from "../../../src/reward/sandbox/snapshot.ts";
import { temporaryFolder } from "../../support/temporaryFolder.ts";

const settings = {
  wheels: [],
  prepare: "import math",
  names: ["math"],
  maxMemoryBytes: 2 ** 28,
  verifyEvery: 1,
};

test("a snapshot's name changes with what is in it", () => {
  expect(snapshotName(settings)).toMatch(/^python-[0-9a-f]{16}\.snapshot$/);
  expect(snapshotName({ ...settings, prepare: "import json" })).not.toBe(snapshotName(settings));
  expect(snapshotName({ ...settings, wheels: ["/a/x.whl"] })).not.toBe(snapshotName(settings));
  expect(snapshotName({ ...settings, maxMemoryBytes: 2 ** 29 })).toBe(snapshotName(settings));
});

test("a snapshot is made once and whole", async () => {
  const folder = temporaryFolder();
  const path = await cachedSnapshot(settings, join(folder, "new"));
  expect(readdirSync(join(folder, "new"))).toEqual([snapshotName(settings)]);
  writeFileSync(path!, "kept");
  expect(await cachedSnapshot(settings, join(folder, "new"))).toBe(path);
});

test("where it cannot be kept there is none, and a warning says so", async () => {
  const file = join(temporaryFolder(), "file");
  writeFileSync(file, "");
  chmodSync(file, 0o400);
  const warned = new Promise<Error>((resolve) => process.once("warning", resolve));
  expect(await cachedSnapshot(settings, join(file, "under-a-file"))).toBeUndefined();
  expect((await warned).message).toContain("the sandbox starts slower, no snapshot in");
});
