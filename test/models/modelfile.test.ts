import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { loadTokenizer, trainTokenizer } from "../../src/data/tokenizer.ts";
import { UserError } from "../../src/errors.ts";
import type { AnswerFormat } from "../../src/models/modelFolder.ts";
import { modelfile } from "../../src/models/modelfile.ts";
import { realData } from "../support/realData.ts";

const settings = { from: "model.gguf", maxPositions: 256, stops: ["</s>", '<"end">'] };
const formatOf = (programPrefix: AnswerFormat["sampling"]["programPrefix"]): AnswerFormat => ({
  cotKind: "python",
  sampling: { programPrefix, continuation: programPrefix === "none" ? "" : "    x = 1" },
});
const tokenizer = trainTokenizer(['def solution():\n    """a"""\n    x = 1\n    y = 1\n'], 262);

test("asks greedily in the form of training, the docstring's quotes escaped", () => {
  expect(modelfile(tokenizer, formatOf("docstring"), settings, "folder")).toBe(
    `FROM ./model.gguf
TEMPLATE """Question:
{{ .Prompt }}
Answer reasoning:
def solution():
    {{ "\\x22\\x22\\x22" }}{{ .Prompt }}{{ "\\x22\\x22\\x22" }}"""
PARAMETER stop "</s>"
PARAMETER stop "<\\"end\\">"
PARAMETER temperature 0
PARAMETER repeat_penalty 1
PARAMETER num_ctx 256
`,
  );
});

test("goes on after the prompt where a program has no known beginning", () => {
  const text = modelfile(tokenizer, formatOf("none"), settings, "folder");
  expect(text).toContain('TEMPLATE """Question:\n{{ .Prompt }}\nAnswer reasoning:\n"""\n');
});

describe.skipIf(realData === undefined)("CodeLlama's tokenizer (REFT_DATA)", () => {
  test("puts a space before a program, so the template has one, too", () => {
    const codellama = loadTokenizer(join(realData!, "codellama"));
    const text = modelfile(codellama, formatOf("def"), settings, "folder");
    expect(text).toContain("Answer reasoning:\n def solution():");
  });
});

test("a prompt of which the decoded text has other tokens is refused", () => {
  const broken = { ...tokenizer, decode: (ids: readonly number[]) => `${tokenizer.decode(ids)} ` };
  expect(() => modelfile(broken, formatOf("none"), settings, "folder")).toThrow(UserError);
});
