// Chromium, for the tests and the pictures of the report's page.
import { spawnSync } from "node:child_process";
import { type Browser, chromium } from "playwright-core";

/** Where the system has it, or what REFT_CHROMIUM names; undefined where there is none. */
export const chromiumPath: string | undefined = [
  process.env.REFT_CHROMIUM,
  ...["chromium", "chromium-browser", "google-chrome"],
]
  .filter((name) => name !== undefined)
  .map((name) => spawnSync("which", [name], { encoding: "utf8" }).stdout.trim())
  .find((path) => path !== "");

/** Chromium's sandbox is off, because it needs what containers lack: only pages of our own are shown. */
export function openChromium(executablePath: string): Promise<Browser> {
  return chromium.launch({ executablePath, args: ["--no-sandbox"] });
}
