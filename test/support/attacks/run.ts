// Runs attacks, and looks after each whether anything happened: on the host, to programs that come after, or to what is said of it.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Outcome } from "../../../src/reward/outcome.ts";
import { type Attack, type Bait, type Kind, withBait } from "./attack.ts";
import { honest, traces } from "./honest.ts";

/** What came of one attack. */
export interface Fought {
  readonly attack: Attack;
  readonly kind: Kind;
  /** What happened that must not, in words; empty where it did no harm. */
  readonly harm: readonly string[];
}

export interface Host {
  readonly bait: Bait;
  /** What the attacks so far have done to the host, or told in `text`, in words. */
  harm(text: string): string[];
  remove(): void;
}

const secret = "a secret of 4711 words";

/** Lays out bait: a file, an environment variable, a port. */
export async function layBait(): Promise<Host> {
  const folder = mkdtempSync(join(tmpdir(), "bait-"));
  const [marker, secretFile] = [join(folder, "marker"), join(folder, "secret")];
  writeFileSync(secretFile, secret);
  process.env.REFT_TEST_VARIABLE = secret;
  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  return {
    bait: { marker, secretFile, port },
    harm: (text) =>
      [
        existsSync(marker) && "wrote a file of the host",
        readFileSync(secretFile, "utf8") !== secret && "changed a file of the host",
        connections > 0 && "reached the network of the host",
        text.includes(secret) && "told a secret of the host",
      ].filter((harm) => harm !== false),
    remove: () => {
      server.close();
      rmSync(folder, { recursive: true });
      delete process.env.REFT_TEST_VARIABLE;
    },
  };
}

const LONGEST_OUTCOME = 700;

/** Is it one that this attack may have, of one line? */
export function harmOf({ may }: Attack, outcome: Outcome): string[] {
  const text = JSON.stringify(outcome);
  return [
    !may.includes(outcome.kind) && `has the outcome ${text.slice(0, 200)}`,
    text.length > LONGEST_OUTCOME && `says ${text.length} characters`,
    outcome.kind !== "answer" && /\\u00|\\n|\\ud[89a-f]/.test(text) && "says control characters",
  ].filter((harm) => harm !== false);
}

/** Runs each attack, then two honest programs and a search for traces. */
export async function fight(
  attacks: readonly Attack[],
  { bait, harm }: Host,
  run: (program: string) => Promise<Outcome>,
  onEach: (fought: Fought) => void = () => {},
): Promise<Fought[]> {
  const before = await run(traces);
  if (before.kind !== "answer") throw new Error(`no traces can be searched: ${before.message}`);
  const all: Fought[] = [];
  for (const [index, attack] of attacks.entries()) {
    const outcome = await run(withBait(attack, bait));
    const wrong = [...harmOf(attack, outcome), ...harm(JSON.stringify(outcome))];
    for (const offset of [0, 3]) {
      const [program, answer] = honest[(index + offset) % honest.length]!;
      const found = await run(program);
      if (found.kind !== "answer" || found.value !== answer)
        wrong.push(`then ${program} is ${JSON.stringify(found)}`);
    }
    const after = await run(traces);
    if (after.kind !== "answer" || after.value !== before.value)
      wrong.push(`left traces: ${JSON.stringify(after)}`);
    all.push({ attack, kind: outcome.kind, harm: wrong });
    onEach(all.at(-1)!);
  }
  return all;
}
