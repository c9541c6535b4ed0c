// `reft doctor`: prints what works here and what does not, with what to do.
import type { CommandModule, InferredOptionTypes } from "yargs";
import { UserError } from "../errors.ts";
import { version } from "../setup.ts";
import { doctor, type Finding } from "../tasks/doctor.ts";
import { print } from "../terminal.ts";

const options = {
  json: { type: "boolean", describe: "Print one JSON object, for a report of a defect" },
} as const;

export const doctorCommand: CommandModule<object, InferredOptionTypes<typeof options>> = {
  command: "doctor",
  describe: "Look whether all that training needs works here",
  builder: options,
  handler: async ({ json }) => {
    const findings = await doctor((finding) => {
      if (!json) print(describeFinding(finding));
    });
    if (json) {
      const system = `${process.platform} ${process.arch}`;
      const report = { reft: version(), node: process.versions.node, system, findings };
      print(JSON.stringify(report, null, 2));
    }
    const wrong = findings.filter(({ state }) => state === "failed").map(({ name }) => name);
    if (wrong.length > 0) throw new UserError(`not all is well: ${wrong.join(", ")} failed`);
  },
};

export function describeFinding({ name, state, found, advice }: Finding): string {
  const line = `${state.padEnd(8)} ${name.padEnd(10)} ${found}`;
  return advice === undefined ? line : `${line}\n${" ".repeat(20)}${advice}`;
}
