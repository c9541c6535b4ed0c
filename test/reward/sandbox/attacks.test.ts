// Every known way out of a guest, and every known way to leave something behind in it.
// Each attack runs in a guest that is then NOT replaced (the sandbox would replace it where Python broke): the next program
// must be right in spite of it, and nothing may have happened on this machine.
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Guest } from "../../../src/reward/sandbox/guestProcess.ts";
import { plainGuestStarter } from "../../../src/reward/sandbox/sandbox.ts";
import { temporaryFolder } from "../../support/temporaryFolder.ts";

const MEGABYTE = 1024 * 1024;
const folder = temporaryFolder();
const marker = join(folder, "marker");
const secretFile = join(folder, "secret");
const secret = "a secret of 4711 words";

const program = (body: string) =>
  `def solution():\n    ${body.trim().replaceAll("\n", "\n    ")}\n`;
const innocent = program("import math\nreturn math.sqrt(49) + sum(range(3))");

let server: Server;
let port: number;
let connections = 0;
let guest: Guest;
const startGuest = plainGuestStarter(512 * MEGABYTE, 1);

beforeAll(async () => {
  writeFileSync(secretFile, secret);
  process.env.REFT_TEST_VARIABLE = secret;
  server = createServer((socket) => {
    connections++;
    socket.destroy();
  });
  port = await new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve((server.address() as { port: number }).port));
  });
  guest = await startGuest();
});

afterAll(() => {
  guest.kill();
  server.close();
  delete process.env.REFT_TEST_VARIABLE;
});

/** Runs one attack; checks the host, then an innocent program in the same guest. */
async function attack(body: string) {
  const reply = await guest.ask(
    program(
      body
        .replaceAll("MARKER", JSON.stringify(marker))
        .replaceAll("SECRET", JSON.stringify(secretFile))
        .replaceAll("PORT", String(port)),
    ),
  );
  expect(existsSync(marker)).toBe(false);
  expect(connections).toBe(0);
  expect(JSON.stringify(reply)).not.toContain(secret);
  expect(await guest.ask(innocent)).toMatchObject({ kind: "V", text: "10.0" });
  return reply;
}

const javaScript = `"const fs = process.getBuiltinModule('fs'); fs.writeFileSync(" + repr(MARKER) + ", 'x'); return fs.readFileSync(" + repr(SECRET) + ", 'utf8')"`;

