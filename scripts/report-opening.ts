// How long the report of a large run takes to open in Chromium, until its last part is drawn: 10,000 steps with every figure, and
// 100,000 completions of random words, which pack badly.
//   npx tsx scripts/report-opening.ts
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { UserError } from "../src/errors.ts";
import { figureGroups } from "../src/report/figures.ts";
import { Rng } from "../src/rng.ts";
import { report } from "../src/tasks/report.ts";
import { completion, makeRun } from "../test/support/reportRun.ts";
import { chromiumPath, openChromium } from "./chromium.ts";
import { runScript } from "./script.ts";

const [steps, measurements, questions, openings] = [10_000, 100, 1000, 5];

await runScript("report-opening", async () => {
  if (chromiumPath === undefined)
    throw new UserError("expected chromium on the path, or its path in REFT_CHROMIUM, found none");
  const folder = mkdtempSync(join(tmpdir(), "reft-report-"));
  const output = join(folder, "report.html");
  report({ folders: [makeLargeRun(join(folder, "run"))], output });
  console.log(`${(statSync(output).size / 1e6).toFixed(1)} MB`);
  const browser = await openChromium(chromiumPath);
  try {
    for (let i = 0; i < openings; i++) {
      const page = await browser.newPage();
      const start = performance.now();
      await page.goto(String(pathToFileURL(output)));
      await page.waitForSelector("html[data-ready]", { state: "attached" });
      console.log(`${((performance.now() - start) / 1000).toFixed(2)} s`);
      await page.close();
    }
  } finally {
    await browser.close();
    rmSync(folder, { recursive: true });
  }
});

function makeLargeRun(folder: string): string {
  const rng = Rng.named(1, "report");
  const names = figureGroups.flatMap(({ figures }) => figures.map(({ name }) => name));
  const figures = Array.from({ length: steps + 1 }, (_, step) =>
    Object.fromEntries(names.map((name, i) => [name, Math.sin(step / 100 + i) + rng.uniform()])),
  );
  const word = () => rng.integer(36 ** 5).toString(36);
  const answers = () =>
    Array.from({ length: questions }, (_, i) =>
      completion(`q${i}`, Array.from({ length: 60 }, word).join(" "), {
        ...{ kind: "answer", value: rng.integer(9) },
      }),
    );
  const every = steps / measurements;
  const completions = Object.fromEntries(
    Array.from({ length: measurements }, (_, i) => [(i + 1) * every, answers()]),
  );
  return makeRun(folder, { figures, completions });
}
