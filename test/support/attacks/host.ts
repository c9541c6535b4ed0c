// Attacks on the host: its shell, files, network, environment and processes, from Python, C and JavaScript.
import { type Attack, each, group, nothing, refused, whatever } from "./attack.ts";

const shell = "'echo x > ' + MARKER";

/** Functions of os with arguments that would have an effect or tell something, on a host that lets them. */
const systemCalls: Readonly<Record<string, string>> = Object.fromEntries(
  [
    `system(${shell})`,
    "popen('cat ' + SECRET).read()",
    "fork()",
    "forkpty()",
    `execv('/bin/sh', ['sh', '-c', ${shell}])`,
    `execve('/bin/sh', ['sh', '-c', ${shell}], {})`,
    `execlp('sh', 'sh', '-c', ${shell})`,
    `spawnv(0, '/bin/sh', ['sh', '-c', ${shell}])`,
    `posix_spawn('/bin/sh', ['sh', '-c', ${shell}], {})`,
    "kill(os.getppid(), 9)",
    "kill(1, 9)",
    "kill(-1, 9)",
    "killpg(0, 9)",
    "wait()",
    "waitpid(-1, 0)",
    "nice(19)",
    "setuid(0)",
    "setgid(0)",
    "setsid()",
    "setpgid(0, 0)",
    "umask(0)",
    "chdir('/tmp')",
    "chroot('/tmp')",
    "mkdir(MARKER)",
    "mkfifo(MARKER)",
    "mknod(MARKER)",
    "symlink('/', '/tmp/host')",
    "link(SECRET, '/tmp/host')",
    "rename('/home/pyodide/program.py', '/tmp/x')",
    "remove('/home/pyodide/program.py')",
    "rmdir('/tmp')",
    "chmod('/home/pyodide/program.py', 0)",
    "chown('/home/pyodide/program.py', 1, 1)",
    "utime('/home/pyodide/program.py')",
    "truncate('/home/pyodide/program.py', 0)",
    "open('/home/pyodide/program.py', os.O_RDWR)",
    "open(MARKER, os.O_CREAT | os.O_WRONLY)",
    "openpty()",
    "pipe()",
    "dup(1)",
    "dup2(0, 1)",
    "set_blocking(1, False)",
    "set_inheritable(1, True)",
    "sendfile(1, 0, 0, 9)",
    "pwrite(1, b'x', 0)",
    "writev(1, [b'x'])",
    "lseek(0, 9, 0)",
    "ftruncate(1, 0)",
    "fsync(1)",
    "sync()",
    "isatty(0)",
    "ttyname(0)",
    "memfd_create('x')",
    "eventfd(1)",
    "statvfs('/')",
    "sched_yield()",
    "urandom(10**9)",
    "getrandom(9)",
    "getloadavg()",
    "getlogin()",
    "getgroups()",
    "uname()",
    "sysconf('SC_NPROCESSORS_ONLN')",
    "times()",
    "walk('/proc').__next__()",
    "readlink('/proc/self/exe')",
    "listdir('/proc/1')",
    "scandir('/dev').__next__()",
    "closerange(0, 99)",
  ].map((call) => [`os.${call}`, `import os\nreturn str(os.${call})[:200]`]),
);

const library = "import ctypes\nC = ctypes.CDLL(None)\n";
const cCalls: Readonly<Record<string, string>> = Object.fromEntries(
  [
    `system((${shell}).encode())`,
    `popen((${shell}).encode(), b'w')`,
    `emscripten_run_script(b"require('fs').writeFileSync('/tmp/x', '')")`,
    `emscripten_run_script_string(b"process.env.PATH")`,
    `emscripten_run_script_int(b"process.exit(1)")`,
    "emscripten_async_wget(b'http://127.0.0.1:PORT/', b'/tmp/x', 0, 0)",
    "emscripten_force_exit(3)",
    "emscripten_sleep(1)",
    "emscripten_get_now()",
    "dlopen(b'/lib/x.so', 1)",
    "dlsym(0, b'system')",
    "socket(2, 1, 0)",
    "fork()",
    "vfork()",
    "execve(b'/bin/sh', 0, 0)",
    "kill(0, 9)",
    "raise_(9)",
    "abort()",
    "exit(3)",
    "_exit(3)",
    "open(SECRET.encode(), 0)",
    "fopen(SECRET.encode(), b'r')",
    "unlink(b'/home/pyodide/program.py')",
    "mmap(0, 10**9, 3, 34, -1, 0)",
    "brk(0)",
    "sbrk(10**9)",
    "malloc(-1)",
    "free(12345678)",
    "strlen(0)",
    "longjmp(0, 1)",
    "setenv(b'PATH', b'/', 1)",
    "getenv(b'PATH')",
    "PyRun_SimpleString(b'1')",
    "Py_FinalizeEx()",
    "Py_Exit(3)",
    "PyErr_SetInterrupt()",
    "PyMem_Free(99999999)",
    "Py_AddPendingCall(0, 0)",
  ].map((call) => [
    `C: ${call}`,
    `${library}return C.${call.replace("raise_(", "__getitem__('raise')(")}`,
  ]),
);

