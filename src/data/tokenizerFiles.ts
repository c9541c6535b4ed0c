// The files of a tokenizer, and what other tools read beside it: kept as they came, so that they go along wherever a model is saved.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { isThere } from "../folders.ts";
import { jsonText, reading, writeFileAtomically } from "../formats/jsonl.ts";

/** What makes up a tokenizer. */
export interface TokenizerFiles {
  /** The parsed contents of tokenizer.json. */
  readonly tokenizerJson: unknown;
  /** The parsed contents of tokenizer_config.json. */
  readonly tokenizerConfig: unknown;
  /** The folder's files as they came, by name; absent for a tokenizer that was made here. */
  readonly asTheyCame?: ReadonlyMap<string, Uint8Array>;
}

export const [jsonName, configName] = ["tokenizer.json", "tokenizer_config.json"];

export const generationConfigName = "generation_config.json";
export const specialTokensName = "special_tokens_map.json";
/** Chat templates, vocabularies in other formats, and sampling settings, as transformers names them. */
const companions = [
  generationConfigName,
  "chat_template.jinja",
  specialTokensName,
  "added_tokens.json",
  "tokenizer.model",
  "vocab.json",
  "merges.txt",
];
const templateFolder = "additional_chat_templates";

/** Reads a tokenizer's two files, and those beside it that are there. @throws UserError when one cannot be read */
export function readTokenizerFiles(folder: string): ReadonlyMap<string, Uint8Array> {
  const names = [jsonName, configName, ...companions, ...templatesIn(folder)];
  const present = names.filter((name) => isThere(join(folder, name)));
  return new Map(
    present.map((name) => {
      const path = join(folder, name);
      return [name, reading(path, () => readFileSync(path))] as const;
    }),
  );
}

/** For a tokenizer that goes to another model: how its own was sampled, and where it ended, does not go along. */
export function withoutGenerationConfig(files: TokenizerFiles): TokenizerFiles {
  const asTheyCame = new Map(files.asTheyCame);
  asTheyCame.delete(generationConfigName);
  return { ...files, asTheyCame };
}

function templatesIn(folder: string): string[] {
  const path = join(folder, templateFolder);
  if (!isThere(path)) return [];
  const names = reading(path, () => readdirSync(path));
  return names.filter((name) => name.endsWith(".jinja")).map((name) => join(templateFolder, name));
}

/** Content of each file that belongs to a tokenizer, by name. */
export function tokenizerFileContents(
  files: TokenizerFiles,
): ReadonlyMap<string, string | Uint8Array> {
  return new Map<string, string | Uint8Array>([
    [jsonName, jsonText(files.tokenizerJson)],
    [configName, jsonText(files.tokenizerConfig)],
    ...(files.asTheyCame ?? []),
  ]);
}

/** @throws UserError if the disk does not take them */
export function writeTokenizerFiles(files: TokenizerFiles, folder: string): void {
  for (const [name, content] of tokenizerFileContents(files))
    writeFileAtomically(join(folder, name), content);
}
