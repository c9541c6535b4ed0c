import { expect, test } from "vitest";
import { findAnswer } from "../../src/reward/findAnswer.ts";
import type { AnswerForm } from "../../src/rewardConfig.ts";
import { processorSeconds } from "../support/processorSeconds.ts";

type Form = Exclude<AnswerForm, "python">;
const found = (form: Form, text: string) => {
  const outcome = findAnswer(form, text);
  return outcome.kind === "answer" ? outcome.value : outcome;
};

const nextQuestion = "\n\nQuestion:\nTom has 5.\nAnswer reasoning:\n";
const draft = "<think>So the answer is 5. Wait, no: 4 + 3 = 7. Or \\boxed{5}?</think>";

test.each<[Form, string, unknown]>([
  ["nl", "So 3 + 4 = 7. The answer is 7.", 7],
  ["nl", "The answer is 7.<|im_end|>\n<|im_start|>user\nThe answer is 8.", 7],
  ["nl", "The answer is (b)</s>", "b"],
  ["hashes", "3 + 4 = 7\n#### 7\n", "7"],
  ["hashes", "#### 1\n#### 2 apples", "2 apples"],
  ["hashes", "#### 42\n####", "42"],
  ["hashes", "#### 42</s>\nQuestion: More?\n#### 43", "42"],
  ["hashes", "<|endoftext|>#### 42<|im_end|>", "42"],
  ["boxed", "so \\boxed{1} or rather $\\boxed{\\frac{1}{2}}$.", "\\frac{1}{2}"],
  ["boxed", "\\boxed{\\{1\\}}", "\\{1\\}"],
  ["boxed", "\\boxed {42}", "42"],
  ["boxed", "$\\fbox{42}$", "42"],
  ["boxed", "\\\\boxed{42}", "42"],
  ["boxed", "\\boxed{42}. To check: \\boxed{4", "42"],
  ["boxed", "Put it in \\boxed{}: \\boxed{x = \\boxed{42}", "42"],
  ["boxed", "\\boxed{42}. That is what stands in \\boxed{}.", "42"],
  ["boxed", "\\boxed{a \\\\}", "a \\\\"],
  ["boxed", "{ \\boxed{1} } } \\boxed{2}", "2"],
  ["tags", "<think>5</think><answer>\n 7\n</answer>", "7"],
  ["tags", "<Answer>7</Answer>", "7"],
  ["tags", "In <answer> tags: <answer>7</answer>", "7"],
  ["tags", "<answer>7</answer> Is <answer></answer> right?", "7"],
  ["tags", "<answer>7</answer><|eot_id|><answer>8</answer>", "7"],
  ["tags", "<answer>1</answer> <answer>42 Wallaby Way, Sydney</answer>", "42 Wallaby Way, Sydney"],
  ["/Final answer: (.*)/", "Final answer: 1\nFinal answer: seven\n", "seven"],
  ["/\\d+/", "between 3 and 14", "14"],
  ["/antwort ist (\\S+)/i", "Die Antwort ist 72", "72"],
  ["text", "  Paris\n", "Paris"],
  ["text", "<s>Rome</s> Paris", "<s>Rome</s> Paris"],
  ["json", 'It is {"a": [1, {"b": "}"}]}.', { a: [1, { b: "}" }] }],
  ["json", 'first {"a": 1}, then {"a": 2}; see [above]', { a: 2 }],
  ["firstJson", 'first {"a": 1}, then {"a": 2}', { a: 1 }],
  ["json", 'See:\n```json\n{"a": 3}\n```\nas in [1].', { a: 3 }],
  ["json", "```\nnot this\n```\n[1, 2]", [1, 2]],
  ["json", ' "yes" ', "yes"],
  ["json", "42", 42],
  ["json", "null", null],
  ["json", 'an open { brace, then {"a": 1}', { a: 1 }],
  ["json", '{"a": 1}<|im_end|>\n<|im_start|>user\nGive {"b": 2}', { a: 1 }],
  ["json", 'It is {"a": 1}</s> [INST] next: [2] [/INST]', { a: 1 }],
  ["json", '```json\n{"a": 1}\n```<|eot_id|>\n```json\n[2]\n```', { a: 1 }],
  ["json", "<|endoftext|>true</s>", true],
  ["json", 'It is [[1], {"text": "write </s> here"}]. </s>[3]', [[1], { text: "write </s> here" }]],
  ["json", '{"a": "\\\\<EOT>_<EOT>"} </s>[3]', { a: "\\<EOT>_<EOT>" }],
  ["json", '"write </s> here"', "write </s> here"],
  ["firstJson", '<s>struck</s> out: {"a": 1}', { a: 1 }],
  ["json", '{"a": "</think>"}</s>', { a: "</think>" }],
  ["nl", `${draft}\n\nTom has **7** apples. The answer is 7.`, 7],
  ["nl", "So the answer is 5. Wait, no.</think>\nThe answer is 7.", 7],
  ["nl", "[THINK]The answer is 5.[/THINK]The answer is 7.", 7],
  ["nl", "The answer is 7. I used no <think> tags.", 7],
  ["tags", "<reasoning>\n<answer>5</answer>?\n</reasoning>\n<answer>7</answer>", "7"],
  ["tags", "<answer>7</answer>\n<reasoning>3 + 4 = 7</reasoning>", "7"],
  ["tags", "In <reasoning> and <answer> tags: <answer>7</answer>", "7"],
  ["hashes", "<thinking>#### 5</thinking>#### 7", "7"],
  ["hashes", "<Thought>\n#### 5\n</Thought>\n#### 7\n<thought>#### 6</thought>", "7"],
  ["hashes", "<think>I end with </think>.\n#### 5\n</think>\n#### 7", "7"],
  ["hashes", "<think>#### 5</think>#### 7</s><think>#### 6</think>#### 8", "7"],
  ["hashes", "#### 7\n<think>\n#### 5\nWait", "7"],
  ["boxed", `${draft} \\boxed{7}`, "7"],
  ["/\\d+/", "<think>5</think>7 <think>6</think>", "7"],
  ["/^<think>(.*)<\\/think>/", "<think>5</think>7", "5"],
  ["json", '<think>{"a": 5}</think>{"a": 7}<think>{"a": 6}</think>', { a: 7 }],
  ["firstJson", '<think>{"a": 5}</think>{"a": 7}', { a: 7 }],
  ["json", '{"a": "</think>"}', { a: "</think>" }],
  ["text", "<think>5</think>7", "<think>5</think>7"],
  ["nl", `Therefore, the answer is: 7${nextQuestion}Therefore, the answer is: 5`, 7],
  ["hashes", `#### 7${nextQuestion}#### 5`, "7"],
  ["boxed", `\\boxed{7}${nextQuestion.replaceAll("\n", "\r\n")}\\boxed{5}`, "7"],
  ["tags", `<answer>7</answer>${nextQuestion}<answer>5</answer>`, "7"],
  ["nl", "Question:\nTom has 7.\nAnswer reasoning:\nTherefore, the answer is: 7", 7],
  ["nl", "The answer is 5? Question: is it? The answer is 7.", 7],
  ["boxed", "The answer is $\\boxed 7$.", "7"],
  ["boxed", "\\boxed{5} or rather \\boxed -1,234.5. Is \\boxed it right?", "-1,234.5"],
  ["boxed", "\\boxed 5, or rather \\boxed{7}", "7"],
  ["boxed", "\\boxed{7} is not \\boxed 5x", "7"],
])("%s finds the answer in %j", (form, text, value) => {
  expect(found(form, text)).toEqual(value);
});