/** Ways to an object of JavaScript. */
const doors: Readonly<Record<string, string>> = {
  "to_js()": "from pyodide.ffi import to_js\ndoor = to_js([1])",
  "create_proxy()": "from pyodide.ffi import create_proxy\ndoor = create_proxy(print)",
  "create_once_callable()":
    "from pyodide.ffi import create_once_callable\ndoor = create_once_callable(print)",
  "_pyodide_core.to_js()": "import _pyodide_core\ndoor = _pyodide_core.to_js({1: 2})",
  "the module js": "import js\ndoor = js.Object",
  pyodide_js: "import pyodide_js\ndoor = pyodide_js._module",
  "the import hook":
    "import sys\nhook = [f for f in sys.meta_path if hasattr(f, 'jsproxies')][0]\ndoor = hook.jsproxies['js']",
  "the garbage collector":
    "import gc\ntables = [t for t in gc.get_objects() if type(t) is dict]\ndoor = [v for t in tables for v in list(t.values()) if type(v).__name__ == 'JsProxy'][0]",
  "sys.modules":
    "import sys\ndoor = sys.modules['pyodide_js'] if 'pyodide_js' in sys.modules else sys.modules['js']",
  "run_js()": "from pyodide.code import run_js\ndoor = run_js('Object')",
  jsnull: "from pyodide.ffi import jsnull\ndoor = jsnull",
};

/** What to do with one. */
const deeds: Readonly<Record<string, string>> = {
  "read and write": `return str(door.constructor.constructor("const fs = process.getBuiltinModule('fs'); fs.writeFileSync(" + repr(MARKER) + ", 'x'); return fs.readFileSync(" + repr(SECRET) + ", 'utf8')")())`,
  exit: "door.constructor.constructor('process.exit(7)')()",
  environment: "return str(door.constructor.constructor('return JSON.stringify(process.env)')())",
  fetch: "door.constructor.constructor('fetch(`http://127.0.0.1:PORT/`)')()",
};

const throughDoors = Object.fromEntries(
  Object.entries(doors).flatMap(([door, open]) =>
    Object.entries(deeds).map(([deed, use]) => [`${door}: ${deed}`, `${open}\n${use}`]),
  ),
);

const javaScript: Readonly<Record<string, string>> = {
  ...throughDoors,
  mountNodeFS:
    "import pyodide_js\npyodide_js.mountNodeFS('/h', '/')\nreturn open('/h' + SECRET).read()",
  "FS.mount":
    "import pyodide_js\nfs = pyodide_js._module.FS\nfs.mount(fs.filesystems.NODEFS, {'root': '/'}, '/mnt')\nreturn open('/mnt' + SECRET).read()",
  loadPackage: "import pyodide_js\npyodide_js.loadPackage('sympy')",
  unpack_archive: "from pyodide_js import unpackArchive\nunpackArchive(b'x', 'zip')",
  "js.process.exit": "import js\njs.process.exit(42)",
  "js.process.env": "import js\nreturn str(js.process.env.REFT_TEST_VARIABLE)",
  "js.eval": "import js\nreturn js.eval('process.pid')",
  "js.setTimeout": "import js\njs.setTimeout(print, 1)",
  set_timeout: "from pyodide.ffi.wrappers import set_timeout\nset_timeout(print, 1)",
  add_event_listener:
    "from pyodide.ffi.wrappers import add_event_listener\nimport js\nadd_event_listener(js, 'x', print)",
  open_url: "from pyodide.http import open_url\nreturn open_url('http://127.0.0.1:PORT/').read()",
  pyfetch:
    "import asyncio\nfrom pyodide.http import pyfetch\nasyncio.ensure_future(pyfetch('http://127.0.0.1:PORT/'))",
  "a task for later":
    "import asyncio\nasync def later():\n    return 1\nasyncio.ensure_future(later())",
  "an event loop": "import asyncio\nasync def f():\n    await asyncio.sleep(1)\nasyncio.run(f())",
  run_sync: "from pyodide.ffi import run_sync\nasync def f(): return 1\nreturn run_sync(f())",
  "a loop of the web": "from pyodide.webloop import WebLoop\nWebLoop().call_later(0, print)",
  eval_code_async: "from pyodide.code import eval_code_async\neval_code_async('1').send(None)",
  JsException: "from pyodide.ffi import JsException\nraise JsException('x')",
};

