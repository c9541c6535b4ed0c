// The folder of SmolLM2-135M-Instruct, for tests that need a real model; undefined where it was not fetched.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const folder =
  process.env.REFT_SMOLLM2 ??
  fileURLToPath(new URL("../../models/smollm2-135m-instruct", import.meta.url));

export const smollm2: string | undefined = existsSync(folder) ? folder : undefined;
