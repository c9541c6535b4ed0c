import { createHash } from "node:crypto";
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startGuest } from "../../../src/reward/sandbox/guestProcess.ts";
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

test("where it cannot be kept there is none, and a warning says so", async () => {
  const file = join(temporaryFolder(), "file");
  writeFileSync(file, "");
  chmodSync(file, 0o400);
  const warned = new Promise<Error>((resolve) => process.once("warning", resolve));
  expect(await cachedSnapshot(settings, join(file, "under-a-file"))).toBeUndefined();
  expect((await warned).message).toContain("the sandbox starts slower, no snapshot in");
});

// `random` is loaded at boot, so its state comes out of the snapshot; the rest asks for entropy in the program.
const chance = `import os, random, secrets, uuid
def solution():
    draws = [random.random(), random.SystemRandom().random(), os.urandom(8).hex(), secrets.token_hex(8), uuid.uuid4()]
    return " ".join(map(str, [*draws, hash("a"), hash(b"a"), set("abcdefgh")]))[:200]`;

test("a snapshot is made once, and anew where it is damaged; chance is the same with each, and without", async () => {
  const booted = { ...settings, prepare: "import math, random" };
  const draws: string[] = [];
  const draw = async (snapshot?: string) => {
    const guest = startGuest({ ...booted, ...(snapshot && { snapshot }) });
    for (let i = 0; i < 2; i++) draws.push((await guest.ask(chance)).text);
    guest.kill();
  };
  const folder = join(temporaryFolder(), "new");
  const path = (await cachedSnapshot(booted, folder))!;
  expect(readdirSync(folder)).toEqual([snapshotName(booted)]);
  await draw(path);
  const written = statSync(path).ino;
  expect(await cachedSnapshot(booted, folder)).toBe(path);
  expect(statSync(path).ino).toBe(written);

  const damaged = readFileSync(path);
  damaged[20_000_000]! ^= 1;
  writeFileSync(path, damaged);
  expect(await cachedSnapshot(booted, folder)).toBe(path);
  const bytes = readFileSync(path);
  expect(createHash("sha256").update(bytes.subarray(32)).digest()).toEqual(bytes.subarray(0, 32));
  await draw(path);

  await draw();
  expect(new Set(draws).size).toBe(1);
  expect(draws[0]).toContain("0.5531722972078954 "); // on every machine
});
