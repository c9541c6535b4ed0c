// How fast the sandbox is here: starting, small programs, programs that use sympy.
// Run: npx tsx scripts/bench-sandbox.ts [workers]
import { cpus } from "node:os";
import { createSandbox } from "../src/reward/sandbox/sandbox.ts";

const PROGRAMS = 2000;
const SYMPY_PROGRAMS = 20;

const smallProgram = (index: number) => `def solution():
    """A farmer has ${index} cows, buys 3 times as many, and sells a quarter of them. How many are left?"""
    cows = ${index}
    bought = cows * 3
    sold = (cows + bought) / 4
    result = cows + bought - sold
    return result
`;

const sympyProgram = (index: number) => `from sympy import symbols, solve, Eq
def solution():
    x = symbols("x")
    return solve(Eq(2 * x + 3, ${index}), x)[0]
`;

const workers = Number(process.argv[2] ?? 2);
const seconds = async (work: () => Promise<unknown>): Promise<number> => {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
};
const report = (name: string, value: string) => console.log(`${name.padEnd(34)} ${value}`);

report("processor", `${cpus()[0]?.model.trim()}, ${cpus().length} cores, Node ${process.version}`);
const limits = { timeoutSeconds: 10, workers, memoryMegabytes: 512 };
const first = await createSandbox(limits); // makes the snapshot if there is none
await first.close();

let sandbox = first;
const start = await seconds(async () => {
  sandbox = await createSandbox(limits);
});
report("start with self-test, s", start.toFixed(2));

const runAll = (count: number, program: (index: number) => string) =>
  seconds(() => Promise.all(Array.from({ length: count }, (_, i) => sandbox.run(program(i)))));

await runAll(50, smallProgram);
const small = await runAll(PROGRAMS, smallProgram);
report(`small programs per second, ${workers} guests`, (PROGRAMS / small).toFixed(0));

const replaced = await seconds(async () => {
  for (let i = 0; i < 4; i++) {
    await Promise.all(Array.from({ length: workers }, () => sandbox.run("import os\nos._exit(1)")));
  }
  await sandbox.run(smallProgram(1));
});
report("replacing a guest that broke, s", (replaced / 4).toFixed(2));

const firstSympy = await seconds(() => sandbox.run(sympyProgram(1)));
report("first program with sympy, s", firstSympy.toFixed(2));
await runAll(workers * 2, sympyProgram);
const sympy = await runAll(SYMPY_PROGRAMS, sympyProgram);
report(`sympy programs per second, ${workers} guests`, (SYMPY_PROGRAMS / sympy).toFixed(1));
await sandbox.close();
