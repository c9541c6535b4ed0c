// What a person sees of a run: a module with the parts of a run, in terminals of three widths.
import { spawn, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { runInTerminal } from "./support/screen.ts";
import { temporaryFolder } from "./support/temporaryFolder.ts";

const source = (file: string) => join(process.cwd(), "src", file);
const warning =
  "warning: step 1: fewer than 99.9 % of the responses give an answer: warm up longer if it was so from the start, " +
  "else the policy collapses: lower the learning rate or raise ppo.klCoefficient; end";
const module = join(temporaryFolder(), "run.mts");
writeFileSync(
  module,
  `import { watchInterrupts } from "${source("run/interrupts.ts")}";
import { createProgress, doing } from "${source("progress.ts")}";
import { print, say } from "${source("terminal.ts")}";
const compute = (milliseconds) => {
  for (const end = Date.now() + milliseconds; Date.now() < end; );
};
const interrupts = watchInterrupts();
{
  using _ = doing("loading the model");
  say("SFT: 12 examples\\x1b[2J");
}
const progress = createProgress("ReFT", 20);
{
  using _ = doing("measuring 200 dev questions");
  compute(50);
}
for (let step = 1; step <= 20; step++) {
  compute(120);
  if (step === 1) say(${JSON.stringify(warning)});
  progress.update(step, { correct: "41.2%", kl: "0.012", best: "40.0%", "tok/s": 1234, memory: "1.2GB" });
  if (await interrupts.requested()) break;
}
progress.stop();
print("done\\x1b[2J");
`,
);

const stopping =
  "Stopping when this step is done and saved. Ctrl-C again ends at once, without saving it.";

describe.skipIf(spawnSync("python3", ["--version"]).status !== 0)("in a terminal (python3)", () => {
  test.each([60, 80, 200])(
    "of %i columns messages stand whole above one bar, also after Ctrl-C",
    (columns) => {
      const { lines, rows, code, written } = runInTerminal([module], columns, [[" 4/20", "\x03"]]);
      expect(code).toBe(0);
      expect(lines).toEqual([
        "SFT: 12 examples\\u{1b}[2J",
        warning,
        stopping,
        expect.stringMatching(
          columns === 60
            ? /^ReFT \d+\/20 \d+% ETA \w+ correct 41\.2% kl 0\.012 best 40\.0%$/
            : /^ReFT █+░+ \d+\/20 \d+% ETA \w+ correct 41\.2% kl 0\.012 best 40\.0% tok\/s 1234( memory 1\.2GB)?$/,
        ),
        "done\\u{1b}[2J",
        "",
      ]);
      expect(written).toContain("loading the model ...");
      expect(written).toContain(" 0/20 0% | measuring 200 dev questions");
      expect(Math.max(...rows.map((row) => row.length))).toBeLessThanOrEqual(columns);
    },
  );

  test("a question takes a yes for a yes, and anything else, also an end, for a no", () => {
    const asking = join(temporaryFolder(), "ask.mts");
    writeFileSync(
      asking,
      `import { isAgreed, print } from "${source("terminal.ts")}";
for (const question of ["first? ", "second? ", "third? ", "fourth? "]) print(String(await isAgreed(question)));
process.exit(0);
`,
    );
    const typed = [
      ["first? ", "yes\r"],
      ["second? ", "\r"],
      ["third? ", "Y\r"],
      ["fourth? ", "\x04"],
    ] as const;
    expect(runInTerminal([asking], 80, typed).lines).toEqual([
      ...["first? yes", "true", "second?", "false", "third? Y", "true", "fourth? false", ""],
    ]);
  });
});

test("without a terminal there are lines without control characters, one of them for SIGTERM", async () => {
  const child = spawn("node", ["--import", "tsx", module]);
  let text = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (piece) => {
      text += piece;
      if (String(piece).includes("ReFT 1/20")) child.kill("SIGTERM");
    });
  await new Promise((resolve) => child.on("close", resolve));
  expect(text.split("\n")).toEqual([
    "loading the model",
    "SFT: 12 examples\\u{1b}[2J",
    "measuring 200 dev questions",
    warning,
    "ReFT 1/20 5% correct 41.2% kl 0.012 best 40.0% tok/s 1234 memory 1.2GB",
    stopping,
    expect.stringMatching(/^ReFT \d+\/20 \d+% ETA /),
    "done\\u{1b}[2J",
    "",
  ]);
});
