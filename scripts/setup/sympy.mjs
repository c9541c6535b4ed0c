// Part of step 2: sympy and mpmath, pure Python wheels into .engine/python. They are kept whole: the
// sandbox's guests load them for programs that use sympy.
import fs from "node:fs";
import path from "node:path";
import { say, size } from "./support.mjs";
import { downloadFolder, downloadWheel } from "./tensorflow.mjs";

function pureWheel(project, version, bytes, sha256) {
  const file = `${project}-${version}-py3-none-any.whl`;
  return { project, version, platform: "any", file, bytes, sha256 };
}

// biome-ignore format: one wheel a line reads as a table
export const SYMPY_WHEELS = [
  pureWheel("mpmath", "1.3.0", 536e3, "a0b2b9fe80bbcd81a6647ff13108738cfb482d481d826cc0e02f5b35e5c88d2c"),
  pureWheel("sympy", "1.14.0", 6.3e6, "e091cc3e99d2141a0ba2847328f5479b05d94a6635cb96148ccb3f34671bd8f5"),
];

const placeOf = (engine, wheel) => path.join(engine, "python", wheel.file);

/** A wheel is in .engine/python only once its hash was checked. */
export function sympyIsReady(engine) {
  return SYMPY_WHEELS.every((wheel) => fs.existsSync(placeOf(engine, wheel)));
}

/** Brings those wheels that are missing. */
export async function installSympy(engine) {
  fs.mkdirSync(path.join(engine, "python"), { recursive: true });
  const download = downloadFolder(engine);
  for (const wheel of SYMPY_WHEELS) {
    const place = placeOf(engine, wheel);
    if (fs.existsSync(place)) continue;
    say(`  downloading ${wheel.project} ${wheel.version}, ${size(wheel.bytes)}`);
    fs.renameSync(await downloadWheel(wheel, download), place);
  }
  fs.rmSync(download, { recursive: true, force: true });
}
