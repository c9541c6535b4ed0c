// Step 1: the npm packages, exactly those of package-lock.json.
import fs from "node:fs";
import path from "node:path";
import { runTool } from "./support.mjs";

/**
 * Whether what npm has installed (its own record, node_modules/.package-lock.json) is what the
 * lock file asks for. Optional packages may be absent: they are other platforms' binaries, and
 * some of those have no hash in the lock file.
 */
export function matchesLock(lock, installed) {
  return Object.entries(lock.packages).every(([name, wanted]) => {
    const found = installed.packages[name];
    if (name === "") return true;
    if (found === undefined) return wanted.optional === true;
    const sameBytes = wanted.integrity === undefined || found.integrity === wanted.integrity;
    return found.version === wanted.version && sameBytes;
  });
}

/** @param {string} root the project's folder */
export function packagesAreReady(root) {
  const record = path.join(root, "node_modules", ".package-lock.json");
  if (!fs.existsSync(record)) return false;
  const [lock, installed] = [path.join(root, "package-lock.json"), record].map((file) =>
    JSON.parse(fs.readFileSync(file, "utf8")),
  );
  return matchesLock(lock, installed);
}

/** No package's own scripts run: one of them downloads a TensorFlow of 2022. */
export async function installPackages(root) {
  const args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
  await runTool("Installing the npm packages", "npm", args, { cwd: root });
}
