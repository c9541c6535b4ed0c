import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { generateProblems } from "../../src/data/datasets/generated.ts";
import { readGsm8k } from "../../src/data/datasets/gsm8k.ts";
import { extractProgram, extractToBlankLine } from "../../src/reward/extract.ts";
import { programs, prose } from "../support/programs.ts";
import { realData } from "../support/realData.ts";

const program = 'def solution():\n    """A question?"""\n    result = 2\n    return result';

describe("extractProgram", () => {
  const simple = "def solution():\n    a = 3\n\n    return a";
  const draft = "\ndef solution():\n    return 4\n";

  test.each([
    ["nothing", simple],
    ["a docstring of two paragraphs", 'def solution():\n    """One.\n\nTwo?"""\n\n    return 2'],
    ["a function within", "def solution():\n    def f(x):\n\n        return x\n\n    return f(2)"],
    ["open brackets", "def solution():\n    a = [\n1,\n\n2,\n]\n    return sum(a)"],
    ["a comment at the margin", "def solution():\n    a = 1\n# then it's\n\n    return a"],
    ["tabs", "def solution():\n\ta = 1\n\n\treturn a"],
    ["types", "async def solution() -> int:\n    a: int = 1\n\n    return a"],
    ["a decorator", "import functools\n\n@functools.cache\ndef solution():\n    return 1"],
    ["two statements in a line", "import math; x = 3\ndef solution(): return x"],
    [
      "comments behind its statements",
      "import math  # for pi\nRATE = 3  # dollars\ndef solution():  # it's 12\n    return RATE + A + B  # all\n" +
        "A = 4  # one\nB = 5",
    ],
    [
      "helpers before and after",
      "import math\nRATE = 2\n\ndef half(x):\n    return x / 2\n\ndef solution():\n    return half(double(LIMIT), numpy)\n\n" +
        "from math import (\n    pi,\n)\nLIMIT: int = 3\n\n@cache\ndef double(x):\n\n    return x * RATE\n\nclass Point:\n    x: int\n\n" +
        "for i in range(3):\n    LIMIT += i\n\ntry:\n    import numpy\nexcept ImportError:\n    numpy = None",
    ],
  ])("keeps all of a program with %s", (_, program) => {
    expect(extractProgram(program)).toBe(program);
    expect(extractProgram(`${program}\n\nQuestion:\nWhat else?`)).toBe(program);
  });

  test.each([
    ["prose", "This gives 7 (it's right). So x = 7."],
    ["a label", "Answer: 7"],
    ["a fence", "```\nIt returns 7."],
    [
      "the next question",
      "Question:\nWhat else?\nAnswer reasoning:\ndef solution():\n    return 8",
    ],
    ["a second program", "def solution():\n    return 8"],
    ["its call", "solution()"],
    ["a print of it", "print(solution())\nimport nothing"],
    ["a main block", 'if __name__ == "__main__":\n    print(solution())'],
    ["a main function", "def main():\n    print(solution())\n\nmain()"],
    ["its result in a name", "answer = solution()\nprint(answer)"],
    ["a test", "# A test\nassert solution() == 7"],
    ["an exit", "sys.exit()"],
    ["input", "n = int(input())"],
    ["what Python's prompt shows", ">>> solution()\n7"],
    ["a comment", "# That is all."],
    ["an equation", "Total = 3 + 4 = 7"],
    ["the end of a turn", "<|im_end|>\n<|im_start|>user\nWhat else?"],
    ["a chat's mark", "[/INST]"],
    ["Python 2", "print 7"],
    ["a number", "7"],
  ])("ends before %s", (_, rest) => {
    for (const gap of ["\n", "\n\n", "\n   \n"])
      expect(extractProgram(`${simple}${gap}${rest}`)).toBe(simple);
  });

  test("keeps what it needs behind a definition that calls it", () => {
    const program = `${simple} + f()\n\ndef main():\n    print(solution())\n\ndef f():\n    return 7`;
    expect(extractProgram(`${program}\n\nmain()`)).toBe(program);
  });

  test.each([
    "def helper(x):\n    return x +",
    "def helper(x",
    "def helper(x):\n",
    "@cache",
    "try:\n    x = 1",
    "x = [1, 2",
    'TEXT = """It',
    "import os,",
    "from math impor",
    "clas",
    "x = ",
  ])("leaves out %j, which was broken off", (rest) => {
    const program = `${simple} + LIMIT\n\nLIMIT = 3`;
    expect(extractProgram(`${program}\n\n${rest}`)).toBe(program);
  });

  test.each([
    "n1 = sum(pack(3))",
    "import nothing",
    "def helper():\n    return 3",
    "items.append(3)",
  ])("leaves out %j, which solution() needs neither itself nor through others", (rest) => {
    const program = `${simple} + f(3)\n\ndef f(x):\n    return x + LIMIT\n\nLIMIT = 3`;
    expect(extractProgram(`${program}\n\n${rest}`)).toBe(program);
  });

  test("leaves out a broken line behind the last return, but mends nothing before it", () => {
    expect(extractProgram(`${simple}\n\n    So the answer is 7.\n\nx = 3`)).toBe(simple);
    const broken = "def solution():\n    a = 3 apples\n    return a";
    expect(extractProgram(broken)).toBe(broken);
    for (const header of ["def solution():\n    ", "def solution(): "])
      expect(extractProgram(`${header}return 7 apples`)).toBe(`${header}return 7 apples`);
  });

  test("a broken program is not replaced by a later one", () => {
    for (const broken of [
      "def solution(:\n    return 3",
      "def solution()\n    return 3",
      "def solution",
    ])
      expect(extractProgram(`${broken}\n\n${simple}`).slice(0, broken.length)).toBe(broken);
  });

  test.each([
    ["prose", `Here's the program (in Python:\n${simple}`],
    ["prose that looks like code", `Answer: total\nprogram\n${simple}`],
    ["a fence", `Sure!\n\n\`\`\`python\n${simple}\n\`\`\`\nIt returns 3.`],
    ["tildes", `~~~\n${simple}\n~~~\n`],
    ["tildes with a language", `~~~python\n${simple}\n~~~\nIt returns 3.`],
    ["a fence that opens before the first line", `\`\`\`python ${simple}\n\`\`\``],
    ["a fence around it without line ends", `\`\`\`${simple}\`\`\``],
    ["a quotation", `So:\n> ${simple.replaceAll("\n", "\n> ")}\n\nIt returns 3.`],
    [
      "a fence in a quotation",
      `> \`\`\`python\n${simple.replace(/^/gm, "> ").replaceAll("> \n", ">\n")}\n> \`\`\`\n`,
    ],
    [
      "IPython's prompt",
      `In [1]: ${simple.replaceAll("\n", "\n   ...: ")}\n   ...:\n\nIn [2]: solution()\nOut[2]: 3`,
    ],
    ["a prompt with bare lines in the block", `>>> ${simple}\n>>> solution()\n3`],
    ["an indented prompt", `So:\n\n    >>> ${simple.replaceAll("\n", "\n    ... ")}\n`],
    [
      "what a model wrote behind its thoughts",
      `<think>\ndef solution():\n    return 4\n</think>\n${simple}`,
    ],
    ["an answer to Magistral's thoughts", `[THINK]\n${draft}\n[/THINK]\n${simple}`],
    [
      "an answer behind reasoning",
      `<reasoning>\n${draft}\n</reasoning>\n<answer>\n${simple}\n</answer>`,
    ],
    ["an answer right behind thinking", `<thinking>${draft}</thinking>${simple}`],
    ["a tag right behind a thought", `<thought>${draft}</thought><answer>${simple}</answer>`],
    ["a fence behind thoughts", `<think>\n${draft}</think>\n\`\`\`python\n${simple}\n\`\`\``],
    [
      "a fence that opens before code, behind thoughts",
      `<think>${draft}</think>\n\`\`\`${simple}\n\`\`\``,
    ],
    ["a quotation behind thoughts", `${draft}\n</think>\n> ${simple.replaceAll("\n", "\n> ")}`],
    ["a prompt behind thoughts", `${draft}\n</think>\n>>> ${simple.replaceAll("\n", "\n... ")}`],
    ["thoughts without an answer", `<think>\n${simple}\n</think>\nIt returns 3.`],
    ["thoughts that never end", `<reasoning>\n${simple}\n\nOr is it 4?`],
    ["characters that cannot be seen", `\u200b${simple.replaceAll("\n", "\u200b\n")}\u200e`],
    ["spaces that do not break", simple.replaceAll(" ", "\u00a0")],
    ["a space before the first word", ` ${simple}`],
    ["the mark of a text's begin", `<s> ${simple}`],
    ["a fence that closes behind the last line", `\`\`\`python\n${simple}\`\`\`\nIt returns 3.`],
    ["a fence that nothing opened", `${simple} \`\`\``],
    ["tags of their own lines", `<answer>\n${simple}\n</answer>`],
    ["a tag that closes behind the last line", `<answer>\n${simple}</answer>`],
    ["tags without line ends", `So: it is\n<answer>${simple}</answer>\nIt returns 3.`],
    ["tags in tags", `<answer> <code>${simple} </code> </answer><|im_end|>`],
    ["a tag around a fence", `<answer>\`\`\`python\n${simple}\n\`\`\`</answer>`],
    ["a tag around a fence on one line", `<answer>\`\`\`python ${simple}\`\`\`</answer>`],
    ["CodeLlama's tags", `[PYTHON]${simple}[/PYTHON]\n[TESTS]`],
    ["Llama 3's tag", `<|python_tag|>${simple}<|eom_id|>`],
    ["an indent", `So:\n${simple.replace(/^(?=.)/gm, "    ")}`],
    ["an open fence", `\`\`\`python\n${simple}`],
    ["a fence in a list", `1. So:\n   \`\`\`py\n${simple.replace(/^/gm, "   ")}\n   \`\`\``],
    ["a fence of another language", `\`\`\`sh\npip install x\n\`\`\`\n\`\`\`\n${simple}\n\`\`\``],
    [
      "two programs in fences",
      `\`\`\`\n${simple}\n\`\`\`\nOr:\n\`\`\`\ndef solution():\n    return 4\n\`\`\``,
    ],
    ["Python's prompt", `>>> ${simple.replaceAll("\n", "\n... ")}\n...\n>>> solution()\n3`],
  ])("finds a program in %s", (_, text) => {
    expect(extractProgram(text)).toBe(simple);
  });

  test("a fence in a docstring does not close the one around the program", () => {
    const program =
      'def solution():\n    """\n    Example:\n    ```\n    solution()\n    ```\n    """\n    return 7';
    for (const indent of ["", "   "]) {
      const fenced = `\`\`\`python\n${program}\n\`\`\``.replace(/^/gm, indent);
      expect(extractProgram(`So:\n${fenced}\nIt returns 7.`)).toBe(program);
    }
  });

  test("a fence that is indented with the last line ends the program", () => {
    const text = `\`\`\`python\n${simple}\n    \`\`\`\nIt prints:\n\`\`\`\n3\n\`\`\``;
    expect(extractProgram(text)).toBe(simple);
  });

  test("puts together what stands in several fences", () => {
    const text = `First:\n\`\`\`\nA = 1\n\`\`\`\nThen:\n\`\`\`\n${simple}\n\`\`\`\nLast:\n\`\`\`\na = 2\n\`\`\`\n`;
    expect(extractProgram(text)).toBe(`A = 1\n${simple}\na = 2`);
  });

  test("an indent of all by one space is not taken for one of the first line", () => {
    const program = `${simple} + f()\n\ndef f():\n    return 3`;
    expect(extractProgram(program.replace(/^(?=.)/gm, " "))).toBe(program);
  });

  test("keeps what stands before it, at a prompt and behind a space", () => {
    const program = `import math\n${simple}`;
    expect(extractProgram(` ${program}`)).toBe(program);
    expect(
      extractProgram(`In [1]: import math\n\nIn [2]: ${simple.replaceAll("\n", "\n   ...: ")}\n`),
    ).toBe(program);
    expect(
      extractProgram(`>>> @cache\n... ${simple.replaceAll("\n", "\n... ")}\n>>> solution()\n3`),
    ).toBe(`@cache\n${simple}`);
  });

  test.each([
    ...["</s>", " </s>", "<|im_end|>", "<|endoftext|>", "<end_of_turn>", "<｜end▁of▁sentence｜>"],
    ...[" [/INST]", "</s><s>[INST] What else? [/INST]", "<EOT>"],
    ...[
      "</answer>",
      "</code>",
      "</python>",
      "[/PYTHON]",
      "</answer></s>",
      " </code> </answer><|im_end|>",
    ],
    "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nWhat else?",
  ])("ends before %j behind its last line", (end) => {
    expect(extractProgram(simple + end)).toBe(simple);
    expect(extractProgram(`\`\`\`\n${simple}\n\`\`\`${end}`)).toBe(simple);
  });

  test.each([
    "import math",
    "from math import pi",
    "RATE = 3",
    "def f(x):\n    return x",
    "class A:\n    x = 1",
    "@cache\ndef g():\n    return 3",
  ])("a tag before %j leaves the program all that it needs", (first) => {
    expect(extractProgram(`<answer>${first}\n${simple}</answer>`)).toBe(`${first}\n${simple}`);
  });

  test("an end of a turn or a tag within a text is part of the program", () => {
    for (const text of [
      ...["<|im_end|>", "</s>", "a</s><b>", "<s>a</s>"],
      ...["a</answer>", "</code></answer>", "<code>a</code>", "<answer>x = 3", "[/PYTHON]"],
    ]) {
      const program = `def solution():\n    """What is ${text} here?"""\n    a = '${text}'\n    return a.count("${text}")`;
      expect(extractProgram(program)).toBe(program);
    }
  });

  test("a tag at the end of a comment's or a docstring's line is part of the program", () => {
    const commented = "def solution():\n    a = 3  # as in <code>a</code>\n    return a";
    expect(extractProgram(commented)).toBe(commented);
    const asked = 'def solution():\n    """What is in </code>\n    here?"""\n    return 3';
    expect(extractProgram(asked)).toBe(asked.replace(" </code>", "\n</code>")); // which Python runs all the same
  });

  test("the end of thoughts within a text is part of the program", () => {
    const program = 'def solution():\n    """What is </think>?"""\n    return "</reasoning>"';
    expect(extractProgram(program)).toBe(program);
  });

  test("code at the margin within an indented fence keeps its own indents", () => {
    const program = "def solution():\n  a = 3\n  if a:\n    a = 4\n  return a";
    expect(extractProgram(`1. So:\n   \`\`\`py\n${program}\n   \`\`\``)).toBe(program);
  });

  test("a fence in the question opens none", () => {
    const text = `def solution():\n    """What is\n\`\`\`\ndef solution(): return 3\n\`\`\`\n?"""\n    return 2`;
    expect(extractProgram(`${text}\n\`\`\`\n`)).toBe(text);
  });

  test("Windows line ends, form feeds and text without a program", () => {
    expect(
      extractProgram("import math\r\n\f\r\ndef solution():\r\n\r\n    return 1\r\n\r\nx y"),
    ).toBe("import math\n\ndef solution():\n\n    return 1");
    expect(extractProgram("\uFEFFdef solution():\n    return 1")).toBe(
      "def solution():\n    return 1",
    );
    expect(extractProgram("no program here")).toBe("no program here");
    expect(extractProgram("solution = lambda: 7")).toBe("solution = lambda: 7");
    expect(extractProgram("")).toBe("");
  });

  test("any program is found whole, whatever stands around it and wherever the answer was cut off", () => {
    fc.assert(
      fc.property(programs, prose, prose, fc.nat(), (program, before, after, cut) => {
        expect(extractProgram(program)).toBe(program);
        const rest = `\n\n${after}\n${program}`;
        expect(extractProgram(program + rest.slice(0, cut % rest.length))).toBe(program);
        expect(extractProgram(`${before}\n\n${program}`)).toBe(program);
        const fenced = `${before}\n\`\`\`python\n${program}\n\`\`\`\n${after}`;
        expect(extractProgram(fenced)).toBe(program);
        expect(extractProgram(fenced.replaceAll("\n", "\r\n"))).toBe(program);
      }),
    );
  });

  test.skipIf(!realData)(
    "leaves all gold programs of SVAMP and GSM8K as they are (REFT_DATA)",
    () => {
      const { candidates } = readGsm8k(join(realData!, "gsm8k"), "python");
      const svamp = readFileSync(join(realData!, "svamp/svamp_python_sdp.json"), "utf8");
      const golds = [
        ...(JSON.parse(svamp) as { answer_cot: string }[]).map(({ answer_cot }) => answer_cot),
        ...candidates.map(({ example }) => example.cot!),
      ];
      expect(golds).toHaveLength(3043 + 7014);
      expect(golds.filter((gold) => extractProgram(gold) !== gold)).toEqual([]);
    },
  );

  test("leaves generated gold programs as they are", () => {
    const { train } = generateProblems({ train: 500, answerOnly: 0, dev: 1, test: 1 }, 1);
    expect(train.filter(({ cot }) => extractProgram(cot!) !== cot)).toEqual([]);
  });
});

