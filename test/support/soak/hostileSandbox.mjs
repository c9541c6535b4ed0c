// A sandbox in which a hostile program runs before every hundredth program that it is given, in the same guests. What comes of it is
// written down and otherwise forgotten, so that a run must end up as one without hostile programs does. scripts/soak.ts tells it how.
import { appendFileSync, readFileSync } from "node:fs";

const { sandbox, programs, log, every } = JSON.parse(process.env.HOSTILE);
const real = await import(sandbox);
const hostile = JSON.parse(readFileSync(programs, "utf8"));

export async function createSandbox(options) {
  const made = await real.createSandbox(options);
  let count = 0;
  const run = async (program) => {
    count++;
    if (count % every === 0) {
      // Another process begins elsewhere in the list.
      const { kind } = await made.run(hostile[(process.pid + count / every) % hostile.length]);
      appendFileSync(log, `${kind}\n`);
    }
    return made.run(program);
  };
  return { ...made, run };
}
