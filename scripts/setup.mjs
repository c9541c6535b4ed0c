// Makes what the commands need and no npm package can bring. In a checkout: npm packages, TensorFlow and sympy, dist/,
// TensorFlow's binding; every command of its package.json that needs them calls it first. In the installed package,
// where npm has brought the packages and dist/: the rest. When all is there it says so and is done.
//   node scripts/setup.mjs [--gpu | --cpu]     in the package: npx reft setup
// It runs, in a checkout, before any package is installed, so it uses Node's own modules only. See docs/setup.md.
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
import { installTfjs, tfjsIsReady } from "./setup/tfjs.mjs";
import { TENSORFLOW_VERSION, wheelsFor } from "./setup/wheels.mjs";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
const engine = path.join(root, ".engine");
const isCheckout = fs.existsSync(path.join(root, "package-lock.json")); // which npm packs into no package
const PACKAGES_BYTES = 650e6;
const BUILD_BYTES = 50e6;

/** The flavour asked for, else the one that is installed, else the CPU's. */
function flavourFrom(args) {
  const [flag, ...rest] = args;
  if (rest.length > 0 || !["--gpu", "--cpu", undefined].includes(flag)) {
    const usage = isCheckout
      ? "npm run setup [-- --gpu | --cpu]"
      : "npx reft setup [--gpu | --cpu]";
    throw new SetupError(`Unknown argument: ${args.join(" ")}. Usage: ${usage}`);
  }
  return flag?.slice(2) ?? installedSite(engine)?.flavour ?? "cpu";
}

/** TensorFlow's binding, at last: it is tried through dist/. */
async function makeBinding(flavour, wheels) {
  const { version, usesGpu } = await buildBinding(root, wheels);
  const noGpu =
    flavour === "gpu" ? ", but sees no GPU: TF_CPP_MIN_LOG_LEVEL=0 makes it say why" : "";
  say(`  TensorFlow ${version} loads and computes${usesGpu ? " and sees a GPU" : noGpu}`);
}

/** What there is to do, in this order, and what it takes. Those with one number are parts of one step. */
function stepsFor(flavour, wheels) {
  const inCheckout = [
    {
      number: 1,
      title: "npm packages",
      isReady: () => packagesAreReady(root),
      make: () => installPackages(root),
      bytes: PACKAGES_BYTES,
    },
    {
      number: 3,
      title: "src/ to dist/",
      isReady: () => distIsReady(root),
      make: () => buildDist(root),
    },
  ];
  const everywhere = [
    {
      number: 2,
      title: `TensorFlow ${TENSORFLOW_VERSION} for the ${flavour.toUpperCase()}`,
      isReady: () => siteIsReady(engine, wheels),
      make: () => installSite(engine, flavour, wheels),
      downloads: true,
      bytes: siteBytes(wheels),
    },
    {
      number: 2,
      title: "TensorFlow's kernels and binding for Node",
      isReady: () => tfjsIsReady(engine),
      make: () => installTfjs(engine),
      downloads: true,
    },
    {
      number: 2,
      title: "sympy and time zones for the sandbox",
      isReady: () => sandboxWheelsAreReady(engine),
      make: () => installSandboxWheels(engine),
      downloads: true,
    },
    {
      number: 4,
      title: "TensorFlow's binding: compiling (about half a minute)",
      isReady: () => bindingIsReady(root, wheels),
      make: () => makeBinding(flavour, wheels),
      compiles: true,
    },
  ];
  const steps = isCheckout ? [...inCheckout, ...everywhere] : everywhere;
  return steps.toSorted((one, other) => one.number - other.number);
}

const isPending = (step) => !step.isReady();

/** What the steps need of the machine. */
function needsOf(steps) {
  return {
    root,
    download: steps.some(({ downloads }) => downloads),
    compile: steps.some(({ compiles }) => compiles),
    bytes: steps.reduce((sum, { bytes = 0 }) => sum + bytes, BUILD_BYTES),
  };
}

async function work(steps) {
  try {
    fs.mkdirSync(engine, { recursive: true });
    await takeLock(path.join(engine, "setup.lock"));
  } catch (error) {
    // Where the disk is too full even for the lock, the check says by how much.
    checkMachine(needsOf(steps.filter(isPending)));
    throw error;
  }
  // Only now: a set-up before this one may have done some of it.
  checkMachine(needsOf(steps.filter(isPending)));
  const numbers = [...new Set(steps.map(({ number }) => number))];
  for (const step of steps) {
    if (step.isReady()) continue; // asked again: npm's packages take the commands' links away
    say(`[${numbers.indexOf(step.number) + 1}/${numbers.length}] ${step.title}`);
    await step.make();
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
  const steps = stepsFor(flavour, wheels);
  const pending = steps.some(isPending);
  if (pending) {
    checkGlibc(process.report.getReport().header.glibcVersionRuntime);
    await work(steps);
  }
  const time = pending ? ` after ${Math.round((Date.now() - started) / 1000)} s` : "";
  say(`Set up${time}: TensorFlow ${TENSORFLOW_VERSION} for the ${flavour.toUpperCase()}.`);
}

await runSetup(main, "Set-up interrupted: run it again and it goes on where it was.");
