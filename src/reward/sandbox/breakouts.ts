// Tries to break out of a guest before it is trusted: the sandbox does not run where one attempt succeeds.
import { randomUUID } from "node:crypto";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { UserError } from "../../errors.ts";

// A guest's connection leaves it only after the program has returned; to this machine it takes no longer.
const CONNECTION_MILLISECONDS = 50;

interface Bait {
  /** A file with a secret that no guest may read. */
  readonly secretFile: string;
  /** A file that no guest may create. */
  readonly marker: string;
  /** A port of this machine that no guest may reach. */
  readonly port: number;
}

/** One way out: Python that takes it and returns what it found. Success shows on the host or in the text. */
interface Attempt {
  readonly route: string;
  readonly program: (bait: Bait) => string;
}

const quote = (text: string) => JSON.stringify(text);
const solution = (...lines: string[]) =>
  ["def solution():", ...lines.map((line) => `    ${line}`), ""].join("\n");

// Host code in JavaScript for the routes that reach it: writes the marker and returns the secret.
const javaScript = ({ secretFile, marker }: Bait) =>
  quote(
    `const fs = process.getBuiltinModule('fs'); fs.writeFileSync(${quote(marker)}, 'x');` +
      ` return fs.readFileSync(${quote(secretFile)}, 'utf8')`,
  );

const ATTEMPTS: readonly Attempt[] = [
  {
    route: "host files through open()",
    program: ({ secretFile }) => solution(`return open(${quote(secretFile)}).read()`),
  },
  {
    route: "host files through pyodide_js.mountNodeFS",
    program: ({ secretFile }) =>
      solution(
        "import pyodide_js",
        "pyodide_js.mountNodeFS('/host', '/')",
        `return open('/host' + ${quote(secretFile)}).read()`,
      ),
  },
  {
    route: "host shell through os.system",
    program: ({ marker }) =>
      solution("import os", `os.system(${quote(`echo x > '${marker}'`)})`, "return 1"),
  },
  {
    route: "host shell through ctypes",
    program: ({ marker }) =>
      solution(
        "import ctypes",
        `ctypes.CDLL(None).system(${quote(`echo x > '${marker}'`)}.encode())`,
        "return 1",
      ),
  },
  {
    route: "JavaScript through ctypes and emscripten_run_script",
    program: ({ marker }) =>
      solution(
        "import ctypes",
        `script = ${quote(`require('fs').writeFileSync(${quote(marker)}, 'x')`)}`,
        "ctypes.CDLL(None).emscripten_run_script(script.encode())",
        "return 1",
      ),
  },
  {
    route: "JavaScript through the constructor of a converted list",
    program: (bait) =>
      solution(
        "from pyodide.ffi import to_js",
        `return to_js([1]).constructor.constructor(${javaScript(bait)})()`,
      ),
  },
  {
    route: "JavaScript through pyodide.code.run_js",
    program: (bait) =>
      solution(
        "from pyodide.code import run_js",
        `return run_js('(() => {' + ${javaScript(bait)} + '})()')`,
      ),
  },
  {
    route: "network through a socket",
    program: ({ port }) =>
      solution(
        "import socket",
        `connection = socket.create_connection(('127.0.0.1', ${port}), 1)`,
        "connection.sendall(b'x')",
        "return 1",
      ),
  },
  {
    route: "network through js.fetch",
    program: ({ port }) =>
      solution("import js", `js.fetch('http://127.0.0.1:${port}/')`, "return 1"),
  },
  {
    route: "environment through os.environ",
    program: () => solution("import os", "return chr(10).join(os.environ.values())"),
  },
  {
    route: "environment through js.process",
    program: () => solution("import js", "return str(js.JSON.stringify(js.process.env))"),
  },
];

/** Values that would be a leak if a guest knew them: long ones, which a guest cannot have of its own. */
const environmentSecrets = () =>
  Object.values(process.env).filter((value) => value !== undefined && value.length >= 12);

/**
 * Runs every attempt and then a plain program, which must still give the right answer.
 * @param ask Runs a program in a real guest and returns everything that comes back, as text.
 * @throws UserError naming each way out that is open.
 */
export async function selfTest(ask: (program: string) => Promise<string>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "reft-self-test-"));
  const secret = randomUUID();
  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    socket.destroy();
  });
  try {
    const port = await new Promise<number>((resolve, reject) => {
      server.once("error", reject);
      server.listen(0, "127.0.0.1", () => {
        const address = server.address();
        resolve(typeof address === "object" && address ? address.port : 0);
      });
    });
    const bait = { secretFile: join(folder, "secret"), marker: join(folder, "marker"), port };
    writeFileSync(bait.secretFile, secret);

    const open: string[] = [];
    for (const { route, program } of ATTEMPTS) {
      const asked = program(bait); // has the bait's path, so perhaps TMPDIR: no secret
      const text = await ask(asked);
      const leaked = [secret, ...environmentSecrets()].some(
        (value) => text.includes(value!) && !asked.includes(value!),
      );
      if (leaked || existsSync(bait.marker)) open.push(route);
      rmSync(bait.marker, { force: true });
    }
    const answer = await ask(solution("return 6 * 7"));
    await sleep(CONNECTION_MILLISECONDS);
    if (connections > 0) open.push("network");
    if (open.length > 0) {
      throw new UserError(
        `the sandbox does not hold on this machine, so no generated program is run. Open: ${open.join("; ")}. ` +
          "Expected every attempt to fail; see docs/sandbox.md. Check that node_modules/pyodide is the pinned version.",
      );
    }
    if (!/\b42\b/.test(answer)) {
      throw new UserError(
        `the sandbox does not compute: 6 * 7 gave "${answer}". Run the set-up again.`,
      );
    }
  } finally {
    server.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
