// Pictures of the report for the docs, of the runs that `npm run demo` makes, and of that in examples/hack:
//   npx tsx scripts/report-pictures.ts
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { UserError } from "../src/errors.ts";
import { report } from "../src/tasks/report.ts";
import { chromiumPath, openChromium } from "./chromium.ts";
import { runScript } from "./script.ts";

const runs = ["warmup", "sft-1", "reft"].map((name) => join("runs/demo", name));

await runScript("report-pictures", async () => {
  if (chromiumPath === undefined)
    throw new UserError("expected chromium on the path, or its path in REFT_CHROMIUM, found none");
  const folder = mkdtempSync(join(tmpdir(), "reft-report-"));
  const output = join(folder, "report.html");
  report({ folders: runs, output });
  const browser = await openChromium(chromiumPath);
  try {
    const page = await browser.newPage({ viewport: { width: 1100, height: 760 } });
    await page.goto(String(pathToFileURL(output)));
    await page.waitForSelector("html[data-ready]", { state: "attached" });
    await page.getByLabel("Against", { exact: true }).selectOption("samples");
    await page.locator("#curves").evaluate((section) => section.scrollIntoView());
    await page.screenshot({ path: "docs/report-curves.png" });
    const completions = page.locator("#completions");
    await completions
      .getByLabel("Of", { exact: true })
      .selectOption({ label: "reft: dev questions" });
    await completions
      .getByLabel("Questions", { exact: true })
      .selectOption({ label: "wrong first, right last" });
    await completions.locator("summary", { hasText: "?" }).first().click();
    await completions.locator(".ended").first().waitFor();
    await completions.evaluate((section) => section.scrollIntoView());
    await page.screenshot({ path: "docs/report-completions.png" });
    await page.goto(String(pathToFileURL("examples/hack/report.html")));
    await page.waitForSelector("html[data-ready]", { state: "attached" });
    await page.setViewportSize({ width: 1100, height: 1000 });
    await page.getByLabel("Figures with").fill("reward/");
    await page.locator("#signs").getByRole("button", { name: "step" }).click();
    await page.locator("#signs").evaluate((section) => section.scrollIntoView());
    await page.screenshot({ path: "docs/report-hack.png" });
  } finally {
    await browser.close();
    rmSync(folder, { recursive: true });
  }
});
