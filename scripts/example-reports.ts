// Makes the reports that lie beside examples, by the commands of their pages:
//   npx tsx scripts/example-reports.ts
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { UserError } from "../src/errors.ts";
import { blocksOf } from "./docs/pages.ts";
import { runScript } from "./script.ts";

await runScript("example-reports", async () => {
  for (const name of ["hack", "impossible-gold"]) {
    const folder = join("examples", name);
    for (const made of ["data", "runs"])
      rmSync(join(folder, made), { recursive: true, force: true });
    const page = join(folder, "README.md");
    const [block] = blocksOf(page, page);
    const { status } = spawnSync("bash", ["-e", "-c", block!.code], {
      cwd: folder,
      stdio: "inherit",
    });
    if (status !== 0) throw new UserError(`${page}: its commands ended with ${status}`);
  }
});
