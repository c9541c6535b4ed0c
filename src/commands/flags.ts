// Flags that several commands have.
import { usualLength } from "../tasks/answerLength.ts";

export const maxNewTokensFlag = {
  type: "number",
  describe: "Longest answer",
  defaultDescription: `${usualLength}, or as many as the model's positions leave`,
} as const;
