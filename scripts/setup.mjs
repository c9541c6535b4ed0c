// Sets the project up from a fresh clone: npm packages, TensorFlow and sympy, TensorFlow's binding,
// dist/. Every command of package.json that needs them calls it first; when all is there it says so
// and is done.
//   node scripts/setup.mjs [--gpu | --cpu]
// It runs before any package is installed, so it uses Node's own modules only. See docs/setup.md.
import fs from "node:fs";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { bindingIsReady, buildBinding } from "./setup/binding.mjs";
import { buildDist, distIsReady } from "./setup/build.mjs";
import { takeLock } from "./setup/lock.mjs";
import { checkGlibc, checkMachine, checkNode } from "./setup/machine.mjs";
import { installPackages, packagesAreReady } from "./setup/packages.mjs";
import { installSandboxWheels, sandboxWheelsAreReady } from "./setup/sandboxWheels.mjs";
import { runSetup, SetupError, say } from "./setup/support.mjs";
import {
  installedSite,
  installSite,
  linkCusolver,
  siteBytes,
  siteIsReady,
} from "./setup/tensorflow.mjs";
import { TENSORFLOW_VERSION, wheelsFor } from "./setup/wheels.mjs";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
const engine = path.join(root, ".engine");
const PACKAGES_BYTES = 650e6;
const BUILD_BYTES = 50e6;

/** The flavour asked for, else the one that is installed, else the CPU's. */
function flavourFrom(args) {
  const [flag, ...rest] = args;
  if (rest.length > 0 || !["--gpu", "--cpu", undefined].includes(flag)) {
    throw new SetupError(
      `Unknown argument: ${args.join(" ")}. Usage: npm run setup [-- --gpu | --cpu]`,
    );
  }
  return flag?.slice(2) ?? installedSite(engine)?.flavour ?? "cpu";
}

/** What has work to do: the four steps, the second in its two parts. */
function pendingSteps(wheels) {
  const packages = !packagesAreReady(root);
  const site = !siteIsReady(engine, wheels);
  return {
    packages,
    site,
    sandbox: !sandboxWheelsAreReady(engine),
    binding: packages || site || !bindingIsReady(root, wheels),
    dist: packages || !distIsReady(root),
  };
}

/** What the pending steps take. */
function needs(pending, wheels) {
  return {
    root,
    download: pending.site || pending.sandbox,
    compile: pending.binding,
    bytes:
      (pending.packages ? PACKAGES_BYTES : 0) +
      (pending.site ? siteBytes(wheels) : 0) +
      BUILD_BYTES,
  };
}

async function work(flavour, wheels) {
  try {
    fs.mkdirSync(engine, { recursive: true });
    await takeLock(path.join(engine, "setup.lock"));
  } catch (error) {
    // Where the disk is too full even for the lock, the check says by how much.
    checkMachine(needs(pendingSteps(wheels), wheels));
    throw error;
  }
  // Only now: a set-up before this one may have done some of it.
  const pending = pendingSteps(wheels);
  checkMachine(needs(pending, wheels));
  if (pending.packages) {
    say("[1/4] npm packages");
    await installPackages(root);
  }
  if (pending.site) {
    say(`[2/4] TensorFlow ${TENSORFLOW_VERSION} for the ${flavour.toUpperCase()}`);
    await installSite(engine, flavour, wheels);
  }
  if (pending.sandbox) {
    say("[2/4] sympy and time zones for the sandbox");
    await installSandboxWheels(engine);
  }
  if (pending.binding) {
    say("[3/4] TensorFlow's binding: compiling (about half a minute)");
    const { version, usesGpu } = await buildBinding(root, wheels);
    const noGpu =
      flavour === "gpu" ? ", but sees no GPU: TF_CPP_MIN_LOG_LEVEL=0 makes it say why" : "";
    say(`  TensorFlow ${version} loads and computes${usesGpu ? " and sees a GPU" : noGpu}`);
  }
  if (pending.dist) {
    say("[4/4] src/ to dist/");
    await buildDist(root);
  }
}

async function main() {
  const started = Date.now();
  const manifest = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8"));
  checkNode(process.versions.node, manifest.engines.node);
  const machine = `${process.platform} ${process.arch}`;
  const flavour = flavourFrom(process.argv.slice(2));
  const wheels = wheelsFor(machine, flavour);
  linkCusolver(path.join(engine, "site")); // set-ups from before it was linked, too
  const pending = Object.values(pendingSteps(wheels)).some(Boolean);
  if (pending) {
    checkGlibc(process.report.getReport().header.glibcVersionRuntime);
    await work(flavour, wheels);
  }
  const time = pending ? ` after ${Math.round((Date.now() - started) / 1000)} s` : "";
  say(`Set up${time}: TensorFlow ${TENSORFLOW_VERSION} for the ${flavour.toUpperCase()}.`);
}

await runSetup(main, "Set-up interrupted: run it again and it goes on where it was.");
