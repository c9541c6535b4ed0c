import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { nodeDisk } from "../../src/formats/disk.ts";
import { questionsFile, readFileOf, writeAbout } from "../../src/run/about.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

test("about.json has the machine, and the lengths of the rows that are used", () => {
  const folder = temporaryFolder();
  const sequences = [1, 2, 3].map((length) => ({ prompt: Array(length).fill(7), response: [7] }));
  const questions = [{ prompt: { tokens: [7] } }];
  writeAbout({ folder, disk: nodeDisk }, [
    readFileOf("data.train", 4, sequences),
    questionsFile("data.dev", { questions, tooLong: 0 }),
  ]);
  const { machine, files } = JSON.parse(readFileSync(join(folder, "about.json"), "utf8"));
  expect(Object.keys(machine)).toEqual([
    ...["computed by", "processor", "threads", "memory", "versions"],
  ]);
  expect(machine.versions).toContain(`Node ${process.versions.node}`);
  expect(files).toEqual([
    {
      ...{ setting: "data.train", rows: 3, tooLong: 4 },
      prompt: { median: 2, at95: 3, most: 3 },
      completion: { median: 1, at95: 1, most: 1 },
    },
    {
      ...{ setting: "data.dev", rows: 1, tooLong: 0 },
      prompt: { median: 1, at95: 1, most: 1 },
    },
  ]);
});
