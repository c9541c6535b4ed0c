import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { main } from "../src/cli.ts";
import { UserError } from "../src/errors.ts";
import { InterruptedError } from "../src/run/interrupts.ts";
import { makeRun } from "./support/reportRun.ts";
import { temporaryFolder } from "./support/temporaryFolder.ts";

let handler: () => unknown = () => {};
vi.mock("../src/commands/execute.ts", () => ({
  executeCommand: {
    command: "execute",
    describe: "stands in for the sandbox",
    builder: {
      input: { type: "string", demandOption: true },
      workers: { type: "number", default: 2 },
      limit: { type: "number" },
      set: { type: "array", string: true },
    },
    handler: () => handler(),
  },
}));

let output = "";
let errors = "";
beforeEach(() => {
  output = "";
  errors = "";
  handler = () => {};
  vi.spyOn(console, "log").mockImplementation((text) => {
    output += `${text}\n`;
  });
  vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    errors += text;
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
});

describe("main", () => {
  test("lists every command of src/commands, described as the command describes itself", async () => {
    expect(await main(["--help"])).toBe(0);
    const listed = [...output.replace(/\n {10,}/g, " ").matchAll(/^ {2}reft (\S+) +(\S.*?) *$/gm)];
    const sources = readdirSync("src/commands").map((file) =>
      readFileSync(join("src/commands", file), "utf8"),
    );
    const defined = sources.flatMap((text) => [
      ...text.matchAll(/command: "(\S+?)[ "].*\n\s+describe:\s+"(.*)"/g),
    ]);
    const byName = (matches: readonly RegExpExecArray[]) =>
      matches.map(([, name, describe]) => `${name}: ${describe}`).toSorted();
    expect(byName(listed)).toEqual(byName(defined));
  });

  test("without a command prints the list of all, under headings", async () => {
    expect(await main([])).toBe(0);
    expect(errors).toBe("");
    expect([...output.matchAll(/^(\w.*):$/gm)].map(([, heading]) => heading)).toEqual([
      "Set up",
      "Data",
      "Train",
      "Measure",
      "Use",
    ]);
    expect(output).toContain("\nTrain:\n  reft train-sft     Fine-tune on worked solutions");
  });

  test("prints the version of package.json", async () => {
    expect(await main(["--version"])).toBe(0);
    expect(output.trim()).toBe(JSON.parse(readFileSync("package.json", "utf8")).version);
  });

  test("runs a command", async () => {
    handler = vi.fn();
    expect(await main(["execute", "--input", "a", "--set", "a=1", "--set", "b=2"])).toBe(0);
    expect(handler).toHaveBeenCalledOnce();
  });

  test("runs a command under its own name, without the others", async () => {
    handler = vi.fn();
    expect(await main(["--input", "a"], "execute")).toBe(0);
    expect(handler).toHaveBeenCalledOnce();
    expect(await main(["--help"], "execute")).toBe(0);
    expect(output).toContain("--workers");
    expect(output).not.toContain("reft");
    expect(await main([], "execute")).toBe(1);
    expect(errors).toBe("execute: Missing required argument: input\nSee execute --help\n");
  });

  test.each([
    [["exekute"], 'reft: unknown command "exekute"; did you mean execute?\nSee reft --help\n'],
    [["train"], 'unknown command "train"; did you mean train-sft or train-reft or train-rerank?\n'],
    [["dance"], 'reft: unknown command "dance"\nSee reft --help\n'],
    [["--nope"], "reft: unknown option --nope\nSee reft --help\n"],
    [["execute"], "reft execute: Missing required argument: input\nSee reft execute --help\n"],
    [
      ["execute", "--input", "a", "--wrokers", "2"],
      "unknown option --wrokers; did you mean --workers?\n",
    ],
    [["execute", "--dry-run"], "reft execute: unknown option --dry-run\nSee reft execute --help\n"],
    [["train-sft", "--maxEpochs", "1", "-q"], "unknown option --maxEpochs\nunknown option -q\n"],
    [["execute", "--inptu=a"], "reft execute: unknown option --inptu; did you mean --input?\n"],
    [["compare", "x\nreft: y", "z"], "reft compare: x\\nreft: y/questions.jsonl: no such file"],
    [["compare", "--x\nreft: y="], "reft compare: unknown option --x\\nreft: y\nSee reft compare"],
    [["compare", "--x\nreft: y"], "reft compare: unknown option --x\\nreft: y\nSee reft compare"],
    [["compare", "--output.x=1", "a", "b"], "reft compare: unknown option --output.x"],
    [["compare", "--help", "--toString--=1"], "reft compare: unknown option --toString--\nSee"],
    [["compare", "---toString", "--help"], "reft compare: unknown option ---toString\nSee"],
    [["compare", "---x", "a", "b"], "reft compare: unknown option ---x; did you mean"],
    [["train-sft", "--no-set"], "reft train-sft: unknown option --no-set"],
    [["execute", "--input", "a", "more"], "reft execute: Unknown argument: more\n"],
    [
      ["execute", "--input", "a", "--workers", "many"],
      '--workers: expected a number, found "many"\n',
    ],
    [
      ["evaluate", "--model", "a", "--questions=3x"],
      '--questions: expected a number, found "3x"\n',
    ],
    [["ask", "", "--model", "a"], "question: expected a value, found none\n"],
    [["execute", "--input", "--workers", "2"], "--input: expected a value, found none\n"],
    [["execute", "--input", "a", "--limit"], "--limit: expected a value, found none\n"],
    [["execute", "--workers", "--input", "a"], "--workers: expected a value, found none\n"],
    [
      [
        ...["prepare-data", "own", "--from", "a", "--cot", "nl", "--output", "b"],
        ...["--column", "answer=b", "--column", "answer=c"],
      ],
      '--column: expected one for answer, found "b" and "c"\n',
    ],
    [["execute", "--input="], "--input: expected a value, found none\n"],
    [["train-sft", "--config", "a", "--set"], "Not enough arguments following: set\n"],
    [["execute", "--input", "a", "--input", "b"], "--input: expected one value, found a and b\n"],
  ])("answers %j with one message and exit code 1", async (args, message) => {
    handler = () => expect.fail("the command ran");
    expect(await main(args)).toBe(1);
    expect(errors).toContain(message);
    expect(errors).not.toContain("    at ");
  });

  test("prints a user's mistake without a stack, exit code 1", async () => {
    handler = () => {
      throw new UserError("a.jsonl:3: expected text, found null");
    };
    expect(await main(["execute", "--input", "a"])).toBe(1);
    expect(errors).toBe("reft execute: a.jsonl:3: expected text, found null\n");
  });

  test("writes the options of the library as flags", async () => {
    handler = () => {
      throw new UserError(
        "input: expected more workers, or with the option limit 3, no limited input",
      );
    };
    expect(await main(["execute", "--input", "a"])).toBe(1);
    expect(errors).toBe(
      "reft execute: --input: expected more workers, or with the option --limit 3, no limited input\n",
    );
  });

  test.each([[["--input", "input"]], [["--input=input"]]])(
    "takes a path for none of its options: %j",
    async (typed) => {
      handler = () => {
        throw new UserError("input: expected a file, found a folder");
      };
      expect(await main(["execute", ...typed])).toBe(1);
      expect(errors).toBe("reft execute: input: expected a file, found a folder\n");
    },
  );

  test("prints what the file system refuses with what to do, exit code 1", async () => {
    handler = () => mkdirSync("package.json", { recursive: true });
    expect(await main(["execute", "--input", "a"])).toBe(1);
    expect(errors).toMatch(
      /^reft execute: EEXIST: .* mkdir '.*package.json': a file stands where a folder is expected; give another path\n$/,
    );
  });

  test("prints its own mistake with a stack, exit code 2", async () => {
    handler = () => {
      throw new Error("policyLoss: expected [batch, seq], got [8]");
    };
    expect(await main(["execute", "--input", "a"])).toBe(2);
    expect(errors).toContain("policyLoss: expected [batch, seq], got [8]\n    at ");
  });

  test("ends with 1 after an interruption, saying how to go on", async () => {
    handler = () => {
      throw new InterruptedError("stopped after step 12; the same command goes on");
    };
    expect(await main(["execute", "--input", "a"])).toBe(1);
    expect(errors).toBe("reft execute: stopped after step 12; the same command goes on\n");
  });
});

