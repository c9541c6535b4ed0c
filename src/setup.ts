// What the set-up (scripts/setup.mjs) has made beside src/ and dist/, and how it is called.
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The folder of the checkout or of the installed package. */
const home = new URL("../", import.meta.url);

/** The path of something that the set-up has made. */
export function madeBySetup(name: string): string {
  return fileURLToPath(new URL(`.engine/${name}`, home));
}

/** The sentence for what is not there, or is older than what needs it. */
export function setupAdvice(): string {
  const isCheckout = existsSync(new URL("package-lock.json", home)); // which npm packs into no package
  return isCheckout ? "Run `npm run setup` in the project's folder." : "Run `npx reft setup`.";
}

/** Of this package. */
export function version(): string {
  return (JSON.parse(readFileSync(new URL("package.json", home), "utf8")) as { version: string })
    .version;
}