describe("the boundary between Python and JavaScript", () => {
  // "X": the call never left the guest. Others fail inside Python and harm nothing.
  test.each([
    ["os.system", "X", "import os\nreturn os.system('echo x > ' + MARKER)"],
    ["posix.system", "X", "import posix\nreturn posix.system('echo x > ' + MARKER)"],
    ["os.popen", "E", "import os\nreturn os.popen('cat ' + SECRET).read()"],
    [
      "ctypes: system",
      "X",
      "import ctypes\nreturn ctypes.CDLL(None).system(('echo x > ' + MARKER).encode())",
    ],
    [
      "ctypes: emscripten_run_script",
      "X",
      `import ctypes\nreturn ctypes.CDLL(None).emscripten_run_script(b"require('fs').writeFileSync('/tmp/x','')")`,
    ],
    [
      "_ctypes: dlopen, dlsym, call",
      "X",
      `import _ctypes
f = _ctypes.dlsym(_ctypes.dlopen(None, 1), 'system')
return _ctypes.call_function(f, (('echo x > ' + MARKER).encode(),))`,
    ],
    ["ctypes.pythonapi", "X", "import ctypes\nreturn ctypes.pythonapi.PyRun_SimpleString(b'1')"],
    [
      "pyodide_js.mountNodeFS",
      "X",
      "import pyodide_js\npyodide_js.mountNodeFS('/h', '/')\nreturn open('/h' + SECRET).read()",
    ],
    [
      "pyodide_js._module.FS.mount",
      "X",
      "import pyodide_js\nfs = pyodide_js._module.FS\nfs.mount(fs.filesystems.NODEFS, {'root': '/'}, '/mnt')\nreturn open('/mnt' + SECRET).read()",
    ],
    [
      "to_js constructor",
      "X",
      `from pyodide.ffi import to_js\nreturn to_js([1]).constructor.constructor(${javaScript})()`,
    ],
    [
      "create_proxy constructor",
      "X",
      `from pyodide.ffi import create_proxy\nreturn create_proxy(print).constructor.constructor(${javaScript})()`,
    ],
    [
      "_pyodide_core.to_js",
      "X",
      `import _pyodide_core\nreturn _pyodide_core.to_js([1]).constructor.constructor(${javaScript})()`,
    ],
    [
      "a JsProxy found by the garbage collector",
      "X",
      `import gc
tables = [t for t in gc.get_objects() if type(t) is dict]
found = [v for t in tables for v in list(t.values()) if type(v).__name__ == 'JsProxy']
return found[0].constructor.constructor(${javaScript})()`,
    ],
    [
      "the import hook's JavaScript modules",
      "X",
      "import sys\nhook = [f for f in sys.meta_path if hasattr(f, 'jsproxies')][0]\nreturn str(hook.jsproxies['js'].process.env)",
    ],
    ["js.process.exit", "X", "import js\njs.process.exit(42)"],
    ["js.process.env", "X", "import js\nreturn str(js.process.env.REFT_TEST_VARIABLE)"],
    ["js.fetch", "X", "import js\njs.fetch('http://127.0.0.1:PORT/')"],
    ["run_js", "X", `from pyodide.code import run_js\nreturn run_js("process.exit(1)")`],
    ["loadPackage", "X", "import pyodide_js\npyodide_js.loadPackage('sympy')"],
    ["socket", "X", "import socket\nsocket.create_connection(('127.0.0.1', PORT), 1).send(b'x')"],
    ["raw socket", "X", "import socket\nsocket.socket()\nreturn 1"],
    [
      "urllib",
      "X",
      "import urllib.request\nreturn urllib.request.urlopen('http://127.0.0.1:PORT/').read()",
    ],
    [
      "pyfetch",
      "X",
      "import asyncio\nfrom pyodide.http import pyfetch\nasyncio.ensure_future(pyfetch('http://127.0.0.1:PORT/'))",
    ],
    [
      "a task for after the program",
      "X",
      "import asyncio\nasync def later():\n    return 1\nasyncio.ensure_future(later())",
    ],
    ["os.fork", "E", "import os\nreturn os.fork()"],
    ["os.execv", "E", "import os\nos.execv('/bin/sh', ['sh', '-c', 'echo x > ' + MARKER])"],
    [
      "subprocess",
      "E",
      "import subprocess\nreturn subprocess.check_output(['cat', SECRET]).decode()",
    ],
    ["threading", "E", "import threading\nthreading.Thread(target=print).start()"],
  ])("%s fails", async (_, kind, body) => {
    expect(await attack(body)).toMatchObject({ kind, retire: false });
  });

  test("a guest goes on after a refused call, and not after its interpreter broke", async () => {
    const refused = { kind: "X", retire: false, text: expect.stringContaining("reached for") };
    expect(await attack("import os\nreturn os.system('x')")).toMatchObject(refused);
    const broken = { kind: "X", retire: true, text: expect.stringContaining("broke") };
    expect(await attack("import os\nos.abort()")).toMatchObject(broken);
    expect(await attack("import os\nos._exit(7)")).toMatchObject(broken);
  });
});