const network: Readonly<Record<string, string>> = {
  create_connection: "import socket\nsocket.create_connection(('127.0.0.1', PORT), 1).send(b'x')",
  ...each(
    "SOCK_STREAM SOCK_DGRAM SOCK_RAW",
    "import socket\ns = socket.socket(socket.AF_INET, socket._)\ns.connect(('127.0.0.1', PORT))\ns.send(b'x')",
  ),
  "a local socket": "import socket\nsocket.socket(socket.AF_UNIX).connect('/tmp/x')",
  "a pair of sockets": "import socket\nreturn str(socket.socketpair())",
  "a server": "import socket\nsocket.create_server(('127.0.0.1', 0)).accept()",
  getaddrinfo:
    "import socket\nreturn str(socket.getaddrinfo('localhost', 80))[:0] + socket.gethostbyname('example.org')",
  gethostname: "import socket\nsocket.gethostname()\nraise KeyError",
  urllib: "import urllib.request\nreturn urllib.request.urlopen('http://127.0.0.1:PORT/').read()",
  "urllib: a file":
    "import urllib.request\nreturn urllib.request.urlopen('file://' + SECRET).read().decode()",
  "http.client":
    "import http.client\nc = http.client.HTTPConnection('127.0.0.1', PORT)\nc.request('GET', '/')",
  ftplib: "import ftplib\nftplib.FTP().connect('127.0.0.1', PORT)",
  smtplib: "import smtplib\nsmtplib.SMTP('127.0.0.1', PORT)",
  xmlrpc: "import xmlrpc.client\nxmlrpc.client.ServerProxy('http://127.0.0.1:PORT/').x()",
  asyncio: "import asyncio\nasyncio.run(asyncio.open_connection('127.0.0.1', PORT))",
  socketserver: "import socketserver\nsocketserver.TCPServer(('', 0), None)",
  select: "import select\nselect.select([0], [], [], 1)\nraise KeyError",
  webbrowser: "import webbrowser\nif not webbrowser.open('http://127.0.0.1:PORT/'): raise KeyError",
  logging:
    "import logging.handlers\nh = logging.handlers.SocketHandler('127.0.0.1', PORT)\nh.createSocket()\nif h.sock is None: raise KeyError",
};

const hostFiles =
  "/etc/passwd /etc/hostname /proc/self/environ /proc/self/cmdline /proc/1/environ /proc/self/maps /proc/self/mem /proc/self/fd/0 /proc/self/root/etc/passwd /dev/mem /dev/shm/x /dev/tty /dev/random /sys/kernel/version /root/.bashrc /home/.ssh/id_rsa ../../../etc/passwd //etc/passwd /./etc/passwd /lib/../etc/passwd file:///etc/passwd";

const files: Readonly<Record<string, string>> = {
  ...each(`SECRET`, "return open(_).read()"),
  ...Object.fromEntries(
    hostFiles.split(" ").map((path) => [path, `return open('${path}', 'rb').read()`]),
  ),
  "os.open": "import os\nreturn os.read(os.open(SECRET, 0), 99).decode()",
  pathlib: "import pathlib\nreturn pathlib.Path(SECRET).read_text()",
  "io.FileIO": "import io\nreturn io.FileIO(SECRET).read()",
  fileinput: "import fileinput\nreturn list(fileinput.input(SECRET))[0]",
  linecache: "import linecache\nreturn linecache.getlines(SECRET)",
  runpy: "import runpy\nreturn runpy.run_path(SECRET)",
  importlib:
    "import importlib.util as u\ns = u.spec_from_file_location('x', SECRET)\ns.loader.exec_module(u.module_from_spec(s))",
  zipimport: "import zipimport\nzipimport.zipimporter(SECRET)",
  shutil: "import shutil\nshutil.copy(SECRET, '/tmp/x')",
  mmap: "import mmap\nreturn mmap.mmap(-1, 9).size() and open(SECRET, 'r+')",
  dbm: "import dbm\ndbm.open(MARKER, 'c')",
  sqlite3: "import sqlite3\nsqlite3.connect(MARKER).execute('create table t(x)')",
  tempfile: "import tempfile\ntempfile.NamedTemporaryFile().write(b'x')",
  "write a marker": "open(MARKER, 'w').write('x')",
  "append to the program": "open('/home/pyodide/program.py', 'a').write('x')",
  "exclusive creation": "open('/tmp/new', 'x')",
  "a log file": "import logging\nlogging.FileHandler('/tmp/log')",
  "an archive": "import zipfile\nzipfile.ZipFile('/tmp/z', 'w')",
  "compiled files":
    "import py_compile\npy_compile.compile('/home/pyodide/program.py', '/tmp/x.pyc', doraise=True)",
  "a descriptor from nowhere": "return open(3, 'w').write('x')",
  "standard input": "return open(0).read(9) + 1",
};

