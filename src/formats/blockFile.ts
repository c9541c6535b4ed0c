// A JSONL file that grows block by block and goes on where it was stopped. Beside it stands a manifest that says what its lines
// depend on, so that lines of two kinds never get into one file.
import { existsSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { z } from "zod";
import { UserError, withPath } from "../errors.ts";
import { fromLeader, isLeader } from "../ranks.ts";
import {
  appendBlock,
  excerpt,
  jsonText,
  linesOf,
  parseJson,
  readChunks,
  readText,
  writeFileAtomically,
} from "./jsonl.ts";

/** What every line of a file depends on: settings, and hashes of what was read. */
export type Manifest = Readonly<Record<string, string | number>>;

export interface BlockFile {
  /** Lines that are there, of whole blocks alone. */
  readonly lines: number;
  /** Adds a block. */
  append(block: readonly unknown[]): void;
}

/**
 * Opens the file, or makes it with its manifest; what is left of a block that was being written is cut off. Of several ranks the first
 * one has the file, and the others know what is in it.
 *
 * @param linesPerBlock of all blocks but the last one
 * @param totalLines of the complete file
 * @param isLine whether a value is what stands on the line of that index, counted from 0
 * @throws UserError when the file was made with another manifest, is none of ours, or is damaged; it then stays as it is
 */
export function openBlockFile(
  path: string,
  manifest: Manifest,
  linesPerBlock: number,
  totalLines: number,
  isLine: (value: unknown, index: number) => boolean = () => true,
): BlockFile {
  let file: BlockFile | undefined;
  const open = () => {
    file = openOwn(path, manifest, linesPerBlock, totalLines, isLine);
    return file.lines;
  };
  return { lines: fromLeader(open), append: (block) => file?.append(block) };
}

function openOwn(
  path: string,
  manifest: Manifest,
  linesPerBlock: number,
  totalLines: number,
  isLine: (value: unknown, index: number) => boolean,
): BlockFile {
  const manifestPath = manifestOf(path);
  if (existsSync(manifestPath)) {
    checkManifest(path, manifest);
  } else if (existsSync(path)) {
    throw new UserError(
      `${path}: expected nothing there, or a file with ${manifestPath} beside it to go on with; give another output`,
    );
  } else {
    writeFileAtomically(manifestPath, jsonText(manifest));
  }
  if (!existsSync(path)) withPath(path, () => writeFileSync(path, ""));
  const { lines, bytes, allBytes } = wholeBlocks(path, linesPerBlock, totalLines);
  checkLines(path, lines, totalLines, isLine);
  if (bytes < allBytes) truncateSync(path, bytes);
  return { lines, append: (block) => appendBlock(path, block) };
}

/** Removes a file that was made with another manifest. Only for lines that are cheap to make again. */
export function removeOther(path: string, manifest: Manifest): void {
  if (!isLeader()) return;
  if (!existsSync(manifestOf(path)) || differences(path, manifest).length === 0) return;
  rmSync(path, { force: true });
  rmSync(manifestOf(path)); // last: after a crash between the two it still tells them apart
}

function manifestOf(path: string): string {
  return `${path.replace(/\.jsonl$/, "")}.manifest.json`;
}

const manifestSchema = z.record(z.string(), z.union([z.string(), z.number()]));

function checkManifest(path: string, manifest: Manifest): void {
  const changed = differences(path, manifest);
  if (changed.length === 0) return;
  throw new UserError(
    `${path}: was made with other settings or inputs:\n${changed.join("")}` +
      "Give the same ones to go on, or another output to start anew.",
  );
}

/** Of the manifest beside a file from another one, one line each. */
function differences(path: string, now: Manifest): string[] {
  const manifestPath = manifestOf(path);
  const before = parseJson(readText(manifestPath), manifestPath, manifestSchema);
  const names = [...new Set([...Object.keys(before), ...Object.keys(now)])];
  return names
    .filter((name) => before[name] !== now[name])
    .map(
      (name) => `  ${name}: was ${before[name] ?? "not set"}, is now ${now[name] ?? "not set"}\n`,
    );
}

/** @throws UserError at the first line within the whole blocks that is not what was written there */
function checkLines(
  path: string,
  lines: number,
  totalLines: number,
  isLine: (value: unknown, index: number) => boolean,
): void {
  let index = 0;
  for (const text of linesOf(path)) {
    if (index === lines) return;
    const value = parsed(text);
    const isRight = index < totalLines && value !== undefined && isLine(value, index);
    if (!isRight)
      throw new UserError(
        `${path}:${index + 1}: damaged: expected ${index < totalLines ? "the line that was written there" : "the end of the file"}, ` +
          `found ${excerpt(text)}; keep the lines before it alone (head -n ${index}), and the same command makes the others again`,
      );
    index++;
  }
}

/** undefined, which JSON has not, where it is none. */
function parsed(text: string): unknown {
  try {
    return parseJson(text, "", z.unknown());
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

/** The lines and bytes up to the end of the last whole block, and the bytes of all that is there. */
function wholeBlocks(path: string, linesPerBlock: number, totalLines: number) {
  const newline = 0x0a;
  let whole = { lines: 0, bytes: 0 };
  let [lines, offset] = [0, 0];
  for (const chunk of readChunks(path)) {
    for (let at = chunk.indexOf(newline); at !== -1; at = chunk.indexOf(newline, at + 1)) {
      lines++;
      if (lines % linesPerBlock === 0 || lines === totalLines)
        whole = { lines, bytes: offset + at + 1 };
    }
    offset += chunk.length;
  }
  return { ...whole, allBytes: offset };
}
