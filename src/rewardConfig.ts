// How answers are found and rewarded, as settings: `data.cotKind` and `reward`, in a run's file and in the flags of `evaluate` and
// `sample`. What they do is in src/reward/.
import { z } from "zod";

/** Ways to find the answer in a written text; all but "nl" give it as it is written. */
const writtenForms = ["nl", "hashes", "boxed", "tags"] as const;
const namedForms = ["python", ...writtenForms, "text", "json", "firstJson"] as const;

/**
 * How the answer is found in what a model wrote:
 *
 * - `python`: what its program returns.
 * - `nl`: the number or choice after "the answer is". `hashes`: what follows the last `####`. `boxed`: what is in the last
 *   `\boxed{}`. `tags`: what is in the last `<answer></answer>`.
 * - a regular expression between slashes, `/Final: (.*)/i`: its last match, or the group of it.
 * - `text`: the whole text. `json`: the last JSON object or array in it; `firstJson`: the first one.
 */
export type AnswerForm = (typeof namedForms)[number] | `/${string}/${string}`;

const pattern = /^\/(.+)\/([a-z]*)$/s;

/** The expression of a form `/.../flags`; undefined for another form, or where it is none. */
export function patternOf(form: string): RegExp | undefined {
  const [, source, flags] = pattern.exec(form) ?? [];
  try {
    return source === undefined ? undefined : new RegExp(source, flags);
  } catch {
    return undefined;
  }
}

/** Is the answer looked for in a written text that may say more than it? */
export function isWritten(form: AnswerForm): boolean {
  return writtenForms.some((name) => name === form) || form.startsWith("/");
}

const expectedForms = `expected ${namedForms.map((form) => `"${form}"`).join(", ")} or a regular expression like "/Final answer: (.*)/"`;
const formNames: readonly string[] = namedForms;

export const answerForm = z
  .custom<AnswerForm>(
    (form) =>
      typeof form === "string" && (formNames.includes(form) || patternOf(form) !== undefined),
    { error: expectedForms },
  )
  .meta({
    anyOf: [
      { enum: namedForms },
      { type: "string", pattern: "^/.+/[a-z]*$", title: "a regular expression between slashes" },
    ],
  });

const weight = z.number().optional().meta({ default: 1 }); // what its score counts in the sum
const ignoreCase = z.boolean().optional().meta({ default: false });
const tokens = z.int().min(1);
const expression = z.string().refine(isExpression, { error: "expected a regular expression" });
const fileName = /\.(ts|mts|js|mjs|py)$/;
const rewardFile = z
  .string()
  .regex(fileName, { error: "expected a .ts, .mts, .js, .mjs or .py file" });

const entry = z.discriminatedUnion("use", [
  z.strictObject({ use: z.literal("program"), weight }), // what the program returns is the gold answer, as number or choice
  z.strictObject({ use: z.literal("written"), weight }), // the same for a written answer
  z.strictObject({ use: z.literal("exact"), ignoreCase, weight }), // the same text
  z.strictObject({ use: z.literal("json"), weight }), // the same JSON value
  z.strictObject({ use: z.literal("regex"), weight }), // the gold answer is an expression that the answer matches
  z.strictObject({ use: z.literal("format"), pattern: expression, weight }), // the whole text matches
  z.strictObject({ use: z.literal("length"), maxTokens: tokens, weight }), // down to -1 at maxTokens
  z.strictObject({ use: z.literal("overlong"), maxTokens: tokens, bufferTokens: tokens, weight }), // down to -1 within the buffer
  z.strictObject({
    use: z.literal("file"),
    file: rewardFile, // a relative path starts at the working directory
    weight,
    timeoutSeconds: z.number().gt(0).optional(), // of one call, by the clock; default 60; a .py file has sandbox.timeoutSeconds
    concurrency: tokens.optional(), // calls at once; default 8; a .py file has sandbox.workers
  }),
]);

const readyMadeNames = entry.options
  .map(({ shape }) => shape.use.value)
  .filter((use) => use !== "file");
