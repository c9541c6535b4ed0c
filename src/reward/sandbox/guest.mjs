// The child process that runs generated programs: Python (pyodide) behind a WebAssembly boundary that is
// closed, once and for all, before the first program. Plain JavaScript, because Node starts it as it is.
// docs/sandbox.md tells what each layer stops.
import { Buffer } from "node:buffer";
import crypto from "node:crypto";
import { readFileSync, constants as systemConstants } from "node:fs";
import { deserialize, serialize } from "node:v8";
import { CARDS, PAGE, REACH, trackWrites } from "./trackWrites.mjs";

/**
 * @typedef {object} GuestSettings Given as JSON in the first argument.
 * @property {string} pyodide - URL of pyodide's module.
 * @property {string[]} wheels - Python wheels that programs can import from.
 * @property {string} prepare - Python run at boot; programs find loaded what it loads.
 * @property {string[]} names - Modules that a program finds in its globals without importing them.
 * @property {string} [snapshot] - File with the memory of an earlier boot with the same settings, behind its hash.
 * @property {boolean} makeSnapshot - Send such a snapshot to the parent instead of running programs.
 * @property {number} maxMemoryBytes - Python's memory may not grow beyond this.
 * @property {number} verifyEvery - After every so many programs all of memory is compared with its clean state.
 */

const host = globalThis.process;
/** @type {GuestSettings} */
const settings = JSON.parse(host.argv[2] ?? "{}");
const send = host.send.bind(host);
const exit = host.exit.bind(host);

const OUTPUT_BUDGET_BYTES = 8 * 1024 * 1024;
// Wasm memory never shrinks: a guest that grew beyond this is replaced after its program.
const RETIRE_ABOVE_BYTES = 256 * 1024 * 1024;
// Below the limit that `ulimit -t` sets where a guest cannot be tied to its parent's life otherwise.
const RETIRE_AFTER_CPU_SECONDS = 60;
const MESSAGE_CHARACTERS = 500;
/** Longest text that an answer, and that a score with its figures, may be. */
const ANSWER_CHARACTERS = 200;
const SCORE_CHARACTERS = 20_000;
/** The first letter of what Python's side replies: (V)alue, (S)tring, (N)o answer, (E)rror. */
const KINDS = "VSNE";
const NO_REPLY = "the program replaced its result by something that is none";
const PAGE_BYTES = 65536;
const SNAPSHOT_HASH_BYTES = 32; // the parent has compared it
const PROGRAM_FILE = "/home/pyodide/program.py";
const TRIAL = "def solution():\n    return 1\n";

// Everything that Python may still ask of JavaScript once programs run. The rest (268 imports in all, among
// them the shell, sockets, dlopen, ffi and every way to a JavaScript object) ends the program.
const ALLOWED_IMPORTS = new Set(
  [
    // calls between C functions, conversion of the result string, checks without effect
    "_PyEM_TrampolineCall_JS JsvError_Check JsvNoValue_Check can_run_sync_js",
    "_python2js_ascii _python2js_ucs1 _python2js_ucs2 _python2js_ucs4",
    "_Py_CheckEmscriptenSignals_Helper _Py_emscripten_runtime __call_sighandler",
    // counters of what keeps the interpreter alive, which nobody asks: its ends are guarded below
    "emscripten_runtime_keepalive_push emscripten_runtime_keepalive_pop",
    "_emscripten_runtime_keepalive_clear",
    // clocks, random bytes, Emscripten's own made-up environment, memory
    "clock_time_get clock_res_get emscripten_get_now emscripten_date_now random_get",
    "_localtime_js _gmtime_js _mktime_js _timegm_js _tzset_js environ_get environ_sizes_get",
    "emscripten_resize_heap emscripten_get_heap_max",
    // reading the in-memory file system (imports of standard modules), writing output into the void
    "__syscall_openat __syscall_stat64 __syscall_lstat64 __syscall_fstat64 __syscall_newfstatat",
    "__syscall_faccessat __syscall_getdents64 __syscall_getcwd __syscall_fcntl64 __syscall_ioctl",
    "__syscall_getuid32_js __syscall_readlinkat",
    "fd_read fd_write fd_close fd_seek fd_pread fd_sync fd_fdstat_get",
  ].flatMap((line) => line.split(" ")),
);

