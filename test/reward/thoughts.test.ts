import { expect, test } from "vitest";
import { withoutThoughts } from "../../src/reward/thoughts.ts";

test.each([
  ["<think>", "</think>"],
  ["<thinking>", "</thinking>"],
  ["<thought>", "</thought>"],
  ["<reasoning>", "</reasoning>"],
  ["[THINK]", "[/THINK]"],
])("what stands beside %s and %s is what a model answers", (open, close) => {
  expect(withoutThoughts(`\n${open}\n4?${close}\n3`)).toBe("\n\n3");
  expect(withoutThoughts(`4?${close}3`)).toBe("3"); // some templates write the opening into the prompt
  expect(withoutThoughts(`${open}4?${close}5${open}6?${close}3`)).toBe("53");
  expect(withoutThoughts(`${open}4?${close}`)).toBe("");
  expect(withoutThoughts(`${open}4?`)).toBe("");
  expect(withoutThoughts(`It may ${open}`)).toBe(`It may ${open}`);
});

test("a text without thoughts is the answer", () => {
  for (const text of ["", "3", "<answer>3</answer>", "[think] 3"])
    expect(withoutThoughts(text)).toBe(text);
});
