// Unpacks the data and puts the page together: figures first, so that they are there while completions are still being unpacked.
import { completionsSection } from "./completions.js";
import { curvesSection } from "./curves.js";
import {
  alarmsSection,
  dataSection,
  evaluationsSection,
  runsSection,
  settingsSection,
  signsSection,
} from "./tables.js";
import { el, plain } from "./text.js";

/** @typedef {import("../data.ts").ReportData} ReportData */
/** @typedef {import("../data.ts").CompletionSet} CompletionSet */

/** @param {string} id @returns {Promise<unknown>} */
async function unpack(id) {
  const packed = document.getElementById(`packed-${id}`)?.textContent ?? "";
  const characters = atob(packed);
  const bytes = new Uint8Array(characters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i); // ten times as fast as Uint8Array.from
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

let data = /** @type {ReportData} */ (await unpack("data"));
const curves = data.runs.length > 0 ? curvesSection(data) : undefined;
/** Undefined while completions are still packed. @type {ReturnType<typeof completionsSection> | undefined} */
let browser;
const completions = el(
  "div",
  {},
  el("section", { id: "completions" }, el("h2", {}, "Completions")),
);
/** The parts that are made anew of new data. @param {ReportData} from */
const partsOf = (from) => ({
  runs: runsSection(from),
  signs: signsSection(from, curves?.showStep ?? (() => {}), (title) => browser?.showWrong(title)),
  alarms: from.runs.length > 0 ? alarmsSection(from, curves?.showStep ?? (() => {})) : undefined,
  evaluations: evaluationsSection(from),
  data: dataSection(from),
});
const parts = partsOf(data);
const sections = [
  ...[parts.runs, parts.signs, parts.alarms, parts.evaluations, curves?.section, completions],
  ...[settingsSection(data), parts.data],
].filter((section) => section !== undefined);

const links = sections.map((section) => {
  const owner = section.id === "" ? section.firstElementChild : section;
  const title = owner?.querySelector("h2")?.textContent ?? "";
  return el("li", {}, el("a", { href: `#${owner?.id}` }, title));
});
const state = el("p", { class: "note" });
document.body.prepend(
  el(
    "header",
    {},
    el("a", { class: "skip", href: "#main" }, "To the report"),
    el("h1", {}, document.title),
    state,
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
const first = /** @type {CompletionSet[]} */ (await unpack("completions"));
browser = completionsSection(first);
completions.replaceChildren(browser.section);
document.documentElement.dataset.ready = "true";
const followSeconds = Number(document.body.dataset.follow ?? 0);
if (followSeconds > 0) void follow();

/** Asks the server again and again, and shows what is new; what has the focus stays as it is. */
async function follow() {
  let version = "";
  for (;;) {
    try {
      const answer = await fetch(`data?version=${encodeURIComponent(version)}`);
      if (!answer.ok) throw new Error(await answer.text());
      const latest = /** @type {{ version?: string, data?: ReportData }} */ (await answer.json());
      if (latest.data !== undefined) {
        version = latest.version ?? "";
        show(latest.data);
        const sets = /** @type {CompletionSet[]} */ (await (await fetch("completions")).json());
        if (browser === undefined || browser.isEmpty) {
          browser = completionsSection(sets);
          completions.replaceChildren(browser.section);
        } else browser.update(sets);
      }
      state.textContent = `Follows the runs; asked at ${new Date().toLocaleTimeString()}.`;
    } catch (error) {
      state.textContent = `The server does not answer, so this is as it was last: ${plain(String(error))}`;
    }
    await new Promise((resolve) => setTimeout(resolve, 1000 * followSeconds));
  }
}

/** @param {ReportData} latest */
function show(latest) {
  const names = (/** @type {ReportData} */ { runs }) => runs.map(({ folder }) => folder).join("\n");
  if (names(latest) !== names(data)) location.reload();
  data = latest;
  curves?.update(latest);
  for (const [id, section] of Object.entries(partsOf(latest))) {
    const shown = document.getElementById(id);
    if (section && shown && !shown.contains(document.activeElement)) shown.replaceWith(section);
  }
}