// Open for the boot, closed before the first program, never opened again: what an earlier program left behind
// (finalizers, patched built-ins) would otherwise run with the boundary open.
let latched = false;
let writtenBytes = 0;
/** @type {string | undefined} */
let violation;
let guardedImports = 0;
/** @type {WebAssembly.Exports | undefined} */
let wasm;
/** Python's WebAssembly, rewritten to keep account of what it writes, and where it keeps it. */
let tracked;

function expel(reason) {
  violation ??= reason;
  throw new Error(reason);
}

/** An end of the interpreter, which would leave JavaScript's side of it ended, too. */
const ended =
  (original) =>
  (...values) => {
    if (latched) expel("the program ended its interpreter");
    return original(...values);
  };

const guards = {
  exit: ended,
  proc_exit: ended,
  _abort_js: ended,
  __assert_fail: ended,
  fd_write: (original) => (fd, vectors, count, written) => {
    if (latched) {
      const words = new Uint32Array(wasm.memory.buffer);
      for (let i = 0; i < count; i++) writtenBytes += words[(vectors >>> 2) + 2 * i + 1] ?? 0;
      if (writtenBytes > OUTPUT_BUDGET_BYTES) {
        expel(`the program wrote more than ${OUTPUT_BUDGET_BYTES >> 20} MiB of output`);
      }
    }
    return original(fd, vectors, count, written);
  },
  fd_close: (original) => (fd) => (latched && fd <= 2 ? 0 : original(fd)),
  __syscall_openat: (original) => (folder, path, flags, mode) => {
    const writes = 0o1103; // O_WRONLY | O_RDWR | O_CREAT | O_TRUNC
    const accessDenied = -2; // WASI's EACCES
    return latched && flags & writes ? accessDenied : original(folder, path, flags, mode);
  },
};

const barred = (name, original) =>
  function (...values) {
    if (latched) expel(`the program reached for ${name}, which the sandbox closes`);
    return original.apply(this, values);
  };

/** Replaces every imported function by its guarded form, in place: dlsym looks them up in the same object. */
function guardImports(imports) {
  for (const table of new Set([imports.env, imports.wasi_snapshot_preview1])) {
    for (const [name, original] of Object.entries(table ?? {})) {
      if (typeof original !== "function") continue;
      const guard = guards[name]?.(original);
      if (!guard && ALLOWED_IMPORTS.has(name)) continue;
      table[name] = Object.assign(guard ?? barred(name, original), { sig: original.sig });
      guardedImports++;
    }
  }
}

// The real one, for what must not mark.
const Bytes = globalThis.Uint8Array;

// Python's chance: the same bytes in every program, on every machine. Pyodide asks this function for them.
let chance = 0;
crypto.randomFillSync = (view) => {
  const bytes = new Bytes(view.length).map(() => {
    chance = Math.imul(chance, 1664525) + 1013904223; // a linear congruential generator modulo 2**32 (Numerical Recipes)
    return chance >>> 24;
  });
  view.set(bytes);
  return view;
};

const instantiate = WebAssembly.instantiate;
WebAssembly.instantiate = async (source, imports, ...rest) => {
  const isPython = imports?.env !== undefined;
  if (!isPython) return instantiate.call(WebAssembly, source, imports, ...rest);
  if (wasm) throw new Error("a second Python");
  resizeHeap = imports.env.emscripten_resize_heap;
  guardImports(imports);
  tracked = snapshot?.tracked ?? trackWrites(new Uint8Array(source));
  const result = await instantiate.call(WebAssembly, tracked.bytes, imports, ...rest);
  wasm = result.instance.exports;
  // Python's heap begins above the cards, before anything has been taken from it.
  const heapStart = wasm.sbrk(tracked.cards + CARDS - wasm.sbrk(0));
  if (heapStart > tracked.cards - PAGE) throw new Error("the cards lie in Python's heap");
  growTo(wasm.memory, snapshot?.memory.length ?? 0);
  return result;
};

let resizeHeap;
let renewing = false;
const grow = WebAssembly.Memory.prototype.grow;
WebAssembly.Memory.prototype.grow = function (pages) {
  if (renewing) return grow.call(this, 0);
  if (this.buffer.byteLength + pages * PAGE_BYTES > settings.maxMemoryBytes) {
    throw new RangeError("the program's memory is used up"); // Python turns it into a MemoryError
  }
  return grow.call(this, pages);
};

