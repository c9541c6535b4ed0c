import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { main } from "../../src/cli.ts";
import type { Outcome } from "../../src/reward/outcome.ts";
import { ask } from "../../src/tasks/ask.ts";
import { fakeSandbox } from "../support/fakeSandbox.ts";
import { goldenPath } from "../support/golden.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";
import { writeTinyData, writeTinyModel } from "../support/tiny.ts";

const programs: string[] = [];
let outcome: Outcome;
vi.mock("../../src/reward/sandbox/sandbox.ts", () => ({
  createSandbox: async () =>
    fakeSandbox((program) => {
      programs.push(program);
      return outcome;
    }),
}));

describe("ask", () => {
  let home: string;
  beforeEach(() => {
    home = temporaryFolder();
    writeTinyModel(home, writeTinyData(join(home, "data")));
    programs.length = 0;
    outcome = { kind: "answer", value: 7 };
  });
  afterEach(() => {
    vi.restoreAllMocks();
  });

  const question = "Tom has 3 apples and buys 4. How many has he?";

  test("runs the program that the model writes after its given beginning, twice the same", async () => {
    const first = await ask({ model: home, question, maxNewTokens: 8 });
    const second = await ask({ model: home, question, maxNewTokens: 8 });
    expect(first).toEqual(second);
    expect(first.text).toMatch(/^def solution\(\):/);
    expect(first.outcome).toEqual({ kind: "answer", value: 7 });
    expect(programs).toEqual([first.text, first.text]);
  });

  test("needs no limit: the answer may be as long as the model's positions allow", async () => {
    const { text } = await ask({ model: home, question });
    expect(text).toMatch(/^def solution\(\):/);
  });

  test.each<[string, Outcome]>([
    ["answer: 7", { kind: "answer", value: 7 }],
    ["no answer (error): boom", { kind: "error", message: "boom" }],
  ])("prints the program, an empty line and %s", async (line, found) => {
    outcome = found;
    const print = vi.spyOn(console, "log").mockImplementation(() => {});
    expect(await main(["ask", question, "--model", home, "--max-new-tokens", "8"])).toBe(0);
    expect(print).toHaveBeenCalledExactlyOnceWith(`${programs[0]}\n\n${line}`);
  });

  test("says what is wrong with the model or the settings", async () => {
    const untaught = goldenPath("models", "grouped-query");
    await expect(ask({ model: untaught, question, maxNewTokens: 8 })).rejects.toThrow(
      /no reft\.json, so it was not taught to answer/,
    );
    await expect(ask({ model: home, question, maxNewTokens: 250 })).rejects.toThrow(
      /the question has \d+ prompt tokens, .* leave \d+ for the answer, expected at least 250; lower maxNewTokens/,
    );
    await expect(ask({ model: home, question, maxNewTokens: 0 })).rejects.toThrow(/maxNewTokens/);
  });
});
