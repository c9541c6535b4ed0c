// What a run reads, by content: a run that goes on must find the files that it began with, whatever their names say.
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { sha256 } from "../data/hash.ts";
import type { TemplatePrompt } from "../data/templatePrompt.ts";
import { UserError } from "../errors.ts";
import { fingerprint } from "./checkpointFiles.ts";
import { checkAgreement } from "./run.ts";

/** SHA-256 per file. */
export type InputHashes = Readonly<Record<string, string>>;

/** What of a model's folder decides how it answers, and where an answer ends. */
const modelFile =
  /\.safetensors$|^(config|adapter_config|generation_config|tokenizer|tokenizer_config|reft)\.json$/;

/**
 * Hashes data files, and what is read of model folders.
 *
 * @param paths by what the run calls them
 * @throws UserError when one is missing
 */
export function hashInputs(paths: Readonly<Record<string, string>>): InputHashes {
  const entries = Object.entries(paths).flatMap(([name, path]) => {
    if (!existsSync(path))
      throw new UserError(`${name}: expected ${path}, found nothing there; check the path`);
    if (!statSync(path).isDirectory()) return [[name, fingerprint(path).sha256] as const];
    return readdirSync(path)
      .filter((file) => modelFile.test(file))
      .toSorted()
      .map((file) => [`${name}/${file}`, fingerprint(join(path, file)).sha256] as const);
  });
  return Object.fromEntries(entries);
}

/** A prompt's template with its settings, by content; nothing for the paper's prompt. */
export function hashPrompt(prompt: TemplatePrompt | undefined): InputHashes {
  if (!prompt) return {};
  return { prompt: sha256(JSON.stringify(prompt)) };
}

/** @throws UserError when a run would go on with other files than it began with, or when ranks read different ones */
export function checkInputs(before: InputHashes | undefined, now: InputHashes): void {
  checkAgreement("files", now);
  if (before === undefined) return;
  const names = new Set([...Object.keys(before), ...Object.keys(now)]);
  // A run goes on with its checkpoint's end tokens, so those of the model that it began with matter only if it read them.
  const isUnread = (name: string) =>
    before[name] === undefined && name.endsWith("/generation_config.json");
  const changed = [...names].filter((name) => before[name] !== now[name] && !isUnread(name));
  if (changed.length === 0) return;
  throw new UserError(
    `this run began with other contents of ${changed.join(", ")}: give it the same files again, or another output`,
  );
}