// Pyodide 314 copies a snapshot into memory without making room for it.
function growTo(memory, bytes) {
  const missing = bytes - memory.buffer.byteLength;
  if (missing > 0) memory.grow(Math.ceil(missing / PAGE_BYTES));
}

const VIEWS = [
  "Int8Array Uint8Array Uint8ClampedArray Int16Array Uint16Array Int32Array Uint32Array",
  "Float32Array Float64Array BigInt64Array BigUint64Array",
].flatMap((line) => line.split(" "));

/** Sets the cards of bytes that JavaScript has written, as the rewritten WebAssembly does for its own. */
function mark(start, length) {
  if (length <= 0) return;
  const last = Math.floor((start + length - 1) / PAGE);
  new Bytes(wasm.memory.buffer, tracked.cards, CARDS).fill(1, Math.floor(start / PAGE), last + 1);
}

/** The view behind each marking one. */
const realViews = new WeakMap();
const real = (value) => realViews.get(value) ?? value;

/** A view of Python's memory that marks what is written through it; a method that is not known marks everything. */
function markingView(view) {
  const { BYTES_PER_ELEMENT: size, byteOffset } = view;
  const called = (name, method, values) => {
    const result = method.apply(view, values.map(real));
    if (name === "set") mark(byteOffset + (values[1] ?? 0) * size, values[0].length * size);
    else if (name === "subarray") mark(result.byteOffset, result.byteLength);
    else if (name !== "slice") mark(0, wasm.memory.buffer.byteLength);
    return result;
  };
  const marking = new Proxy(view, {
    get(_, name) {
      const value = view[name];
      return typeof value === "function" ? (...values) => called(name, value, values) : value;
    },
    set(_, index, value) {
      view[index] = value;
      mark(byteOffset + Number(index) * size, size);
      return true;
    },
    defineProperty: () => false,
  });
  realViews.set(marking, view);
  return marking;
}

/**
 * From now on JavaScript gets marking views of Python's memory, whoever makes them. Those made before come to their
 * end with the buffer that they look at: pyodide makes its own anew, as it does when memory grows.
 */
function markViews() {
  for (const name of VIEWS) {
    globalThis[name] = new Proxy(globalThis[name], {
      construct(View, values) {
        const view = new View(...values.map(real));
        return values[0] === wasm.memory.buffer ? markingView(view) : view;
      },
    });
  }
  const { isView } = ArrayBuffer;
  ArrayBuffer.isView = (value) => isView(real(value));
  const { buffer } = wasm.memory;
  renewing = true;
  resizeHeap(buffer.byteLength + 1);
  renewing = false;
  if (buffer.byteLength > 0) throw new Error("old views of Python's memory are still open");
}

/** Keeps a copy of Python's memory; returns what puts it back. */
function keepMemory() {
  const { cards: address } = tracked;
  const cardsOf = (memory) => memory.subarray(address, address + memory.length / PAGE);
  // The cards of the cards' own pages and of the page before: one is set if anything stores into them.
  const areMeddledWith = (cards) =>
    cards.subarray(address / PAGE - 1, (address + CARDS) / PAGE).includes(1);
  const booted = new Bytes(wasm.memory.buffer);
  if (areMeddledWith(cardsOf(booted))) throw new Error("Python takes the memory of the cards");
  cardsOf(booted).fill(0);
  const clean = booted.slice();
  let programs = 0;
  return (verify) => {
    const memory = new Bytes(wasm.memory.buffer);
    const cards = cardsOf(memory);
    const putBack = (start, end) => {
      memory.set(clean.subarray(start, end), Math.min(start, clean.length));
      memory.fill(0, Math.max(start, clean.length), end);
    };
    if (areMeddledWith(cards)) putBack(0, memory.length);
    for (let page = cards.indexOf(1); page >= 0; page = cards.indexOf(1, page + 1)) {
      putBack(page * PAGE, page * PAGE + REACH);
    }
    cards.fill(0);
    if (++programs % settings.verifyEvery > 0 && !verify) return;
    const rest = memory.subarray(clean.length);
    const isSame = Buffer.compare(memory.subarray(0, clean.length), clean) === 0;
    const isEmpty = !rest[0] && Buffer.compare(rest.subarray(1), rest.subarray(0, -1)) === 0;
    if (!isSame || !isEmpty) throw new Error("memory was not put back");
  };
}

