// SVAMP (Patel et al., arXiv 2103.07191) as the ReFT authors publish it: training rows with Python
// programs or natural language, 1,000 test questions.
import { hashFile } from "../hash.ts";
import type { CotKind } from "../prompt.ts";
import { authorsOrigin, readAuthorsTest, readAuthorsTraining } from "./authorsFormat.ts";
import { numbers, partition, requireFiles, type Source } from "./source.ts";

export const svampOrigin = authorsOrigin;

/** Reads `svamp_python_sdp.json` or `svamp_nl.json`, and `svamp_test_set.json`. @throws UserError */
export function readSvamp(folder: string, cotKind: CotKind): Source {
  const names = [
    cotKind === "python" ? "svamp_python_sdp.json" : "svamp_nl.json",
    "svamp_test_set.json",
  ];
  const [trainPath, testPath] = requireFiles(folder, names, svampOrigin);
  const { rows, replacedDocstrings } = readAuthorsTraining(trainPath!, cotKind, numbers);
  return {
    ...partition(rows),
    test: readAuthorsTest(testPath!, numbers),
    files: [trainPath!, testPath!].map((path, i) => ({ name: names[i]!, sha256: hashFile(path) })),
    notes: replacedDocstrings === 0 ? [] : [docstringNote(replacedDocstrings)],
  };
}

export function docstringNote(count: number): string {
  return `${count} docstrings that differed from their question were replaced by it`;
}
