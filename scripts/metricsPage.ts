// The tables of docs/metrics.md, made of the rows that the report shows, too (src/report/figures.ts).
import { markdownTable } from "../src/evaluate/tables.ts";
import { type Figure, figureGroups } from "../src/report/figures.ts";

/** The page with its tables of figures made anew, in their order; all that stands between them stays. */
export function metricsPage(page: string): string {
  const tables = figureGroups.map(({ figures }) =>
    markdownTable([["metric", "meaning", "normal", "when it is not"], ...figures.map(rowOf)]),
  );
  const parts = page.split(/^\| metric .*\n(?:\|.*\n)+/m);
  if (parts.length !== tables.length + 1)
    throw new Error(`expected ${tables.length} tables of figures, found ${parts.length - 1}`);
  return parts.map((text, i) => (i === 0 ? text : `${tables[i - 1]}\n${text}`)).join("");
}

function rowOf({ name, meaning, normal, otherwise, band, limit }: Figure): string[] {
  const marks = [
    ...(band === undefined ? [] : [`band ${[...new Set(band)].join(" to ")}`]),
    ...(limit === undefined ? [] : [`limit \`${limit}\``]),
  ];
  const drawn = marks.length === 0 ? "" : ` [${marks.join(", ")}]`;
  return [`\`${name}\``, meaning, `${normal}${drawn}`, otherwise];
}
