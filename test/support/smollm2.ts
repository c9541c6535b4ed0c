// The folder of SmolLM2-135M-Instruct, for tests that need a real model; undefined where it was not fetched.
import { fileURLToPath } from "node:url";
import { namedFolder } from "./namedFolder.ts";

export const smollm2: string | undefined = namedFolder(
  "REFT_SMOLLM2",
  fileURLToPath(new URL("../../models/smollm2-135m-instruct", import.meta.url)),
);