describe("the installed command", () => {
  test("runs through a link, as npm installs it", () => {
    const link = join(temporaryFolder(), "reft.ts");
    symlinkSync(resolve("src/cli.ts"), link);
    const child = spawnSync("node", ["--import", "tsx", link, "--nope"], { encoding: "utf8" });
    expect([child.status, child.stdout]).toEqual([1, ""]);
    expect(child.stderr).toContain("See reft --help");
  });

  test.each([
    ["setTimeout(() => { throw new RangeError('late'); });", "late"],
    ["Promise.reject(new Error('forgotten'));", "forgotten"],
  ])("one message for what a reward throws when nothing waits for it: %s", (late, message) => {
    const folder = temporaryFolder();
    const [reward, data] = [join(folder, "mine.ts"), join(folder, "data.jsonl")];
    const wait = "await new Promise((done) => setTimeout(done, 5000))";
    writeFileSync(reward, `export default async () => {\n  ${late}\n  ${wait};\n  return 1;\n};\n`);
    writeFileSync(data, '{"id":"1","question":"q","cot":"a","answer":"a"}\n');
    const args = ["check-data", data, "--cot", "text", "--reward", reward];
    const child = spawnSync("node", ["--import", "tsx", "src/cli.ts", ...args], {
      encoding: "utf8",
    });
    expect(child.status).toBe(1);
    expect(child.stderr.replace(/:2:\d+/, ":2")).toBe(
      `reft: ${reward}:2 threw when nothing waited for it: ${message}; wait there for all that is begun. What was written before is intact\n`,
    );
  });

  test("reft watch ends with Ctrl-C as it should", async () => {
    const run = makeRun(join(temporaryFolder(), "run"), { figures: [{ loss: 1 }] });
    const args = ["--import", "tsx", "src/cli.ts", "watch", run, "--port", "0"];
    const child = spawn("node", args);
    let [stdout, stderr] = ["", ""];
    child.stderr.on("data", (chunk) => {
      stderr += chunk;
    });
    child.stdout.on("data", (chunk) => {
      stdout += chunk;
      if (stdout.includes("Ctrl-C")) child.kill("SIGINT");
    });
    const code = await new Promise((resolve) => child.once("close", resolve));
    expect([code, stderr]).toEqual([0, ""]);
  });

  test("loads neither TensorFlow nor the sandbox to print its help", () => {
    const script = 'import { main } from "./src/cli.ts"; await main(["--help"]);';
    // Prints the address of every module that is loaded.
    const hook = `
      import { register } from "node:module";
      const source = "export async function resolve(s, c, n) { const r = await n(s, c); console.error(r.url); return r; }";
      register("data:text/javascript," + encodeURIComponent(source));
    `;
    const child = spawnSync(
      "node",
      [
        "--import",
        "tsx",
        "--import",
        `data:text/javascript,${encodeURIComponent(hook)}`,
        "--input-type=module",
        "-e",
        script,
      ],
      { encoding: "utf8" },
    );
    expect(child.status).toBe(0);
    expect(child.stderr).toContain("src/cli.ts");
    expect(child.stderr).not.toMatch(/tensorflow|pyodide|zod|src\/(commands|engine|model|reward)/);
  });
});
