// Who may import whom in src/, as the table in docs/architecture.md has it.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";

/** By a folder of src/, or by a file of it: the folders and files that it may import besides its own. */
const mayImport = new Map<string, readonly string[]>();
const page = readFileSync("docs/architecture.md", "utf8");
const section = /\n## Who may import whom\n(.*?)\n## /s.exec(page)![1]!;
for (const [, from, to] of section.matchAll(/^\| (`.*?) *\| (.*?) *\|$/gm)) {
  const names = (cell: string) => [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name!);
  for (const name of names(from!)) mayImport.set(name, names(to!));
}

/** The lowest files, which every other may import. */
const lowest = [...mayImport.keys()].filter(
  (name) => /^\w+\.ts$/.test(name) && !["cli.ts", "index.ts"].includes(name),
);

/** The folder or the file at the top of src/ that a path in it belongs to. */
const homeOf = (path: string) => path.split("/")[0]!;

function isAllowed(from: string, to: string): boolean {
  const [home, target] = [homeOf(from), homeOf(to)];
  const allowed = mayImport.get(from) ?? mayImport.get(home)!;
  return home === target || lowest.includes(target) || allowed.includes(target);
}

/** What a source file imports from src/: statically, dynamically or as types. */
function importsOf(path: string): string[] {
  const text = readFileSync(join("src", path), "utf8");
  const specifiers = text.matchAll(/(?:\bfrom |\bimport |\bimport\()"(\.[^"]+)"/g);
  return [...specifiers].map(([, specifier]) => join(dirname(path), specifier!));
}

const files = readdirSync("src", { recursive: true, encoding: "utf8" }).filter((path) =>
  path.endsWith(".ts"),
);

test("the table has a row for everything in src/", () => {
  expect(lowest.length).toBeGreaterThan(4);
  expect(files.map(homeOf).filter((home) => !mayImport.has(home))).toEqual([]);
});

test("imports only go down", () => {
  const all = files.flatMap((from) => importsOf(from).map((to) => [from, to] as const));
  expect(all.length).toBeGreaterThan(500);
  const wrong = all.filter(([from, to]) => !isAllowed(from, to));
  expect(wrong.map(([from, to]) => `${from} -> ${to}`)).toEqual([]);
});
