import { expect, test } from "vitest";
import { main } from "../../src/cli.ts";
import { settingRows, settingsKinds, settingsSchema } from "../../src/tasks/settingRows.ts";
import { captureOutput } from "../support/captureOutput.ts";

const said = captureOutput();

test.each(settingsKinds)("reft settings %s prints every setting with its meaning", async (kind) => {
  expect(await main(["settings", kind])).toBe(0);
  for (const { path, meaning } of settingRows(kind)) {
    const at = said.log.indexOf(`\n\n${path}: `);
    expect(at, path).toBeGreaterThan(0);
    if (meaning !== "") expect(said.log.slice(at).split("\n")[3], path).toBe(`  ${meaning}`);
  }
});

test("says what may be left out, and what others have there", async () => {
  await main(["settings", "reft"]);
  expect(said.log).toContain("training.recompute: true or false; optional, false unless given\n");
  expect(said.log).toMatch(
    /\noptimizer.learningRate: number above 0\n.*\n {2}tiny 0.0002, svamp-smollm2 [\d.]+, gsm8k-codellama-7b [\d.e-]+\n/,
  );
});

test("with --json it is the JSON schema", async () => {
  await main(["settings", "rerank", "--json"]);
  expect(JSON.parse(said.log)).toEqual(JSON.parse(JSON.stringify(settingsSchema("rerank"))));
});

test("names the stages where it is given none of them", async () => {
  expect(await main(["settings", "warmup"])).toBe(1);
  expect(said.stderr).toMatch(/Choices: "sft", "reft", "rerank", "recipe"/);
});