// Runs one program and packs what came of it into one string: a letter for the kind, then value or message.
// A value's own type decides what it is, not what its methods say of it; its text and its type's name are copied out of it by
// the built-in types' own methods. Only `__float__` of a value and `__str__` of an exception are asked.
const RUNNER = `
def make_runner(names, LIMIT):
    import builtins, math, sys
    plain_text = str.__str__
    name_of = type.__dict__['__name__'].__get__
    sympy = names.get('sympy')
    holders = [list, tuple, set, frozenset] + ([sympy.Tuple, sympy.FiniteSet] if sympy else [])

    def only(value):
        kind = type(value)
        if any(kind is holder for holder in holders) and len(value) == 1:
            [value] = value
        return value

    def type_name(value):
        return 'None' if value is None else plain_text(name_of(type(value)))[:LIMIT]

    def answer(value):
        value = only(only(value))  # twice: linsolve() gives a set that holds a tuple
        kind = type(value)
        if kind is bool:
            return 'N' + f'solution() returned the truth value {value}'
        if issubclass(kind, str):
            text = plain_text(value)
            if len(text) > LIMIT:
                return 'N' + f'solution() returned text of {len(text)} characters'
            return 'S' + text
        try:
            number = math.ldexp(value, 0)  # as float(), which would also read the digits in bytes
        except OverflowError:
            return 'N' + f'solution() returned a {type_name(value)} too large for a number'
        except BaseException:
            return 'N' + f'solution() returned {type_name(value)}'
        if not math.isfinite(number):
            return 'N' + f'solution() returned {number!r}'
        return 'V' + repr(number)

    def line():
        trace, found = sys.exc_info()[2], None
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == '<program>':
                found = trace.tb_lineno
            trace = trace.tb_next
        return '' if found is None else f' (line {found})'

    def run():
        scope = {'__name__': '__program__', '__builtins__': builtins}
        scope.update(names)
        try:
            with open('${PROGRAM_FILE}', encoding='utf-8') as file:
                source = file.read()
            exec(compile(source, '<program>', 'exec', dont_inherit=True), scope)
            if 'solution' not in scope:
                return 'E' + 'the program does not define solution()'
            return answer(scope['solution']())
        except BaseException as error:
            try:
                return 'E' + f'{type_name(error)}: {plain_text(str(error))[:LIMIT]}' + line()
            except BaseException:
                return 'E' + 'an error that cannot be described'

    return run
`;

/** Boots Python with everything that programs may use already imported. */
async function boot() {
  // Pyodide's file layer asks for this; Node's permission model forbids the real one.
  host.binding = (name) => {
    if (name === "constants") return { fs: systemConstants };
    throw new Error(`process.binding(${name}) is closed`);
  };
  const { loadPyodide } = await import(settings.pyodide);
  const python = await loadPyodide({
    jsglobals: Object.create(null),
    env: { HOME: "/home/pyodide", PYTHONHASHSEED: "0" },
    _sysExecutable: "/usr/bin/python3",
    stdin: () => null,
    stdout: () => {},
    stderr: () => {},
    ...(snapshot ? { _loadSnapshot: snapshot.memory.slice() } : {}),
    ...(settings.makeSnapshot ? { _makeSnapshot: true } : {}),
  });
  // Python imports from them as they are. The in-memory file system is not in a snapshot, the path is.
  for (const wheel of settings.wheels) {
    const place = `/lib/${wheel.split("/").at(-1)}`;
    python.FS.writeFile(place, new Uint8Array(readFileSync(wheel)));
    if (!snapshot) python.runPython(`__import__("sys").path.append(${JSON.stringify(place)})`);
  }
  // In a scope of its own; what JSON quotes, Python reads as the same text.
  if (!snapshot) python.runPython(`exec(${JSON.stringify(settings.prepare)}, {})`);
  return python;
}

/** Removes what JavaScript code could use against the host. Nothing should ever run that needs it. */
function dropHostGlobals() {
  for (const name of Object.getOwnPropertyNames(globalThis)) {
    if (
      /^(fetch|require|process|Buffer|DataView|[A-Z].*(Socket|Source|Request|Channel|Port|Worker)|Worker|Request|Response)$/.test(
        name,
      )
    ) {
      delete globalThis[name];
    }
  }
}

