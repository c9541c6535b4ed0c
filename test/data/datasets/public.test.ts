import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { readGsm8k, toProgram } from "../../../src/data/datasets/gsm8k.ts";
import { readMathqa } from "../../../src/data/datasets/mathqa.ts";
import { readSvamp } from "../../../src/data/datasets/svamp.ts";
import { UserError } from "../../../src/errors.ts";
import { realData } from "../../support/realData.ts";
import { temporaryFolder } from "../../support/temporaryFolder.ts";

let folder: string;
beforeEach(() => {
  folder = temporaryFolder();
});
const write = (name: string, text: string) => writeFileSync(join(folder, name), text);
const writeJson = (name: string, value: unknown) => write(name, JSON.stringify(value, null, 2));

const record = {
  item_id: "svamp_1",
  question: "Two and two ?",
  answer_cot: 'def solution():\n    """Two and two?"""\n    result = 2 + 2\n    return result\n',
  answer_value: "4.0",
};
const testRecord = { item_id: "svamp_2", question: "One and 1,000?", answer_value: "1,001.0" };

describe("readSvamp", () => {
  test("puts the question itself into the docstring, where sampling will start from it", () => {
    writeJson("svamp_python_sdp.json", [record]);
    writeJson("svamp_test_set.json", [testRecord]);
    const source = readSvamp(folder, "python");
    const cot = 'def solution():\n    """Two and two ?"""\n    result = 2 + 2\n    return result';
    const example = { id: "svamp_1", question: "Two and two ?", cot, answer: 4 };
    expect(source.candidates).toEqual([{ line: 3, example }]);
    expect(source.test).toEqual([{ id: "svamp_2", question: "One and 1,000?", answer: 1001 }]);
    expect(source.notes).toEqual([expect.stringContaining("1 docstrings")]);
    expect(source.files.map(({ name }) => name)).toEqual([
      "svamp_python_sdp.json",
      "svamp_test_set.json",
    ]);
  });

  test("lists a program without docstring, and a text without an answer, with their lines", () => {
    writeJson("svamp_test_set.json", [testRecord]);
    writeJson("svamp_python_sdp.json", [record, { ...record, answer_cot: "print(4)" }]);
    expect(readSvamp(folder, "python").rejections).toEqual([
      { line: 9, id: "svamp_1", reason: expect.stringContaining("docstring") },
    ]);
    const texts = ["2 + 2 = 4\n\nTherefore, the answer is <4>.", "As before. The answer is <4>."];
    writeJson(
      "svamp_nl.json",
      texts.map((answer_cot) => ({ ...record, answer_cot })),
    );
    const source = readSvamp(folder, "nl");
    expect(source.candidates.map(({ example }) => example.cot)).toEqual([
      "2 + 2 = 4\nTherefore, the answer is: 4",
    ]);
    expect(source.rejections.map(({ line }) => line)).toEqual([9]);
  });

  test("names the record that is broken", () => {
    writeJson("svamp_python_sdp.json", [record, { ...record, question: 5 }]);
    writeJson("svamp_test_set.json", [testRecord]);
    expect(() => readSvamp(folder, "python")).toThrow(
      /svamp_python_sdp\.json:9, record 2: "question": expected a text, found 5/,
    );
    writeJson("svamp_python_sdp.json", []);
    expect(() => readSvamp(folder, "python")).toThrow(/empty array/);
  });

  test("lists a training row whose answer is no number, and refuses such a test row", () => {
    writeJson("svamp_test_set.json", [testRecord]);
    writeJson("svamp_python_sdp.json", [record, { ...record, answer_value: "four" }]);
    const source = readSvamp(folder, "python");
    expect(source.candidates).toHaveLength(1);
    expect(source.rejections).toEqual([
      { line: 9, id: "svamp_1", reason: 'expected an answer that is a number, found "four"' },
    ]);
    writeJson("svamp_test_set.json", [{ ...testRecord, answer_value: "nan" }]);
    expect(() => readSvamp(folder, "python")).toThrow(
      /svamp_test_set\.json:3: expected an answer that is a number, found "nan"/,
    );
  });

  test("says where a missing file can be had", () => {
    expect(() => readSvamp(folder, "nl")).toThrow(UserError);
    expect(() => readSvamp(folder, "nl")).toThrow(/svamp_nl\.json: no such file.*mwp_ReFT/);
  });
});

describe("readMathqa", () => {
  const choice = { item_id: "mathqa_1", question: "2 ?\na ) 1 , b ) 2", answer_value: "b" };

  test("has letters for answers, and numbers in the numeric variant", () => {
    writeJson("mathqa_test_set.json", [choice]);
    writeJson("mathqa-numeric_test_set.json", [{ ...choice, answer_value: "2.0" }]);
    expect(readMathqa(folder, "mathqa", "python").test[0]!.answer).toBe("b");
    expect(readMathqa(folder, "mathqa-numeric", "nl").test[0]!.answer).toBe(2);
  });

  test("says that there is nothing to train on where the training file is missing", () => {
    writeJson("mathqa_test_set.json", [choice]);
    const source = readMathqa(folder, "mathqa", "python");
    expect(source.candidates).toEqual([]);
    expect(source.notes).toEqual([
      `train.jsonl and dev.jsonl not written: no mathqa_python_sdp.json in ${folder}`,
    ]);
    writeJson("mathqa_python_sdp.json", [{ ...choice, answer_cot: record.answer_cot }]);
    expect(readMathqa(folder, "mathqa", "python").candidates).toHaveLength(1);
  });

  test("refuses an answer that is no choice", () => {
    writeJson("mathqa_test_set.json", [{ ...choice, answer_value: "f" }]);
    expect(() => readMathqa(folder, "mathqa", "python")).toThrow(/:3: expected one of.*found "f"/);
  });
});

