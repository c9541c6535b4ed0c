// Part of the downloads: @tensorflow/tfjs-node-gpu, for its kernels in JavaScript and its binding's sources. In
// package.json it stands apart from the dependencies, because npm would run its install script, which
// downloads a TensorFlow of 2022 and fails where that host cannot be reached.
import fs from "node:fs";
import path from "node:path";
import { checkDownload, readIfThere, runTool, say } from "./support.mjs";
import { downloadFolder } from "./tensorflow.mjs";

const NAME = "@tensorflow/tfjs-node-gpu";
const manifest = new URL("../../package.json", import.meta.url);
const VERSION = JSON.parse(fs.readFileSync(manifest, "utf8")).setupDependencies[NAME];
const PACKAGE = `${NAME}@${VERSION}`;
const FILE = `tensorflow-tfjs-node-gpu-${VERSION}.tgz`;
export const SHA256 = "afd5599ee1662e732c00a0ad1f52a3d001bdc118a1f44bd592a0a0ebf2daa4c7";
const RECORD = ".sha256";

/** Where the package lies. @param {string} engine */
export const tfjsFolder = (engine) => path.join(engine, "tfjs-node-gpu");

export function tfjsIsReady(engine) {
  return readIfThere(path.join(tfjsFolder(engine), RECORD)) === SHA256;
}

// Python unpacks it, as it does the wheels.
const UNPACK = `
import sys, tarfile
file, target = sys.argv[1:]
with tarfile.open(file) as archive:
    wanted = ("package/binding/", "package/dist/", "package/package.json")
    archive.extractall(target, [entry for entry in archive if entry.name.startswith(wanted)])
`;

/** npm does the download, with the settings of the folder that the set-up was called in. */
export async function installTfjs(engine) {
  const download = downloadFolder(engine);
  fs.rmSync(download, { recursive: true, force: true });
  fs.mkdirSync(download, { recursive: true });
  say(`  downloading ${PACKAGE}`);
  await runTool(`Downloading ${PACKAGE}`, "npm", ["pack", PACKAGE, "--pack-destination", download]);
  const file = await checkDownload(
    download,
    FILE,
    SHA256,
    "npm uses a mirror here (npm config get registry)",
  );
  await runTool(`Unpacking ${FILE}`, "python3", ["-c", UNPACK, file, download]);
  const unpacked = path.join(download, "package");
  fs.writeFileSync(path.join(unpacked, RECORD), SHA256);
  fs.rmSync(tfjsFolder(engine), { recursive: true, force: true });
  fs.renameSync(unpacked, tfjsFolder(engine));
  fs.rmSync(download, { recursive: true });
}
