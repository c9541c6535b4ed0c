// A step that a checkout alone has: it compiles src/ to dist/ and makes the package's commands known to npx.
import fs from "node:fs";
import path from "node:path";
import { filesBelow, fingerprint, readIfThere, runTool, SetupError } from "./support.mjs";

const recordOf = (root) => path.join(root, ".engine", "dist.sources");

function manifestOf(root) {
  return JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8"));
}

function sourceFingerprint(root) {
  const files = filesBelow(path.join(root, "src"));
  const settings = ["package.json", "tsconfig.json", "tsconfig.build.json"];
  return fingerprint(
    files,
    [...files.map((file) => path.join("src", file)), ...settings].map((file) =>
      path.join(root, file),
    ),
  );
}

const linkOf = (root, name) => path.join(root, "node_modules", ".bin", name);

export function distIsReady(root) {
  return (
    Object.entries(manifestOf(root).bin).every(([name]) => fs.existsSync(linkOf(root, name))) &&
    readIfThere(recordOf(root)) === sourceFingerprint(root)
  );
}

/** The compiled files' source: cli.js and cli.d.ts come from cli.ts. */
function isStale(root, file) {
  const stem = file.replace(/(\.d\.m?ts|\.m?js)$/, "");
  const candidates = [file, `${stem}.ts`, `${stem}.mjs`, `${stem}.mts`];
  return !candidates.some((name) => fs.existsSync(path.join(root, "src", name)));
}

/** What the compiler leaves: files of other kinds, and the script of the report's page, which is a browser's. */
function isCopied(file) {
  return !/\.m?[jt]s$/.test(file) || file.startsWith(path.join("report", "page", path.sep));
}

/** npx looks in node_modules/.bin first; without a link it would ask the registry for the name. */
function linkCommands(root) {
  for (const [name, target] of Object.entries(manifestOf(root).bin)) {
    const file = path.join(root, target);
    const link = linkOf(root, name);
    if (!fs.existsSync(file)) {
      throw new SetupError(
        `package.json names ${target} for "${name}", and src/ makes no such file.`,
      );
    }
    fs.chmodSync(file, 0o755);
    fs.rmSync(link, { force: true });
    fs.symlinkSync(path.relative(path.dirname(link), file), link);
  }
}

/** Compiles in place, so that a run that is using dist/ never finds a file missing. */
export async function buildDist(root) {
  const [source, dist] = [path.join(root, "src"), path.join(root, "dist")];
  const built = sourceFingerprint(root);
  fs.mkdirSync(path.dirname(recordOf(root)), { recursive: true });
  fs.rmSync(recordOf(root), { force: true });
  const compiler = path.join("node_modules", "typescript", "bin", "tsc");
  const args = [compiler, "-p", "tsconfig.build.json"];
  await runTool("Compiling src/", process.execPath, args, { cwd: root });
  for (const file of filesBelow(source).filter(isCopied)) {
    fs.mkdirSync(path.dirname(path.join(dist, file)), { recursive: true });
    fs.copyFileSync(path.join(source, file), path.join(dist, file));
  }
  for (const file of filesBelow(dist)) {
    if (isStale(root, file)) fs.rmSync(path.join(dist, file));
  }
  linkCommands(root);
  fs.writeFileSync(recordOf(root), built);
}
