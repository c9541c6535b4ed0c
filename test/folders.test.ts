import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { main } from "../src/cli.ts";
import { isThere, makeFolder, nameAside, tryFolder } from "../src/folders.ts";
import { captureOutput } from "./support/captureOutput.ts";
import { userErrorOf } from "./support/runs.ts";
import { temporaryFolder } from "./support/temporaryFolder.ts";

const said = captureOutput();

let home = "";
beforeEach(() => {
  home = temporaryFolder();
});

test.each([
  ["a file further up", "/dev/null/x"],
  ["too long a name", `/${"x".repeat(300)}`],
  ["too long a path", "/x".repeat(3000)],
  ["a zero byte", "/x\0"],
])("nothing is at a path with %s", (_, path) => {
  expect(isThere(path)).toBe(false);
});

test("a name aside takes the place of those that killed processes have left, and of no others", () => {
  const { pid: dead } = spawnSync("true");
  const names = [dead, process.ppid].map((pid) => `.a.json.${pid}.tmp`);
  for (const name of [...names, `.b.json.${dead}.tmp`, "a.json"])
    writeFileSync(join(home, name), "");
  expect(nameAside(join(home, "a.json"))).toBe(join(home, `.a.json.${process.pid}.tmp`));
  expect(readdirSync(home).toSorted()).toEqual(
    [names[1], `.b.json.${dead}.tmp`, "a.json"].toSorted(),
  );
});

describe("makeFolder", () => {
  test("makes a folder and those around it, also below a link, and leaves what is there", () => {
    symlinkSync(join(home, "real"), join(home, "link"));
    mkdirSync(join(home, "real"));
    for (const path of ["a/b/c", "a/b/c", "link/d", "."]) {
      makeFolder(join(home, path));
      expect(statSync(join(home, path)).isDirectory()).toBe(true);
    }
    expect(readdirSync(home).toSorted()).toEqual(["a", "link", "real"]);
  });

  test.each([
    ["file", "'HOME/file': a file stands where a folder is expected"],
    ["file/a/b", "'HOME/file/a': a file stands where a folder is expected"],
    ["dangling", "HOME/dangling: found a link to something that is not there; put that back"],
    ["dangling/a", "HOME/dangling: found a link to something"],
    ["circle/a", "HOME/circle/a': the links there lead in a circle"],
  ])("says what is in the way of %s", async (path, message) => {
    writeFileSync(join(home, "file"), "");
    symlinkSync(join(home, "nowhere"), join(home, "dangling"));
    symlinkSync(join(home, "circle"), join(home, "circle"));
    const refusal = await userErrorOf(() => makeFolder(join(home, path)));
    expect(refusal).toContain(message.replaceAll("HOME", home));
    expect(existsSync(join(home, "nowhere"))).toBe(false);
  });

  test.skipIf(!existsSync("/proc/self"))("is refused below /proc", async () => {
    expect(await userErrorOf(() => makeFolder("/proc/x/y"))).toMatch(
      /^\/proc\/x: nothing can be made there .*; give another path$/,
    );
    expect(await userErrorOf(() => tryFolder("/proc"))).toContain("nothing can be made there");
  });

  describe("from a folder that was removed", () => {
    const before = process.cwd();
    afterEach(() => process.chdir(before));

    test("says so", async () => {
      const gone = join(home, "gone");
      mkdirSync(gone);
      process.chdir(gone);
      rmdirSync(gone);
      expect(await userErrorOf(() => makeFolder("a"))).toContain(
        "the folder that this was called from was removed; change to another one",
      );
    });
  });
});

describe("tryFolder", () => {
  test("leaves everything as it was", () => {
    tryFolder(join(home, "a", "b"));
    tryFolder(home);
    expect(readdirSync(home)).toEqual([]);
  });

  const mount = ["-rm", "sh", "-c", 'mount -t tmpfs -o ro tmpfs "$0" && shift 0 && "$@"'];
  const canMount = spawnSync("unshare", [...mount, "/mnt", "true"]).status === 0;

  test.skipIf(!canMount).each(["", "/a/b"])(
    "says that a disk is read-only (%s, unshare)",
    (below) => {
      const script = `import { tryFolder } from "./src/folders.ts";
      try { tryFolder(process.argv[1]) } catch ({ message }) { console.log(message) }`;
      const node = [process.execPath, "--import", "tsx", "--input-type=module", "-e", script];
      const child = spawnSync("unshare", [...mount, home, ...node, home + below], {
        encoding: "utf8",
      });
      expect(child.stdout).toContain("EROFS: read-only file system");
      expect(child.stderr).toBe("");
    },
  );
});

describe.skipIf(!existsSync("/proc/self"))("a command", () => {
  const generated = ["prepare-data", "generated", "--cot", "python"];
  const train = ["train-sft", "--config", "configs/tiny/warmup.yaml"];
  const recipe = ["run", "--config", "configs/tiny/recipe.yaml"];
  const asking = ["--model", "nowhere", "--data", "nowhere.jsonl"];

  // Nothing is read or run before: the inputs of the last two do not exist.
  test.each([
    ["prepare-data", generated, "/proc/x/y"],
    ["train-sft", train, "/proc/x/y"],
    ["run", recipe, "/proc/x/y"],
    ["evaluate", ["evaluate", ...asking], "/proc/x/y"],
    ["sample", ["sample", "--samples", "2", ...asking], "/proc/x/y.jsonl"],
  ])("%s refuses an output that cannot be made before any work", async (name, command, output) => {
    rmSync(home, { recursive: true });
    expect(await main([...command, "--output", output])).toBe(1);
    expect(said.stderr).toMatch(
      new RegExp(`^reft ${name}: /proc/x: nothing can be made there .*; give another path\n$`),
    );
  });
});