const told: Readonly<Record<string, string>> = Object.fromEntries(
  [
    "os.environ",
    "os.environb",
    "posix.environ",
    "sys.argv",
    "sys.orig_argv",
    "sys.executable",
    "sys.path",
    "sys.flags",
    "sys.modules.keys()",
    "platform.uname()",
    "platform.node()",
    "sysconfig.get_paths()",
    "sysconfig.get_config_vars()",
    "getpass.getuser()",
    "pwd.getpwall()",
    "site.getusersitepackages()",
    "os.getcwd()",
    "os.path.expanduser('~')",
    "locale.getlocale()",
    "tempfile.gettempdir()",
    "time.tzname",
    "multiprocessing.cpu_count()",
    "gc.get_objects()[-99:]",
    "sys._current_frames()",
    "sys._getframe(3).f_globals",
  ].map((what) => [
    what,
    `import gc, locale, os, posix, platform, site, sys, sysconfig, tempfile, time\ntry:\n    import getpass, multiprocessing, pwd\nexcept ImportError: pass\nreturn str(${what})[-200:]`,
  ]),
);

const processes: Readonly<Record<string, string>> = {
  "subprocess.run": "import subprocess\nsubprocess.run(['sh', '-c', 'echo x > ' + MARKER])",
  "subprocess.check_output":
    "import subprocess\nreturn subprocess.check_output(['cat', SECRET]).decode()",
  "subprocess, shell": "import subprocess\nreturn subprocess.getoutput('cat ' + SECRET)",
  _posixsubprocess: "import _posixsubprocess\n_posixsubprocess.fork_exec()",
  "asyncio.subprocess": "import asyncio\nasyncio.run(asyncio.create_subprocess_shell('true'))",
  pty: "import pty\npty.spawn('sh')",
  "multiprocessing.Process":
    "import multiprocessing\nmultiprocessing.Process(target=print).start()",
  "multiprocessing.Pool": "import multiprocessing\nmultiprocessing.Pool(2).map(abs, [1])",
  shared_memory:
    "from multiprocessing import shared_memory\nshared_memory.SharedMemory('x', True, 99)",
  "threading.Thread": "import threading\nthreading.Thread(target=print).start()",
  _thread: "import _thread\n_thread.start_new_thread(print, ())",
  "threading.Timer": "import threading\nthreading.Timer(0, print).start()",
  ThreadPoolExecutor:
    "from concurrent.futures import ThreadPoolExecutor\nreturn ThreadPoolExecutor().submit(abs, 1).result()",
  ProcessPoolExecutor:
    "from concurrent.futures import ProcessPoolExecutor\nreturn ProcessPoolExecutor().submit(abs, 1).result()",
  InterpreterPoolExecutor:
    "from concurrent.futures import InterpreterPoolExecutor\nreturn InterpreterPoolExecutor().submit(abs, 1).result()",
  "another interpreter":
    "import _interpreters\ni = _interpreters.create()\n_interpreters.exec(i, 'import math; math.pi = 3')\nraise KeyError",
  "a lock for ever":
    "import threading\nl = threading.Lock()\nl.acquire()\nl.acquire(timeout=1)\nraise KeyError",
};

export const hostAttacks: readonly Attack[] = [
  ...group("system calls", whatever, systemCalls),
  ...group("C functions", whatever, cCalls),
  ...group("JavaScript", refused, javaScript),
  ...group("network", [...refused, "timeout"], network), // modules that take long to load
  ...group("files", nothing, files),
  ...group("what the host tells", whatever, told),
  ...group("processes and threads", refused, processes),
];
