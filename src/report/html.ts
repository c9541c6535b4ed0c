// The report as one file of HTML: data, style and script are in it, and it asks for nothing else.
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import type { CompletionSet, ReportData } from "./data.ts";

/**
 * Nothing may be fetched, whatever the page's texts hold; its own style and script stand in the file. A page that follows a run asks
 * the server that it came from.
 */
export function policyOf(follows: boolean): string {
  const own =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";
  return follows ? `${own}; connect-src 'self'` : own;
}

/** Between two questions of a page that follows a run. */
const followSeconds = 3;

/** Modules of the page's script, each after those that it imports. */
const modules = ["text.js", "charts.js", "curves.js", "completions.js", "tables.js", "main.js"];

/**
 * The page. Texts of models are in it as compressed data alone, which the script shows as text.
 *
 * @param follows whether it asks its server for what is new
 */
export function reportPage(
  data: ReportData,
  completions: readonly CompletionSet[],
  follows = false,
): string {
  const title = `ReFT report: ${data.runs.map(({ name }) => name).join(", ") || "evaluations"}`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policyOf(follows)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<link rel="icon" href="data:,">
<title>${escapeHtml(title)}</title>
<style>
${pageFile("page.css")}</style>
</head>
<body${follows ? ` data-follow="${followSeconds}"` : ""}>
<p id="loading" role="status">Unpacking the figures: this takes a browser of 2023 or later, with scripts allowed.</p>
${block("data", data)}
${block("completions", completions)}
<script type="module">
${pageScript()}</script>
</body>
</html>
`;
}

/** All modules as one: a page in one file can import nothing. */
export function pageScript(): string {
  return modules
    .map((name) =>
      pageFile(name)
        .replace(/^import [^;]*;\n/gm, "")
        .replace(/^export /gm, ""),
    )
    .join("\n");
}

function pageFile(name: string): string {
  return readFileSync(new URL(`page/${name}`, import.meta.url), "utf8");
}

/** Base64 has no character that HTML gives a meaning to. */
function block(id: string, value: unknown): string {
  const packed = gzipSync(JSON.stringify(value)).toString("base64");
  return `<script type="text/plain" id="packed-${id}">${packed}</script>`;
}

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => entities[character]!);
}