describe("toProgram", () => {
  test("computes each annotation under its sentence and reuses what earlier steps came to", () => {
    const solution =
      "He eats 48/2 = <<48/2=24>>24 clips.\nNothing here.\n" +
      "In all (24+24)*.5 = $<<(24+24)*.5=24>>24, or 24*05=<<24*05=120>>120.";
    expect(toProgram("How many?", solution, 120)).toBe(
      [
        "def solution():",
        '    """How many?"""',
        "    # He eats 48/2 = 24 clips.",
        "    step1 = 48 / 2",
        "    # In all (24+24)*.5 = $24, or 24*05=120.",
        "    step2 = (step1 + step1) * 0.5",
        "    step3 = step2 * 5",
        "    return step3",
      ].join("\n"),
    );
  });

  test("ends with the step that comes to the answer", () => {
    const solution = "A <<1+2=3>>3.\nB <<3*4=12>>12.\nCheck <<12-4=8>>8.";
    expect(toProgram("Q", solution, 12)).toMatch(/step2 = step1 \* 4\n {4}return step2$/);
    expect(toProgram("Q", solution, 5)).toBeUndefined();
    expect(toProgram("Q", "No annotation, 5.", 5)).toBeUndefined();
  });
});

describe("readGsm8k", () => {
  const lines = [
    { question: " Q1? ", answer: "A 2*600=<<2*600=1200>>1200.\n#### 1,200" },
    { question: "Q2?", answer: "Just so.\n#### -5" },
  ];
  const jsonl = lines.map((line) => JSON.stringify(line)).join("\n");

  test("keeps the line as the id and the number after #### as the answer", () => {
    write("train.jsonl", jsonl);
    write("test.jsonl", jsonl);
    const nl = readGsm8k(folder, "nl");
    expect(nl.candidates).toEqual([
      {
        line: 1,
        example: {
          id: "gsm8k-train-1",
          question: "Q1?",
          cot: "A 2*600=1200.\nTherefore, the answer is: 1200",
          answer: 1200,
        },
      },
      expect.objectContaining({ line: 2 }),
    ]);
    expect(nl.test[1]).toEqual({ id: "gsm8k-test-2", question: "Q2?", answer: -5 });
    const python = readGsm8k(folder, "python");
    expect(python.candidates).toHaveLength(1);
    expect(python.rejections).toEqual([
      { line: 2, id: "gsm8k-train-2", reason: "no annotated result is the final answer" },
    ]);
  });

  test("lists a training line without a final answer, and refuses such a test line", () => {
    const unfinished = `${jsonl}\n${JSON.stringify({ question: "Q", answer: "5" })}`;
    write("train.jsonl", unfinished);
    write("test.jsonl", jsonl);
    for (const cotKind of ["nl", "python"] as const)
      expect(readGsm8k(folder, cotKind).rejections.at(-1)).toEqual({
        line: 3,
        id: "gsm8k-train-3",
        reason: "empty answer",
      });
    write("test.jsonl", unfinished);
    expect(() => readGsm8k(folder, "nl")).toThrow(/test\.jsonl:3: expected an answer/);
  });
});

describe.skipIf(realData === undefined)("on the real files (REFT_DATA)", () => {
  test("SVAMP has 3,043 programs, 3,067 of 3,076 texts, and 1,000 test questions", () => {
    const python = readSvamp(join(realData!, "svamp"), "python");
    expect([python.candidates.length, python.rejections.length]).toEqual([3043, 0]);
    expect(python.notes[0]).toMatch(/^37 docstrings/);
    expect(python.test).toHaveLength(1000);
    const nl = readSvamp(join(realData!, "svamp"), "nl");
    expect([nl.candidates.length, nl.rejections.length]).toEqual([3067, 9]);
  });

  test("GSM8K has 7,473 solutions, of which 7,014 convert, and 1,319 test questions", () => {
    const python = readGsm8k(join(realData!, "gsm8k"), "python");
    expect([python.candidates.length, python.rejections.length]).toEqual([7014, 459]);
    expect(python.test).toHaveLength(1319);
    expect(readGsm8k(join(realData!, "gsm8k"), "nl").candidates).toHaveLength(7473);
  });

  test.each(["mathqa", "mathqa-numeric"] as const)("%s has 1,605 test questions", (variant) => {
    expect(readMathqa(join(realData!, "mathqa"), variant, "nl").test).toHaveLength(1605);
  });
});
