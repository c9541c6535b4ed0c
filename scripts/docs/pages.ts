// The commands that the documentation tells a reader to type, page by page.
import { readFileSync } from "node:fs";

/** Lines that are typed into a shell one after the other. */
export interface Block {
  readonly page: string;
  /** The line of the page, counted from 1. */
  readonly line: number;
  readonly code: string;
}

const fence = /^ *```(?:sh)?\n(.*?)^ *```/gms;
const inline = /`((?:npx (?:reft|train-\w+|tsx) )[^`\n]+)`/g;
const isTyped = /^(npx|npm|node|jq|for|cat|head|mkdir) /m;

/**
 * Code blocks with commands, and whole commands within sentences, in the order of the page.
 *
 * @param page its name in messages
 */
export function blocksOf(path: string, page: string): Block[] {
  const text = readFileSync(path, "utf8");
  const blocks = [...text.matchAll(fence)].filter(([, code]) => isTyped.test(code!));
  const commands = [...text.matchAll(inline)];
  return [...blocks, ...commands]
    .toSorted((a, b) => a.index - b.index)
    .map(({ index, 1: code }) => ({
      page,
      line: text.slice(0, index).split("\n").length,
      code: code!,
    }));
}
