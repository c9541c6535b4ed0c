import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { main } from "../../src/cli.ts";
import { report } from "../../src/commands/ask.ts";
import { toldFormat } from "../../src/commands/flags.ts";
import type { JsonValue } from "../../src/data/json.ts";
import type { Outcome } from "../../src/reward/outcome.ts";
import { ask } from "../../src/tasks/ask.ts";
import { fakeSandbox } from "../support/fakeSandbox.ts";
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

  test("asks a model without reft.json as it is told to, from the command line, too", async () => {
    rmSync(join(home, "reft.json"));
    const template = join(home, "mine.jinja");
    writeFileSync(template, "{{ question }}\n");
    const print = vi.spyOn(console, "log").mockImplementation(() => {});
    const say = vi.spyOn(console, "error").mockImplementation(() => {});
    const flags = ["--program-prefix", "def", "--max-new-tokens", "8"];
    const told = (prompt: string) =>
      main(["ask", question, "--model", home, ...flags, "--prompt", prompt]);
    for (const prompt of ["paper", template, `{ file: ${template} }`])
      expect(await told(prompt)).toBe(0);
    const notice = (prompt: string) =>
      `${home} has no reft.json to say how to ask: with cotKind python, programPrefix def, prompt ${prompt}`;
    expect(say.mock.calls.flat()).toEqual(["paper", "mine.jinja", "mine.jinja"].map(notice));
    expect(print.mock.calls[1]).toEqual(print.mock.calls[2]);
    const flag = { cot: undefined, "program-prefix": undefined, prompt: "{ chat: {} }" };
    expect(() => toldFormat(flag)).toThrow('--prompt { chat: {} }: expected "system" or "date"');
    const form = "/Final answer: (.*)/";
    expect(toldFormat({ ...flag, cot: form, prompt: undefined }).cotKind).toBe(form);
  });

  test("says what is wrong with the model or the settings", async () => {
    await expect(ask({ model: home, question, prompt: "chat" })).rejects.toThrow(
      /expected a model with a chat template/,
    );
    await expect(ask({ model: home, question, maxNewTokens: 250 })).rejects.toThrow(
      /the question has \d+ prompt tokens, .* leave \d+ for the answer, expected at least 250; lower maxNewTokens/,
    );
    await expect(ask({ model: home, question, maxNewTokens: 0 })).rejects.toThrow(/maxNewTokens/);
  });
});

test("what is nothing but its answer stands alone; JSON is laid out", () => {
  const answer = (value: JsonValue): Outcome => ({ kind: "answer", value });
  expect(report({ text: " Paris\n", outcome: answer("Paris") })).toBe("Paris");
  expect(report({ text: "so \\boxed{7}", outcome: answer("7") })).toBe(
    "so \\boxed{7}\n\nanswer: 7",
  );
  expect(report({ text: "is [1]", outcome: answer([1]) })).toBe("is [1]\n\nanswer: [\n  1\n]");
});
