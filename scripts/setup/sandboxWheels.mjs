// Part of the downloads: sympy, mpmath and tzdata, pure Python wheels into .engine/python. They are kept whole: the
// sandbox's guests load them for programs that use sympy, and the zones of zoneinfo for all.
import fs from "node:fs";
import path from "node:path";
import { say, size } from "./support.mjs";
import { downloadFolder, downloadWheel } from "./tensorflow.mjs";

function pureWheel(project, version, bytes, sha256, python = "py3") {
  const file = `${project}-${version}-${python}-none-any.whl`;
  return { project, version, platform: "any", file, bytes, sha256 };
}

// biome-ignore format: one wheel a line reads as a table
export const SANDBOX_WHEELS = [
  pureWheel("mpmath", "1.3.0", 536e3, "a0b2b9fe80bbcd81a6647ff13108738cfb482d481d826cc0e02f5b35e5c88d2c"),
  pureWheel("sympy", "1.14.0", 6.3e6, "e091cc3e99d2141a0ba2847328f5479b05d94a6635cb96148ccb3f34671bd8f5"),
  pureWheel("tzdata", "2026.6", 348e3, "0a10eec6e13ef16b627fabed9a5f2ba61a62b1c67f327305f4e7e412a70b4aec", "py2.py3"),
];

const placeOf = (engine, wheel) => path.join(engine, "python", wheel.file);

/** A wheel is in .engine/python only once its hash was checked. */
export function sandboxWheelsAreReady(engine) {
  return SANDBOX_WHEELS.every((wheel) => fs.existsSync(placeOf(engine, wheel)));
}

/** Brings those wheels that are missing. */
export async function installSandboxWheels(engine) {
  fs.mkdirSync(path.join(engine, "python"), { recursive: true });
  const download = downloadFolder(engine);
  for (const wheel of SANDBOX_WHEELS) {
    const place = placeOf(engine, wheel);
    if (fs.existsSync(place)) continue;
    say(`  downloading ${wheel.project} ${wheel.version}, ${size(wheel.bytes)}`);
    fs.renameSync(await downloadWheel(wheel, download), place);
  }
  fs.rmSync(download, { recursive: true, force: true });
}
