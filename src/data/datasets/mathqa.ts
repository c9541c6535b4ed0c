// MathQA (Amini et al., arXiv 1905.13319) as the ReFT authors publish it: multiple choice, with the
// choices a to e at the end of the question, or "numeric", where the answer is the number itself.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { hashFile } from "../hash.ts";
import type { CotKind } from "../prompt.ts";
import { authorsOrigin, readAuthorsTest, readAuthorsTraining } from "./authorsFormat.ts";
import { choices, numbers, partition, requireFiles, type Source } from "./source.ts";
import { docstringNote } from "./svamp.ts";

export type MathqaVariant = "mathqa" | "mathqa-numeric";

export const mathqaOrigin = authorsOrigin;

/**
 * Reads `<variant>_test_set.json` and, where it lies beside it, `<variant>_python_sdp.json` or
 * `<variant>_nl.json`. Without a training file there are no candidates, and a note says so.
 *
 * @throws UserError
 */
export function readMathqa(folder: string, variant: MathqaVariant, cotKind: CotKind): Source {
  const form = variant === "mathqa" ? choices : numbers;
  const [testName, trainName] = [
    `${variant}_test_set.json`,
    `${variant}_${cotKind === "python" ? "python_sdp" : "nl"}.json`,
  ];
  const [testPath] = requireFiles(folder, [testName], mathqaOrigin);
  const test = readAuthorsTest(testPath!, form);
  const testFile = { name: testName, sha256: hashFile(testPath!) };
  const trainPath = join(folder, trainName);
  if (!existsSync(trainPath)) {
    const note = `train.jsonl and dev.jsonl not written: no ${trainName} in ${folder}`;
    return { candidates: [], rejections: [], test, files: [testFile], notes: [note] };
  }
  const { rows, replacedDocstrings } = readAuthorsTraining(trainPath, cotKind, form);
  return {
    ...partition(rows),
    test,
    files: [{ name: trainName, sha256: hashFile(trainPath) }, testFile],
    notes: replacedDocstrings === 0 ? [] : [docstringNote(replacedDocstrings)],
  };
}
