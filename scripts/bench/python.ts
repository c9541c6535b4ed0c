// The Python with the peer's packages: a virtual environment under .cache/, made once.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { UserError } from "../../src/errors.ts";

const requirements = join(import.meta.dirname, "requirements.txt");

/** @returns path of the interpreter @throws UserError when the packages cannot be installed */
export function preparePeer(cache: string): string {
  const folder = join(cache, "python");
  const python = join(folder, "bin", "python");
  const stamp = join(folder, "requirements.txt"); // written last: what is installed
  const wanted = readFileSync(requirements, "utf8");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return python;
  console.error("making a virtual environment with PyTorch and transformers");
  rmSync(folder, { recursive: true, force: true });
  run("python3", ["-m", "venv", folder]);
  run(python, ["-m", "pip", "install", "--quiet", "--requirement", requirements]);
  writeFileSync(stamp, wanted);
  return python;
}

function run(command: string, args: readonly string[]): void {
  const { status, error } = spawnSync(command, args, { stdio: ["ignore", "inherit", "inherit"] });
  if (status === 0) return;
  throw new UserError(
    `${command} ${args.join(" ")} failed (${error?.message ?? `exit code ${status}`}); with --python PATH the benchmark ` +
      `takes a Python that has the packages of ${requirements}`,
  );
}
