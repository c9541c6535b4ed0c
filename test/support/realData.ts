// The folder with real data sets (svamp/, gsm8k/, mathqa/, codellama/), for tests that read them; undefined where there is none.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { namedFolder } from "./namedFolder.ts";

export const realData: string | undefined = namedFolder(
  "REFT_DATA",
  fileURLToPath(new URL("../../../shared/data", import.meta.url)),
);

/** Every text of SVAMP and GSM8K, in the order of scripts/golden/common.py. */
export function* realTexts(data: string): Generator<string> {
  for (const name of ["svamp_python_sdp", "svamp_nl", "svamp_test_set"]) {
    const records = JSON.parse(readFileSync(join(data, "svamp", `${name}.json`), "utf8"));
    for (const record of records as { question: string; answer_cot?: string }[]) {
      yield record.question;
      if (record.answer_cot !== undefined) yield record.answer_cot;
    }
  }
  for (const name of ["train", "test"]) {
    const lines = readFileSync(join(data, "gsm8k", `${name}.jsonl`), "utf8").split("\n");
    for (const line of lines.filter((text) => text.trim() !== "")) {
      const record: { question: string; answer: string } = JSON.parse(line);
      yield record.question;
      yield record.answer;
    }
  }
}
