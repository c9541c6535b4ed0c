// The page as a browser shows it: Chromium of the system (or what REFT_CHROMIUM names). Without one these tests are skipped, and say so.
import { appendFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import axe, { type AxeResults } from "axe-core";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { chromiumPath, openChromium } from "../../scripts/chromium.ts";
import { writeReport } from "../../src/evaluate/report.ts";
import { writeJsonl } from "../../src/formats/jsonl.ts";
import { report } from "../../src/tasks/report.ts";
import { watch } from "../../src/tasks/watch.ts";
import { completion, makeCheckpoint, makeRun } from "../support/reportRun.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

if (chromiumPath === undefined)
  console.warn("test/report/browser.test.ts: skipped, because there is no chromium on the path");

const hostile = `</script><script>alert(1)</script><img src="https://example.org/x.png" onerror="alert(1)">\u001b[31mred`;
const program = 'def solution():\n    # seven\n    return 3 + 4 if "a" else 0';

/** Two runs with alarms, checkpoints, hostile completions and evaluations. */
function makeReport(): string {
  const home = temporaryFolder();
  const figures = (lift: number) =>
    Array.from({ length: 60 }, (_, step) => ({
      "time/stepSeconds": 1 + (step % 3),
      "kl/reference": (step * lift) / 1000,
      "response/truncatedFraction": step < 40 ? 0.01 : 0.4,
      "sft/loss": step === 7 ? "NaN" : 1 / (step + 1),
      "reward/brevity": step / 60,
      // The first run is paid for something else than being right.
      "reward/score": step / 60,
      "reward/correctFraction": lift === 3 ? 0.6 - step / 120 : step / 120,
      ...(step % 10 === 0 ? { "eval/accuracy": step / 100 } : {}),
    }));
  const right = { kind: "answer", value: 7 };
  const wrong = { kind: "answer", value: 8 };
  const first = makeRun(join(home, "hacked"), {
    figures: figures(3),
    alarms: [{ step: 40, name: "truncated", figures: {}, message: `raise \`it\` ${hostile}` }],
    completions: {
      0: [completion("learned", program, wrong), completion("forgotten", program, right)],
      20: [
        completion("learned", program, right),
        completion("forgotten", hostile, { kind: "error", message: hostile }),
      ],
    },
  });
  makeCheckpoint(first, 20, ["best"]);
  makeCheckpoint(first, 59, ["last"]);
  const second = makeRun(join(home, hostile.replaceAll("/", "")), {
    figures: figures(1),
    settings: "seed: 2\n",
  });
  for (const [folder, share] of [
    [first, 1],
    [second, 0],
  ] as const) {
    const questions = Array.from({ length: 8 }, (_, i) => ({
      ...{ id: `q${i}`, question: "?", shares: { top1: i < 2 ? 1 : share } },
    }));
    const about = { model: folder, data: "test.jsonl", questions: 8 };
    writeReport(join(folder, "test"), about, questions, 1);
  }
  const output = join(home, "report.html");
  report({ folders: [first, second], output });
  return output;
}

describe.skipIf(chromiumPath === undefined)("the page", () => {
  let browser: Browser;
  let page: Page;
  const problems: string[] = [];
  beforeAll(async () => {
    browser = await openChromium(chromiumPath!);
    page = await open("light");
  });
  afterAll(() => browser?.close());

  /** The page, with everything written down that must not happen. */
  async function open(
    colorScheme: "light" | "dark",
    width = 1280,
    url = String(pathToFileURL(file)),
  ): Promise<Page> {
    const context = await browser.newContext({ colorScheme, viewport: { width, height: 900 } });
    const opened = await context.newPage();
    opened.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) problems.push(message.text());
    });
    opened.on("pageerror", (error) => problems.push(String(error)));
    opened.on("dialog", async (dialog) => {
      problems.push("a dialog was opened");
      await dialog.dismiss();
    });
    opened.on("request", (request) => {
      if (!/^(file|data):/.test(request.url()) && !request.url().startsWith(url))
        problems.push(`request: ${request.url()}`);
    });
    await opened.goto(url);
    await opened.waitForSelector("html[data-ready]", { state: "attached" });
    return opened;
  }
  const file = chromiumPath === undefined ? "" : makeReport();

  test("draws every figure of every run, with alarms, checkpoints and what was not finite", async () => {
    const names = await page.locator(".card h4").allTextContents();
    expect(names.toSorted()).toEqual([
      ...["eval/accuracy", "kl/reference", "response/truncatedFraction", "reward/brevity"],
      ...["reward/correctFraction", "reward/score", "sft/loss", "time/stepSeconds"],
    ]);
    const drawn = await page
      .locator(".card")
      .evaluateAll((cards) =>
        cards.map(
          ({ querySelectorAll }, i) => querySelectorAll.call(cards[i], "svg .line[d^=M]").length,
        ),
      );
    expect(drawn.every((lines) => lines >= 2)).toBe(true);
    const card = page.locator(".card", { hasText: "sft/loss" });
    expect(await card.locator(".mark.alarm").count()).toBe(2); // one is of what stands out
    expect(await card.locator(".mark.best").count()).toBe(1);
    expect(await card.locator(".mark.last").count()).toBe(1);
    expect(await card.locator(".mark.notFinite").count()).toBe(2);
    const truncated = page.locator(".card", { hasText: "response/truncatedFraction" });
    expect(await truncated.locator(".outside").first().textContent()).toMatch(
      /^hacked: outside its normal band at 34 % of its points, first at step 40\.$/,
    );
  });

  test("moves one cursor through all charts, by keyboard, too", async () => {
    const reading = page.locator("#figure-eval-accuracy").locator(".reading");
    expect(await reading.textContent()).toContain("0.5 at 50");
    const slider = page.getByLabel("Cursor", { exact: true });
    await slider.focus();
    await slider.press("Home");
    expect(await reading.textContent()).toContain("0 at 0");
    expect(await slider.getAttribute("aria-valuetext")).toBe("0 steps");
    await page.locator("#alarms").getByRole("button", { name: "step 40" }).press("Enter");
    expect(await page.locator("output.place").textContent()).toBe("40 steps");
  });

  test("begins with what stands out, and leads to its step", async () => {
    const signs = page.locator("#signs");
    expect(await signs.locator("tbody th").allTextContents()).toEqual(["hacked"]);
    expect(await signs.locator("tbody").textContent()).toContain(
      "the reward pays for something else",
    );
    const button = signs.getByRole("button", { name: "step" });
    const step = await button.textContent();
    await button.click();
    expect(await page.locator("output.place").textContent()).toBe(`${step!.slice(5)} steps`);
    await signs.getByRole("button", { name: "completions" }).click();
    const result = page.getByLabel("Once ended as");
    expect(await result.locator("option:checked").textContent()).toBe("wrong");
    expect(await page.locator("#completions .found").textContent()).toContain("1 of 1 found");
    await result.selectOption("any");
  });

  test("draws against samples, without a run, and a part of the figures", async () => {
    await page.getByLabel("Against", { exact: true }).selectOption("samples");
    expect(await page.locator("output.place").textContent()).toMatch(/samples$/);
    await page.locator(".run-choice input").nth(1).uncheck();
    const card = page.locator("#figure-kl-reference");
    expect(await card.locator("svg[role=img] .line").count()).toBe(1);
    await page.getByLabel("Figures with").fill("kl/");
    expect(await page.locator(".card h4").allTextContents()).toEqual(["kl/reference"]);
    await page.getByLabel("Figures with").fill("");
    await page.locator(".run-choice input").nth(1).check();
  });

  test("finds completions, and shows hostile ones as text", async () => {
    const section = page.locator("#completions");
    const asked = section.locator(".asked");
    await section.getByLabel("Questions", { exact: true }).selectOption("learned");
    expect(await asked.allTextContents()).toEqual(["What is learned?"]);
    await section.locator("summary", { hasText: "What is learned?" }).click();
    // What a question holds is drawn once it is open, and that the browser tells in a task of its own.
    await section.locator(".keyword", { hasText: /^def$/ }).first().waitFor();
    expect(await section.locator(".ended b").allTextContents()).toEqual(["step 0", "step 20"]);
    await section.getByLabel("Questions", { exact: true }).selectOption("forgotten");
    await section.locator("summary", { hasText: "What is forgotten?" }).click();
    const text = await section.locator("pre").nth(1).textContent();
    expect(text).toBe(hostile.replace("\u001b", "\\u{1b}"));
    expect(await page.locator("img").count()).toBe(0);
    await section.getByLabel("Questions", { exact: true }).selectOption("any");
    await section.getByLabel("Once ended as").selectOption({ label: "error" });
    expect(await asked.allTextContents()).toEqual(["What is forgotten?"]);
    await section.getByLabel("Search").fill("nowhere");
    expect(await section.getByRole("status").textContent()).toBe("None of 2 questions.");
  });

  test("compares evaluations, and shows the settings that differ", async () => {
    const evaluations = await page.locator("#evaluations").textContent();
    expect(evaluations).toContain("McNemar");
    expect(evaluations).toContain("100.0 (67.6 to 100.0)");
    expect(await page.locator("#settings tbody th").allTextContents()).toEqual(["seed"]);
    await page.getByLabel("Show", { exact: true }).selectOption("all");
    expect(await page.locator("#settings tbody th").count()).toBeGreaterThan(8);
  });

  test.each(["light", "dark"] as const)("has nothing that axe finds, %s", async (scheme) => {
    const other = await open(scheme);
    await other.locator("#completions summary", { hasText: "What is forgotten?" }).click();
    await other.locator("#completions .ended").first().waitFor();
    await other.evaluate(axe.source);
    const { violations } = await other.evaluate<AxeResults>("axe.run()");
    expect(
      violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html.slice(0, 200))]),
    ).toEqual([]);
    await other.context().close();
  });

  test("fits a phone, and a sheet of paper", async () => {
    const phone = await open("light", 360);
    const width = () => phone.evaluate<number>("document.scrollingElement.scrollWidth");
    expect(await width()).toBe(360);
    await phone.emulateMedia({ media: "print" });
    expect(await phone.locator(".toolbar").first().isVisible()).toBe(false);
    expect((await phone.pdf()).length).toBeGreaterThan(10_000);
    await phone.context().close();
  });

  test("follows a run that goes on, and keeps what was chosen and opened", async () => {
    const run = makeRun(join(temporaryFolder(), "going"), {
      figures: [{ "kl/reference": 0 }, { "kl/reference": 0.25 }],
      completions: { 0: [completion("asked", program, { kind: "answer", value: 8 })] },
    });
    const server = await watch([run], 0);
    const following = await open("light", 1280, server.url);
    await following.getByLabel("Against", { exact: true }).selectOption("samples");
    await following.locator("summary", { hasText: "What is asked?" }).click();
    await following.locator("h1").click(); // the focus is elsewhere
    expect(await following.locator("#alarms").textContent()).toContain("None were written down");
    const about = JSON.stringify({ machine: { processor: "any" }, files: [] });
    writeFileSync(join(run, "about.json"), about);
    const line = { step: 2, epoch: 1, time: "2026-01-01T00:02:00Z", "kl/reference": 0.75 };
    writeJsonl(join(run, "samples", "step-000002.jsonl"), [
      completion("asked", "return 7", { kind: "answer", value: 7 }),
    ]);
    appendFileSync(join(run, "metrics.jsonl"), `${JSON.stringify(line)}\n`);
    await following.locator(".reading", { hasText: "0.75" }).waitFor();
    expect(await following.locator("output.place").textContent()).toBe("64 samples");
    await following.locator(".ended b", { hasText: "step 2" }).waitFor();
    expect(await following.locator("#runs tbody td").nth(1).textContent()).toBe("2");
    expect(await following.locator("#alarms").textContent()).toContain("None was raised.");
    server.close();
    await following.getByText("The server does not answer").waitFor();
    await following.context().close();
    problems.splice(0, problems.length, ...problems.filter((text) => !text.includes("REFUSED")));
  });

  test("asks for nothing, and can ask for nothing", async () => {
    expect(problems).toEqual([]);
    const refused = `new Promise((resolve) => {
      addEventListener("securitypolicyviolation", ({ effectiveDirective }) => resolve(effectiveDirective));
      fetch("https://example.org").catch(() => setTimeout(resolve, 1000, "nothing was refused"));
    })`;
    expect(await page.evaluate(refused)).toBe("connect-src");
  });
});