describe("what a guest can see", () => {
  test("no file of the host", async () => {
    expect((await attack("return open(SECRET).read()")).text).toContain("FileNotFoundError");
    for (const path of ["/etc/passwd", "/dev/random", "/dev/urandom"]) {
      expect((await attack(`return open('${path}').read()`)).text).toContain("FileNotFoundError");
    }
    expect((await attack("import os\nreturn ' '.join(sorted(os.listdir('/')))")).text).toBe(
      "dev home lib proc tmp",
    );
  });

  test("no environment, no path, no argument of the host", async () => {
    const { text } = await attack("import os\nreturn ' '.join(os.environ)");
    expect(text).not.toContain("REFT");
    expect((await attack("import sys\nreturn sys.executable")).text).toBe("/usr/bin/python3");
    expect((await attack("import sys\nreturn repr(sys.argv)")).text).not.toContain("/work");
  });

  test("no file that it could write", async () => {
    const write = "with open('/tmp/x', 'w') as file:\n    file.write('x')";
    expect((await attack(write)).text).toContain("PermissionError");
    for (const call of ["mkdir('/x')", "remove('/home/pyodide/program.py')", "chdir('/')"]) {
      expect((await attack(`import os\nos.${call}`)).kind).not.toBe("V");
    }
  });
});

describe("what a guest leaves behind", () => {
  test.each([
    ["a constant", "import math\nmath.pi = 3", "import math\nreturn math.pi", "3.141592653589793"],
    [
      "a built-in",
      "import builtins\nbuiltins.leak = 1\nbuiltins.float = lambda x: 5",
      "import builtins\nreturn hasattr(builtins, 'leak') + 0 + float('2')",
      "2.0",
    ],
    [
      "a module",
      "import sys\nsys.modules['leak'] = 1",
      "import sys\nreturn len([m for m in sys.modules if m == 'leak'])",
      "0.0",
    ],
    [
      "a removed module",
      "import sys\nsys.modules.clear()\nreturn 1",
      "import json\nreturn len(json.dumps([1]))",
      "3.0",
    ],
    [
      "a patched module",
      "import json\njson.dumps = None",
      "import json\nreturn len(json.dumps([1]))",
      "3.0",
    ],
    [
      "the recursion limit",
      "import sys\nsys.setrecursionlimit(77)",
      "import sys\nreturn sys.getrecursionlimit()",
      "1000.0",
    ],
    [
      "the decimal context",
      "import decimal\ndecimal.getcontext().prec = 2",
      "import decimal\nreturn decimal.getcontext().prec",
      "28.0",
    ],
    [
      "the garbage collector",
      "import gc\ngc.disable()",
      "import gc\nreturn gc.isenabled() + 0",
      "1.0",
    ],
    [
      "a finalizer",
      "class F:\n    def __del__(self):\n        import math\n        math.e = 9\nimport builtins\nbuiltins.f = F()",
      "import math\nreturn math.e",
      "2.718281828459045",
    ],
    [
      "an exit handler",
      "import atexit\natexit.register(print)",
      "import atexit\nreturn atexit._ncallbacks()",
      "1.0",
    ],
    [
      "a trace function",
      "import sys\nsys.settrace(lambda *a: 1 / 0)",
      "import sys\nreturn int(sys.gettrace() is not None)",
      "0.0",
    ],
    [
      "an open file",
      "import builtins\nbuiltins.f = open('/home/pyodide/program.py')\nreturn 1",
      "return open('/home/pyodide/program.py').fileno()",
      "3.0",
    ],
    [
      "closed streams",
      "import os\nfor fd in range(8):\n    try: os.close(fd)\n    except OSError: pass",
      "print('x')\nreturn 4",
      "4.0",
    ],
    [
      "wild writes to memory",
      "import _ctypes\nf = _ctypes._memset_addr\n_ctypes.call_function(f, (2000000, 255, 20000000))",
      "return 5",
      "5.0",
    ],
    [
      "a patched harness",
      "import sys\nsys._getframe(1).f_globals.clear()\nsys._getframe(1).f_builtins.clear()",
      "return abs(-6)",
      "6.0",
    ],
  ])("nothing: %s", async (_, dirty, probe, expected) => {
    await guest.ask(program(dirty));
    expect(await guest.ask(program(probe))).toMatchObject({ kind: "V", text: expected });
  });

  test("chance and hashes start from the same state in every program", async () => {
    const random =
      "import os, random\nreturn random.random() + hash('a') % 1000 + int.from_bytes(os.urandom(2))";
    const first = await guest.ask(program(random));
    expect(first.kind).toBe("V");
    expect((await guest.ask(program(random))).text).toBe(first.text);
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
