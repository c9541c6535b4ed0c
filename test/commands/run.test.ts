// The command's own part of `reft run`: whom it asks, and what it prints.
import { expect, test, vi } from "vitest";
import { main } from "../../src/cli.ts";
import { captureOutput } from "../support/captureOutput.ts";

vi.mock("../../src/tasks/runRecipe.ts", () => ({
  planRecipe: () => "the plan",
  runRecipe: async (
    _: string,
    __: unknown,
    ___: string,
    { beforeReplacing }: { beforeReplacing?: (names: string[]) => Promise<void> },
  ) => {
    await beforeReplacing?.(["data", "seed-1/sft"]);
    return "the table";
  },
}));
const said = captureOutput();
const command = ["run", "--config", "configs/tiny/recipe.yaml", "--output", "runs/r"];

test("without a terminal refuses to move finished stages away, with one message", async () => {
  expect(await main(command)).toBe(1);
  expect(said.stderr).toBe(
    "reft run: what is there of data, seed-1/sft moves to runs/r/replaced, to be made anew with all that reads from it, " +
      "and nobody can be asked here: give --yes to go on, or the settings that it was made with. Nothing was changed\n",
  );
});

test("--yes asks nobody", async () => {
  expect(await main([...command, "--yes"])).toBe(0);
  expect(said.log).toContain("the table");
});

test("--dry-run prints the plan, and the memory of each stage", async () => {
  expect(await main([...command, "--dry-run"])).toBe(0);
  expect(said.log).toMatch(/^the plan\n\nmemory at the most of each stage.*\n {2}rerankReft /s);
});