const expectedNames = `expected ${readyMadeNames.map((use) => `"${use}"`).join(", ")} or a .ts, .mts, .js, .mjs or .py file`;

export type RewardEntry = Readonly<z.infer<typeof entry>>;
export type RewardSettings = readonly RewardEntry[];

const { $schema: _, ...entrySchema } = z.toJSONSchema(entry, { target: "draft-7" });
const oneReward = {
  anyOf: [
    { enum: readyMadeNames },
    { type: "string", pattern: fileName.source, title: "a file" },
    { ...entrySchema, title: "a section with `use`" },
  ],
};

/** One reward or a list of them; a text is the name of a ready-made one, or a file. Becomes a list of sections. */
export const reward = z
  .unknown()
  .superRefine((value, context) => {
    const report = (one: unknown, at: number[]) => {
      if (typeof one === "string" && !fileName.test(one) && !isReadyMade(one)) {
        context.addIssue({ code: "custom", path: at, message: expectedNames });
        return;
      }
      for (const issue of entry.safeParse(inFull(one)).error?.issues ?? [])
        context.addIssue({ ...issue, path: [...at, ...issue.path] } as Parameters<
          typeof context.addIssue
        >[0]);
    };
    if (!Array.isArray(value)) report(value, []);
    else if (value.length === 0)
      context.addIssue({ code: "custom", message: "expected at least one reward" });
    else for (const [i, one] of value.entries()) report(one, [i]);
  })
  // An unknown key, which has been reported, does not keep zod from coming here.
  .transform((value) => [value].flat().map(inFull) as RewardSettings)
  .meta({
    anyOf: [
      ...oneReward.anyOf,
      { type: "array", items: oneReward, minItems: 1, title: "a list of them" },
    ],
  });

/** The list that a setting stands for; undefined where there is none, or one that is wrong, which is reported as such. */
export function readRewards(setting: unknown): RewardSettings | undefined {
  return setting === undefined ? undefined : reward.safeParse(setting).data;
}

function inFull(one: unknown): unknown {
  if (typeof one !== "string") return one;
  return isReadyMade(one) ? { use: one } : { use: "file", file: one };
}

function isReadyMade(name: string): boolean {
  return readyMadeNames.some((use) => use === name);
}

function isExpression(source: string): boolean {
  return patternOf(`/${source}/`) !== undefined;
}

const comparisons = ["program", "written", "exact", "json"];

/** Does one of the rewards compare the answer with the gold answer, so that another one may be partly right? */
export function comparesAnswers(rewards: RewardSettings | undefined): boolean {
  return rewards === undefined || rewards.some(({ use }) => comparisons.includes(use));
}

/** Has every gold answer to be a number or a choice, because that is what a reward compares? */
export function comparesNumbers(form: AnswerForm, rewards: RewardSettings | undefined): boolean {
  if (rewards === undefined) return form === "python" || isWritten(form);
  return rewards.some(({ use }) => use === "program" || use === "written");
}

/** What is wrong with rewards for answers of a form, each right by itself; undefined where nothing is. */
export function rewardBreach(form: AnswerForm, rewards: RewardSettings): string | undefined {
  const [first] = rewards;
  if (first!.use === "length" || first!.use === "overlong")
    return `expected first a reward that says what is right, found "${first!.use}"`;
  for (const entry of rewards) {
    if (entry.use === "program" && form !== "python")
      return `"program": expected data.cotKind "python", found ${JSON.stringify(form)}`;
    if (entry.use === "written" && !isWritten(form))
      return `"written": expected a written form as data.cotKind, found ${JSON.stringify(form)}`;
    if (entry.use === "overlong" && entry.bufferTokens > entry.maxTokens)
      return `"overlong": expected bufferTokens of at most maxTokens = ${entry.maxTokens}, found ${entry.bufferTokens}`;
    if (
      entry.use === "file" &&
      entry.file.endsWith(".py") &&
      (entry.timeoutSeconds ?? entry.concurrency)
    )
      return `${entry.file}: expected no timeoutSeconds or concurrency, because a .py file runs in the sandbox, which has its own`;
  }
  return undefined;
}