describe("extractToBlankLine", () => {
  test("cuts at the first blank line after the body starts", () => {
    expect(extractToBlankLine(`${program}\n\nQuestion:\nWhat else?`)).toBe(program);
    expect(extractToBlankLine(`${program}\n   \nprint(solution())`)).toBe(program);
    expect(extractToBlankLine("def solution():\r\n    a = 1\r\n\r\n    return a")).toBe(
      "def solution():\n    a = 1",
    );
  });

  test("a blank line in the docstring, or before the first statement, ends nothing", () => {
    for (const body of [
      '    """One.\n\n    Two?"""\n    return 2',
      '    """A?"""\n\n    return 2',
      "\n    return 3",
    ]) {
      expect(extractToBlankLine(`def solution():\n${body}\n\nmore`)).toBe(
        `def solution():\n${body}`,
      );
    }
  });

  test("what stands before solution() is kept, blank lines and all", () => {
    const text = `import math\n\ndef half(x):\n    return x / 2\n\n${program}`;
    expect(extractToBlankLine(`${text}\n\nmore`)).toBe(text);
  });

  test("an apostrophe or a quote inside a comment opens nothing", () => {
    const text = "def solution():\n    x = 2  # it's 2\n    return x";
    expect(extractToBlankLine(`${text}\n\nmore`)).toBe(text);
  });
});
