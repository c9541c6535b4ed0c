// Property tests of bad input with many cases of each kind and a new seed: `npm run test:fuzz -- --cases 100000`. What else is
// given goes to vitest: a file, `-t NAME`. A failure prints the smallest case and its seed.
import { spawnSync } from "node:child_process";
import process from "node:process";
import { parseArgs } from "node:util";

const { values, positionals } = parseArgs({
  options: { cases: { type: "string", default: "10000" }, t: { type: "string", short: "t" } },
  allowPositionals: true,
});
const chosen = values.t === undefined ? [] : ["-t", values.t];
const files = positionals.length > 0 ? positionals : ["test/fuzz"];
const { status } = spawnSync(
  process.execPath,
  ["node_modules/vitest/vitest.mjs", "run", "--reporter=verbose", ...files, ...chosen],
  { stdio: "inherit", env: { ...process.env, REFT_FUZZ_CASES: values.cases } },
);
process.exitCode = status ?? 1;