/** Closes the boundary and returns `run(program, isScore)`, which leaves no trace in the interpreter. */
function closeBoundary(python) {
  const silence = { write: (bytes) => bytes.length };
  python.setStdout(silence);
  python.setStderr(silence);
  python.setStdin({ error: true });
  python.runPython(RUNNER);
  const names = settings.names.map((name) => `'${name}': __import__('${name}')`).join(", ");
  const runner = (characters) => {
    python.runPython(`run_program = make_runner({${names}}, ${characters})`);
    return python.globals.get("run_program");
  };
  const runForAnswer = runner(ANSWER_CHARACTERS);
  const runForScore = runner(SCORE_CHARACTERS);
  python.runPython("del run_program, make_runner");
  const { FS } = python;
  // They keep bytes between programs, and nobody needs them: os.urandom() asks elsewhere.
  FS.unlink("/dev/random");
  FS.unlink("/dev/urandom");
  // The first call imports and caches; it belongs into the state that every program starts from.
  FS.writeFile(PROGRAM_FILE, TRIAL);
  runForAnswer();
  runForScore();
  if (!wasm || guardedImports < 150) throw new Error("pyodide's imports were not intercepted");
  dropHostGlobals();
  console.error = () => {}; // pyodide says a page about every program that is expelled
  markViews();
  latched = true;

  const putMemoryBack = keepMemory();
  const cleanStack = wasm.__stack_pointer.value;
  const cleanStreams = FS.streams.map((stream) => ({ stream, position: stream?.position }));
  const restore = (verify) => {
    wasm.__stack_pointer.value = cleanStack;
    putMemoryBack(verify);
    FS.streams.length = 0;
    for (const { stream, position } of cleanStreams) {
      if (stream) stream.position = position;
      FS.streams.push(stream);
    }
  };

  const execute = (program, isScore) => {
    chance = 0;
    writtenBytes = 0;
    violation = undefined;
    let result;
    let broken; // Python, in a way that was not foreseen
    try {
      FS.writeFile(PROGRAM_FILE, program);
      result = isScore ? runForScore() : runForAnswer();
    } catch (error) {
      broken = `the program broke the interpreter: ${error?.message ?? error}`;
    }
    if (typeof result !== "string" || wasm.__stack_pointer.value !== cleanStack) {
      broken ??= "the program broke the interpreter";
    } else if (!KINDS.includes(result[0])) broken = NO_REPLY;
    const retire =
      wasm.memory.buffer.byteLength > RETIRE_ABOVE_BYTES || cpuSeconds() > RETIRE_AFTER_CPU_SECONDS;
    const reason = violation ?? broken;
    return reason === undefined
      ? { kind: result[0], text: shorten(result.slice(1), isScore && result[0] === "S"), retire }
      : { kind: "X", text: shorten(reason), retire };
  };
  return (program, isScore) => {
    const reply = execute(program, isScore);
    if (reply.retire) return reply;
    const isBroken = reply.kind === "X";
    try {
      restore(isBroken);
      // What it broke lay in Python's memory; that Python works again is seen before another program needs it.
      if (isBroken) {
        const { kind, text } = execute(TRIAL, false);
        if (kind !== "V" || text !== "1.0") throw new Error("Python does not work any more");
        restore(false);
      }
      return reply;
    } catch {
      return { ...reply, retire: true };
    }
  };
}

// Half a character, cut off or returned, has no place in JSON.
const shorten = (text, isScore = false) =>
  text.slice(0, isScore ? SCORE_CHARACTERS : MESSAGE_CHARACTERS).toWellFormed();
const cpuUsage = host.cpuUsage.bind(host);
const cpuSeconds = () => (cpuUsage().user + cpuUsage().system) / 1e6;

// Ctrl-C and a closed terminal reach the whole group; the parent decides what ends.
for (const signal of ["SIGINT", "SIGHUP"]) host.on(signal, () => {});
host.on("disconnect", () => exit(0));
let snapshot = settings.snapshot
  ? deserialize(readFileSync(settings.snapshot).subarray(SNAPSHOT_HASH_BYTES))
  : undefined;
const python = await boot();
if (settings.makeSnapshot) {
  send({ snapshot: serialize({ memory: python.makeMemorySnapshot(), tracked }) }); // the parent ends this process once it has it
} else {
  snapshot = undefined;
  tracked.bytes = undefined;
  const run = closeBoundary(python);
  host.on("message", ({ id, program, isScore }) => send({ id, ...run(program, isScore) }));
  send({ ready: true });
}
