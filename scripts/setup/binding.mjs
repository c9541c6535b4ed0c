// The last step: tfjs-node-gpu's native binding, patched, joined with native/*.cc and compiled against
// .engine/site. The package itself ships sources only; its prebuilt binaries know TensorFlow 2.9.
import fs from "node:fs";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import { patchTool } from "./machine.mjs";
import { filesBelow, fingerprint, readIfThere, runTool, SetupError } from "./support.mjs";

/** Loaded by src/engine/tf.ts. */
const OUTPUT = path.join(".engine", "tfjs_binding.node");
/** Loaded before it. */
const QUIET = path.join(".engine", "quiet.node");
/** Loaded by src/run/signals.ts. */
const SIGNALS = path.join(".engine", "signals.node");
const SOURCE_FOLDER = path.join(".engine", "tfjs-node-gpu", "binding");
const TENSORFLOW = path.join(".engine", "site", "tensorflow");
const FLAGS = ["-O3", "-std=c++17", "-Wno-psabi", "-fPIC", "-DNAPI_VERSION=8"];
const INCLUDES = [
  path.join(".engine", "build"),
  path.join(".engine", "build", "binding"),
  "native",
  path.join(TENSORFLOW, "include"),
];
const LIBRARIES = ["libtensorflow_cc.so.2", "libtensorflow_framework.so.2"];
/** Sizes of a processor's registers in bytes, for each of which the kernels are compiled (native/vectors.h). */
const REGISTERS = process.arch === "x64" ? [64, 32, 16] : [16];
/** What is compiled: ours, and tfjs-node-gpu's sources, patched. The first take the longest. */
const SOURCES = [
  ...["decode.cc", "attention.cc", "elementwise.cc"].flatMap((file) =>
    REGISTERS.map((register) => ({ file: path.join("native", file), register })),
  ),
  ...["tfjs_backend.cc", "tfjs_binding.cc"].map((file) => ({
    file: path.join(".engine", "build", "binding", file),
  })),
  ...["graph.cc", "cluster.cc", "file.cc"].map((file) => ({ file: path.join("native", file) })),
  { file: path.join("native", "products.cc"), register: REGISTERS[0] },
];

/** Relative to the binding itself, so that a moved folder still works. */
const RUN_PATH = `$ORIGIN/${path.relative(path.dirname(OUTPUT), TENSORFLOW)}`;

const recordOf = (root) => path.join(root, `${OUTPUT}.sources`);

function sourcesIn(folder, ...endings) {
  return filesBelow(folder)
    .filter((file) => endings.some((ending) => file.endsWith(ending)))
    .map((file) => path.join(folder, file));
}

/** Changes with the sources, the patch, the flags and TensorFlow's own files. */
export function bindingFingerprint(root, wheels) {
  const hashes = wheels.map((wheel) => wheel.sha256);
  return fingerprint(
    [...FLAGS, RUN_PATH, process.arch, ...hashes],
    [
      ...sourcesIn(path.join(root, SOURCE_FOLDER), ".cc", ".h"),
      ...sourcesIn(path.join(root, "native"), ".cc", ".h", ".patch"),
    ],
  );
}

export function bindingIsReady(root, wheels) {
  return (
    fs.existsSync(path.join(root, OUTPUT)) &&
    fs.existsSync(path.join(root, SIGNALS)) &&
    readIfThere(recordOf(root)) === bindingFingerprint(root, wheels)
  );
}

async function preparePatchedSources(root) {
  const build = path.join(root, ".engine", "build");
  fs.rmSync(build, { recursive: true, force: true });
  fs.mkdirSync(path.join(build, "binding"), { recursive: true });
  for (const file of sourcesIn(path.join(root, SOURCE_FOLDER), ".cc", ".h")) {
    fs.copyFileSync(file, path.join(build, "binding", path.basename(file)));
  }
  const patch = path.join(root, "native", "tfjs-binding.patch");
  const [tool, args] =
    patchTool() === "patch"
      ? ["patch", ["--strip=1", "--batch", `--input=${patch}`]]
      : ["git", ["apply", "-p1", patch]];
  // git apply takes paths from the top of the repository that it finds, so it must find none.
  const env = { ...process.env, GIT_CEILING_DIRECTORIES: path.dirname(build) };
  await runTool("Patching the binding", tool, args, { cwd: build, env });
}

/** Compiles each file by itself, as many at once as there are cores, and links what comes of it. */
async function compile(root, output, sources, libraries) {
  const { include_dir: nodeHeaders } = createRequire(path.join(root, "package.json"))(
    "node-api-headers",
  );
  const includes = [...INCLUDES, nodeHeaders].map((folder) => `-I${folder}`);
  const run = (args) => runTool("Compiling the binding", "g++", args, { cwd: root });
  const objects = sources.map(({ file, register }) =>
    path.join(".engine", "build", `${path.basename(file, ".cc")}${register ?? ""}.o`),
  );
  const waiting = sources.map(({ file, register }, i) => {
    const copy = register === undefined ? [] : [`-DREGISTER=${register}`];
    return [...FLAGS, ...copy, ...includes, "-c", file, "-o", objects[i]];
  });
  const compileNext = async () => {
    for (let args = waiting.shift(); args; args = waiting.shift()) await run(args);
  };
  await Promise.all(Array.from({ length: os.availableParallelism() }, compileNext));
  const link = [`-L${TENSORFLOW}`, ...libraries.map((name) => `-l:${name}`)];
  await run(["-shared", ...objects, "-o", output, ...link, `-Wl,-rpath,${RUN_PATH}`]);
}

const LOAD_CHECK = `
  const { backend, native, tf } = await import("./dist/engine/tf.js").catch((error) => {
    throw error.cause ?? error;
  });
  const product = tf.matMul([[2, 3]], [[4], [5]]).dataSync()[0];
  console.log(JSON.stringify([product, native.TF_Version, backend.isUsingGpuDevice]));
`;

/** Loads the binding in a process of its own, as every command does, and multiplies two matrices. */
async function checkBinding(root) {
  const output = await runTool(
    "Loading TensorFlow through the new binding",
    process.execPath,
    ["--input-type=module", "-e", LOAD_CHECK],
    { cwd: root },
  );
  const line = output.split("\n").findLast((text) => text.startsWith("["));
  const [product, version, usesGpu] = JSON.parse(line ?? "[]");
  if (product !== 23) {
    throw new SetupError(`TensorFlow computes wrongly here: (2, 3)·(4, 5) is ${product}, not 23.`);
  }
  return { version, usesGpu };
}

/** Builds, checks and records the binding; returns TensorFlow's version and whether it sees a GPU. */
export async function buildBinding(root, wheels) {
  const output = path.join(root, OUTPUT);
  const partial = `${output}.partial`;
  fs.rmSync(recordOf(root), { force: true });
  await preparePatchedSources(root);
  await compile(root, path.join(root, QUIET), [{ file: path.join("native", "quiet.cc") }], []);
  await compile(root, path.join(root, SIGNALS), [{ file: path.join("native", "signals.cc") }], []);
  await compile(root, partial, SOURCES, LIBRARIES);
  fs.renameSync(partial, output);
  const loaded = await checkBinding(root);
  fs.writeFileSync(recordOf(root), bindingFingerprint(root, wheels));
  return loaded;
}
