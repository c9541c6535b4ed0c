// Unpacks the data and puts the page together: figures first, so that they are there while completions are still being unpacked.
import { completionsSection } from "./completions.js";
import { curvesSection } from "./curves.js";
import {
  alarmsSection,
  dataSection,
  evaluationsSection,
  runsSection,
  settingsSection,
} from "./tables.js";
import { el } from "./text.js";

/** @typedef {import("../data.ts").ReportData} ReportData */
/** @typedef {import("../data.ts").CompletionSet} CompletionSet */

/** @param {string} id @returns {Promise<unknown>} */
async function unpack(id) {
  const packed = document.getElementById(`packed-${id}`)?.textContent ?? "";
  const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

const data = /** @type {ReportData} */ (await unpack("data"));
const curves = data.runs.length > 0 ? curvesSection(data) : undefined;
const completions = el(
  "div",
  {},
  el("section", { id: "completions" }, el("h2", {}, "Completions")),
);
const sections = [
  runsSection(data),
  data.runs.length > 0 ? alarmsSection(data, curves?.showStep ?? (() => {})) : undefined,
  evaluationsSection(data),
  curves?.section,
  completions,
  settingsSection(data),
  dataSection(data),
].filter((section) => section !== undefined);

const links = sections.map((section) => {
  const owner = section.id === "" ? section.firstElementChild : section;
  const title = owner?.querySelector("h2")?.textContent ?? "";
  return el("li", {}, el("a", { href: `#${owner?.id}` }, title));
});
document.body.prepend(
  el(
    "header",
    {},
    el("a", { class: "skip", href: "#main" }, "To the report"),
    el("h1", {}, document.title),
    el("nav", { "aria-label": "Parts of the report" }, el("ul", {}, ...links)),
  ),
  el("main", { id: "main" }, ...sections),
);
document.getElementById("loading")?.remove();

// Paper opens nothing.
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("figure details"))
    details.setAttribute("open", "");
});

await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
const sets = /** @type {CompletionSet[]} */ (await unpack("completions"));
completions.replaceChildren(completionsSection(sets));
document.documentElement.dataset.ready = "true";
