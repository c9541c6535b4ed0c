// Hostile programs in guests that go on afterwards: some of the list that `npm run test:attacks` runs whole, and what a guest is
// said to do about them.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Guest } from "../../../src/reward/sandbox/guestProcess.ts";
import { createPool } from "../../../src/reward/sandbox/pool.ts";
import { createSandbox, plainGuestStarter } from "../../../src/reward/sandbox/sandbox.ts";
import { program, withBait } from "../../support/attacks/attack.ts";
import { asReward, honestReward } from "../../support/attacks/honest.ts";
import { attacks } from "../../support/attacks/index.ts";
import { fight, type Host, layBait } from "../../support/attacks/run.ts";

const startGuest = plainGuestStarter(512 * 2 ** 20, 1);
let host: Host;
beforeAll(async () => {
  host = await layBait();
});
afterAll(() => host.remove());

// Every fortieth, but none of those that wait for a limit.
const some = attacks.filter(
  ({ group }, index) => index % 40 === 11 && group !== "time" && group !== "memory",
);

test("some of the attacks do no harm, and cost no guest", async () => {
  let guests = 0;
  const boot = () => {
    guests++;
    return startGuest();
  };
  const pool = createPool({ size: 1, keepWarm: true, timeoutSeconds: 60, boot });
  const fought = await fight(some, host, (text) => pool.run(text));
  await pool.close();
  expect(fought.flatMap(({ attack, harm }) => harm.map((what) => [attack.name, what]))).toEqual([]);
  expect(fought.length).toBeGreaterThan(20);
  expect(guests).toBe(1);
});

test("no more do they as rewards", async () => {
  const sandbox = await createSandbox({ timeoutSeconds: 60, workers: 1, memoryMegabytes: 256 });
  for (const attack of some.filter((_, index) => index % 2 === 0)) {
    const outcome = await sandbox.score(asReward(withBait(attack, host.bait)), "four", {});
    expect(outcome.kind).not.toBe("infrastructure");
    expect(host.harm(JSON.stringify(outcome))).toEqual([]);
    const next = await sandbox.score(honestReward, "four", { answer: 4 });
    expect(next).toEqual({ kind: "answer", value: '{"score": 1.0, "vote": "FOUR"}' });
  }
  await sandbox.close();
});

describe("a guest", () => {
  let guest: Guest;
  beforeAll(async () => {
    guest = await startGuest();
  });
  afterAll(() => guest.kill());
  const ask = (body: string) => guest.ask(program(body));

  test.each([
    ["a refused call", "import os\nreturn os.system('x')", "reached for _emscripten_system"],
    ["its end", "import os\nos._exit(7)", "ended its interpreter"],
    ["its abortion", "import os\nos.abort()", "ended its interpreter"],
    ["a stack that overflows", "x = []\nfor _ in range(10**5): x = [x]\nreturn repr(x)", "broke"],
    [
      "wild writes",
      "import _ctypes\n_ctypes.call_function(_ctypes._memset_addr, (1024, 255, 30000000))",
      "",
    ],
  ])("goes on after %s", async (_, body, reason) => {
    const said = expect.stringContaining(reason);
    expect(await ask(body)).toMatchObject({ kind: "X", retire: false, text: said });
    expect(await ask("return 6 * 7")).toMatchObject({ kind: "V", text: "42.0" });
  });

  test("has no file of the host, and none that could be written", async () => {
    for (const path of ["/etc/passwd", "/dev/random", "/dev/urandom"])
      expect((await ask(`return open('${path}').read()`)).text).toContain("FileNotFoundError");
    const folders = await ask("import os\nreturn ' '.join(sorted(os.listdir('/')))");
    expect(folders.text).toBe("dev home lib proc tmp");
    expect((await ask("open('/tmp/x', 'w').write('x')")).text).toContain("PermissionError");
  });

  test("knows no environment, no path and no argument of the host", async () => {
    expect((await ask("import os\nreturn ' '.join(os.environ)")).text).not.toContain("REFT");
    expect((await ask("import sys\nreturn sys.executable")).text).toBe("/usr/bin/python3");
    expect((await ask("import sys\nreturn repr(sys.argv)")).text).not.toContain("/work");
  });
});

// The part of the WebAssembly API that is used below; Node's types leave it out.
interface WasmApi {
  readonly Module: {
    new (bytes: Uint8Array): object;
    imports(module: object): { module: string; name: string; kind: string }[];
  };
}

// New imports of a new pyodide are barred by default; the allowed ones might mean something else.
test("pyodide asks the host for exactly the functions that were examined", () => {
  const wasm = createRequire(import.meta.url).resolve("pyodide/pyodide.asm.wasm");
  const { Module } = (globalThis as unknown as { WebAssembly: WasmApi }).WebAssembly;
  const names = Module.imports(new Module(readFileSync(wasm)))
    .filter(({ kind }) => kind === "function")
    .map(({ module, name }) => `${module}.${name}`)
    .sort();
  expect(names).toHaveLength(268);
  const digest = createHash("sha256").update(names.join("\n")).digest("hex");
  expect(digest).toBe("bb0d505a1b88b18e0950f2340718b03e2853ab2472d4b1d8c61cc144e8b5d5cf");
});
