import { existsSync } from "node:fs";

/**
 * The folder that a variable of the environment names, or the usual one where it names none; undefined where there is none.
 *
 * @throws Error where the variable names one that is not there, because its tests would be skipped; `none` skips them on purpose
 */
export function namedFolder(variable: string, usual: string): string | undefined {
  const named = process.env[variable];
  if (named === "none") return undefined;
  const folder = named ?? usual;
  if (existsSync(folder)) return folder;
  if (named === undefined) return undefined;
  throw new Error(`${variable}: expected a folder, or none, found ${named}, which does not exist`);
}
