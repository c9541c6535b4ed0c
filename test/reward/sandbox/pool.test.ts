import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Guest, GuestReply } from "../../../src/reward/sandbox/guestProcess.ts";
import { bootGuest, createPool, outcomeOf } from "../../../src/reward/sandbox/pool.ts";
import { plainGuestStarter } from "../../../src/reward/sandbox/sandbox.ts";
import { guestProcesses } from "../../support/guestProcesses.ts";
import { temporaryFolder } from "../../support/temporaryFolder.ts";

/** How a fake guest takes a program: a reply, the signal that ends it, or silence. */
type Behaviour = (program: string) => Partial<GuestReply> | string | undefined;

function fakeGuest(behaviour: Behaviour, boots = true, computed?: number): Guest {
  let end: (how: string) => void = () => {};
  let alive = true;
  const exited = new Promise<string>((resolve) => {
    end = (how) => {
      alive = false;
      resolve(how);
    };
  });
  const ended = exited.then((how) => Promise.reject(new Error(`the guest ended (${how})`)));
  ended.catch(() => {});
  if (!boots) end("code 1");
  return {
    ready: boots ? Promise.resolve() : ended,
    exited,
    isAlive: () => alive,
    processorSeconds: () => computed,
    ask(program) {
      const result = behaviour(program);
      if (typeof result === "string") end(result);
      if (typeof result !== "object") return ended;
      return Promise.resolve({ id: 1, kind: "V", text: "1", retire: false, ...result });
    },
    kill: () => end("SIGKILL"),
  };
}

function countingPool(behaviour: Behaviour, options: { size?: number; keepWarm?: boolean } = {}) {
  let started = 0;
  const boot = async () => {
    started++;
    return fakeGuest(behaviour);
  };
  const limits = { size: 1, keepWarm: false, timeoutSeconds: 0.05 };
  return { pool: createPool({ ...limits, ...options, boot }), started: () => started };
}

const one = { kind: "answer", value: 1 };

describe("createPool", () => {
  test("starts guests when they are needed, or at once when kept warm", async () => {
    const lazy = countingPool(() => ({}), { size: 3 });
    expect(lazy.started()).toBe(0);
    for (let i = 0; i < 5; i++) expect(await lazy.pool.run("")).toEqual(one);
    expect(lazy.started()).toBe(1);
    const warm = countingPool(() => ({}), { size: 3, keepWarm: true });
    expect(warm.started()).toBe(3);
    await Promise.all([lazy.pool.close(), warm.pool.close()]);
  });

  test("uses a guest again unless it asks to be replaced", async () => {
    const { pool, started } = countingPool((program) => ({ retire: program === "bad" }));
    await pool.run("good");
    await pool.run("bad");
    expect(started()).toBe(1);
    await pool.run("good");
    expect(started()).toBe(2);
    await pool.close();
  });

  test("a silent program times out in a guest of its own", async () => {
    const { pool, started } = countingPool((program) => (program === "loop" ? undefined : {}));
    const [loop, next] = await Promise.all([pool.run("loop"), pool.run("")]);
    expect(loop).toEqual({ kind: "timeout", message: "no answer within 0.05 s of processor time" });
    expect(next).toEqual(one);
    expect(started()).toBe(2);
    await pool.close();
  });

  test("a guest that crashes costs its program, without a second try", async () => {
    let crashes = 0;
    const { pool } = countingPool((program) => {
      if (program !== "crash") return {};
      crashes++;
      return "SIGSEGV";
    });
    const [crash, next] = await Promise.all([pool.run("crash"), pool.run("")]);
    expect(crash).toEqual({ kind: "killed", message: "the guest ended (SIGSEGV)" });
    expect(next).toEqual(one);
    expect(crashes).toBe(1);
    await pool.close();
  });

  test("a guest that somebody else kills gets its program a second try, not a third", async () => {
    let kills = 1;
    const { pool } = countingPool(() => (kills-- > 0 ? "SIGKILL" : {}));
    expect(await pool.run("")).toEqual(one);
    kills = 2;
    expect(await pool.run("")).toEqual({
      kind: "infrastructure",
      message: "the guest ended (SIGKILL)",
    });
    expect(await pool.run("")).toEqual(one);
    await pool.close();
  });

  test("a guest that hangs, though nothing computes, gets its program a second try, not a third", async () => {
    let hangs = 1;
    const boot = async () => fakeGuest(() => (hangs-- > 0 ? undefined : {}), true, 0);
    const pool = createPool({ size: 1, keepWarm: false, timeoutSeconds: 0.02, boot });
    expect(await pool.run("")).toEqual(one);
    hangs = 2;
    const message = "the guest did not get to compute";
    expect(await pool.run("")).toEqual({ kind: "infrastructure", message });
    await pool.close();
  });

  test("stops for good when no guest boots: every program is answered, none hangs", async () => {
    const boot = () => Promise.reject(new Error("no room"));
    const pool = createPool({ size: 2, keepWarm: false, timeoutSeconds: 1, boot });
    const stopped = {
      kind: "infrastructure",
      message: "the sandbox cannot start Python: no room",
    };
    expect(await Promise.all(["a", "b", "c"].map((program) => pool.run(program)))).toEqual([
      stopped,
      stopped,
      stopped,
    ]);
    expect(await pool.run("d")).toEqual(stopped);
    await pool.close();
  });

  test("a number that is none is the program's own doing", () => {
    for (const text of ["nan", "1e999", "", "Z"]) {
      expect(outcomeOf({ id: 1, retire: false, kind: "V", text }).kind).toBe("killed");
    }
  });

  test("messages are one line, whatever the program put into them", () => {
    const reply = { id: 1, retire: false, kind: "E", text: "E: a\r\n\x1b[2Jb\0" } as const;
    expect(outcomeOf(reply)).toEqual({ kind: "error", message: "E: a [2Jb " });
  });
});

describe("bootGuest", () => {
  test("boots without a snapshot that does not load and leaves the file to others", async () => {
    const snapshot = join(temporaryFolder(), "broken.snapshot");
    writeFileSync(snapshot, "not a snapshot");
    const seen: (string | undefined)[] = [];
    const guest = await bootGuest((path) => {
      seen.push(path);
      return fakeGuest(() => ({}), path === undefined);
    }, snapshot);
    expect(seen).toEqual([snapshot, undefined]);
    expect(readFileSync(snapshot, "utf8")).toBe("not a snapshot");
    expect(guest.isAlive()).toBe(true);
  });

  test("gives up after four guests, waiting longer each time", async () => {
    let started = 0;
    const start = performance.now();
    const start4 = bootGuest(() => {
      started++;
      return fakeGuest(() => ({}), false);
    }, undefined);
    await expect(start4).rejects.toThrow("the guest ended (code 1)");
    expect(started).toBe(4);
    expect(performance.now() - start).toBeGreaterThan(100 + 200 + 400 - 5);
  });
});

test.skipIf(!existsSync("/proc/self/stat"))(
  "a real guest that somebody kills or stops costs no program its answer",
  async () => {
    const boot = plainGuestStarter(2 ** 28);
    const pool = createPool({ size: 1, keepWarm: true, timeoutSeconds: 0.1, boot });
    const innocent = "def solution():\n    return 6 * 7";
    for (const signal of ["SIGKILL", "SIGSTOP"] as const) {
      expect(await pool.run(innocent)).toEqual({ kind: "answer", value: 42 });
      const guests = guestProcesses();
      expect(guests).toHaveLength(1);
      process.kill(guests[0]!, signal);
      expect(await pool.run(innocent)).toEqual({ kind: "answer", value: 42 });
    }
    await pool.close();
  },
);
