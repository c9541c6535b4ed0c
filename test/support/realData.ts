// The folder with real data sets (svamp/, gsm8k/, mathqa/, codellama/), for tests that read them; undefined where there is none.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const folder =
  process.env.REFT_DATA ?? fileURLToPath(new URL("../../../shared/data", import.meta.url));

export const realData: string | undefined = existsSync(folder) ? folder : undefined;
