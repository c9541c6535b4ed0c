// Writes docs/api.md of the doc comments in src/, by typedoc. With --check it only says whether the file is as it would be written.
//   npm run api [-- --check]
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import process from "node:process";

const here = import.meta.dirname;
const project = path.join(here, "..", "..");
const target = path.join(project, "docs", "api.md");

if (!fs.existsSync(path.join(here, "node_modules")))
  execFileSync("npm", ["ci", "--no-fund", "--no-audit"], { cwd: here, stdio: "inherit" });
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "reft-api-"));
try {
  const typedoc = path.join(here, "node_modules", "typedoc", "bin", "typedoc");
  const options = ["--options", path.join(here, "typedoc.json"), "--out", folder];
  execFileSync(process.execPath, [typedoc, ...options], { cwd: here, stdio: "inherit" });
  const text = fs.readFileSync(path.join(folder, "api.md"), "utf8");
  const written = text
    .replace(/<a id="[^"]*"><\/a> /g, "")
    // docs/settings.md has them, each with its meaning.
    .replace(/^(### \w+Config\n.*?)#### Extends.*?(?=\*\*\*)/gms, "$1");
  const page = execFileSync("npx", ["biome", "format", "--stdin-file-path=docs/api.md"], {
    cwd: project,
    encoding: "utf8",
    input: written,
  });
  if (!process.argv.includes("--check")) fs.writeFileSync(target, page);
  else if (page !== fs.readFileSync(target, "utf8")) {
    console.error("docs/api.md is not what src/ says now: npm run api writes it");
    process.exitCode = 1;
  }
} finally {
  fs.rmSync(folder, { recursive: true });
}