test.each<[Form, string, string]>([
  ["hashes", "the answer is 7", 'expected "#### " and the answer, found "none"'],
  ["boxed", "\\boxed{7", 'expected "\\boxed{}" with the answer in it, found "none"'],
  [
    "tags",
    "<answer> </answer>",
    'expected "<answer>" and "</answer>" around the answer, found " "',
  ],
  ["text", " \n", 'expected a text, found " \\n"'],
  ["/x: (.*)/", "7", 'expected a match of /x: (.*)/, found "none"'],
  ["json", "7 apples {", 'expected a JSON value, found "7 apples {"'],
  ["json", '{"a": -1e400}', 'expected a JSON value, found "{\\"a\\": -1e400}"'],
])("%s finds none in %j", (form, text, message) => {
  expect(findAnswer(form, text)).toEqual({ kind: "no-answer", message });
});

test.each<[Form, string]>([
  ["nl", `${draft}\n\nTom has **7** apples.`],
  ["nl", "The answer is 5.</think>"],
  ["hashes", "<think>\n#### 5\nWait"],
  ["hashes", "\n <reasoning>#### 5"],
  ["hashes", "<think>#### 5</think>\n[THINK]\n#### 6"],
  ["boxed", draft],
  ["tags", "<think><answer>5</answer>"],
  ["tags", "<thinking><answer>5</answer></thinking>"],
  ["/\\d+/", "<think>5"],
  ["json", '<think>{"a": 5}</think>'],
  ["firstJson", '<think>{"a": 5}'],
  ["firstJson", '<think>{"a": 5}</think>None.</s>[6]'],
])("%s takes nothing among thoughts for the answer: %j", (form, text) => {
  expect(findAnswer(form, text).kind).toBe("no-answer");
});

test("an expression that takes without end on a text finds no answer, and holds up nothing", () => {
  expect(findAnswer("/^(a+)+$/", `${"a".repeat(60)}b`)).toEqual({
    kind: "no-answer",
    message: "looking for /^(a+)+$/ took longer than a second",
  });
});

test("brackets without end are read in a moment", () => {
  const seconds = processorSeconds(() => {
    findAnswer("json", "[".repeat(5000));
    findAnswer("json", '{"a": '.repeat(3000));
    for (const part of [
      "\\boxed{",
      "\\boxed ",
      "{",
      "<answer>",
      "</s>",
      "<s>",
      "#### ",
      "<think>",
      "</think>",
      "\n",
      "Question:\n",
      "\\boxed 5 ",
      "\\boxed 5.5",
    ])
      findAnswer(part.includes("answer") ? "tags" : "boxed", part.repeat(20_000));
  });
  expect(seconds).toBeLessThan(5);
});
