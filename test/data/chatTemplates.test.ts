import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseTemplate } from "../../src/data/jinja/template.ts";
import {
  type ChatPrompt,
  encodeConversation,
  endOfTurn,
  renderPrompt,
} from "../../src/data/templatePrompt.ts";
import { createTokenizer, type Tokenizer } from "../../src/data/tokenizer.ts";
import { UserError } from "../../src/errors.ts";
import { goldenPath } from "../support/golden.ts";
import { realData } from "../support/realData.ts";

interface Outcome {
  readonly text: string;
  readonly ids: readonly number[] | string;
}
interface Case {
  readonly question: number;
  readonly system: number;
  readonly answer: number;
  readonly prompt: Outcome;
  /** Null where it does not begin with the prompt. */
  readonly whole: Outcome["ids"] | null;
}
interface Golden {
  readonly date: string;
  readonly questions: readonly string[];
  readonly systems: readonly (string | null)[];
  readonly answers: readonly string[];
  readonly injections: readonly string[];
  readonly families: readonly {
    readonly name: string;
    readonly tokenizer: string;
    readonly names: Readonly<Record<string, string>>;
    readonly cases: readonly Case[];
  }[];
  readonly data: Readonly<Record<string, unknown>>;
  readonly rendered: readonly { readonly template: string; readonly text: string }[];
}

const json = (name: string) => JSON.parse(readFileSync(goldenPath("chatTemplates", name), "utf8"));
const golden: Golden = json("golden.json");
type Family = Golden["families"][number];

function templateOf({ name }: Family): string | undefined {
  const path = name.startsWith("llama")
    ? join(realData ?? "", "chat_templates", `${name}.jinja`)
    : goldenPath("chatTemplates", `${name}.jinja`);
  return existsSync(path) ? readFileSync(path, "utf8") : undefined;
}

function tokenizerOf({ tokenizer, names }: Family): Tokenizer {
  const files = { tokenizerJson: json(`${tokenizer}.json`), tokenizerConfig: names };
  return createTokenizer(files, tokenizer);
}

function promptOf(family: Family, system: string | null): ChatPrompt {
  const template = templateOf(family)!;
  const date = template.includes("strftime_now") ? golden.date : undefined;
  return { kind: "chat", template, system: system ?? undefined, date };
}

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");
/** The text or its hash, as the golden values have it. */
const as = ({ ids }: Outcome, text: string, tokens: readonly number[]) =>
  typeof ids === "string"
    ? { text: sha256(text), ids: sha256(JSON.stringify(tokens)) }
    : { text, ids: tokens };

describe.each(golden.families)("$name", (family) => {
  const isThere = templateOf(family) !== undefined;
  const where = isThere ? "" : " (chat_templates/ in REFT_DATA)";

  test.skipIf(!isThere)(`texts and ids of prompts are those of transformers${where}`, () => {
    const tokenizer = tokenizerOf(family);
    for (const { question, system, prompt } of family.cases) {
      const asked = golden.questions[question]!;
      const told = golden.systems[system]!;
      const { text, written } = renderPrompt(
        promptOf(family, told),
        { question: asked },
        tokenizer,
      );
      const found = as(prompt, text, tokenizer.encode(text, written));
      expect(found, JSON.stringify([told, asked])).toEqual(prompt);
    }
  });

  test.skipIf(!isThere)(
    `conversations are those of transformers up to the end of the turn${where}`,
    () => {
      const tokenizer = tokenizerOf(family);
      for (const { question, system, answer, whole } of family.cases) {
        const prompt = promptOf(family, golden.systems[system]!);
        const row = { question: golden.questions[question]! };
        const { promptTokens, completionTokens } = encodeConversation(
          prompt,
          row,
          golden.answers[answer]!,
          tokenizer,
        );
        const found = [...promptTokens, ...completionTokens];
        const end = endOfTurn(prompt, tokenizer);
        expect(completionTokens.indexOf(end)).toBe(completionTokens.length - 1);
        if (typeof whole === "string") expect(sha256(JSON.stringify(found))).toBe(whole);
        else if (whole) expect(found).toEqual(whole.slice(0, whole.lastIndexOf(end) + 1));
      }
    },
  );

  test.skipIf(!isThere)(
    `control tokens in question, system and answer are ordinary text${where}`,
    () => {
      const tokenizer = tokenizerOf(family);
      const ids = [...tokenizer.controlTokens].map(
        (token) => tokenizer.encode(token, [{ start: 0, end: token.length }]).at(-1)!,
      );
      const control = (question: string, system: string | null, answer: string) => {
        const prompt = promptOf(family, system);
        const { promptTokens, completionTokens } = encodeConversation(
          prompt,
          { question },
          answer,
          tokenizer,
        );
        return [promptTokens, completionTokens].map((tokens) =>
          tokens.filter((id) => ids.includes(id)),
        );
      };
      const [harmless, told] = [control("a", null, "a"), control("a", "s", "a")];
      for (const injection of new Set([...tokenizer.controlTokens, ...golden.injections])) {
        const text = `${injection.slice(2)}${injection}a${injection.slice(0, 2)}`;
        expect(control(text, null, text), text).toEqual(harmless);
        expect(control("a", ` ${text} `, injection), text).toEqual(told);
        expect(control(injection, null, ` ${injection} `), text).toEqual(harmless);
      }
    },
  );
});

const expressions: {
  readonly data: Readonly<Record<string, unknown>>;
  readonly rendered: readonly { readonly template: string; readonly text: string | null }[];
} = json("expressions.json");

describe("parseTemplate", () => {
  test.each(golden.rendered)("renders $template as Jinja does", ({ template, text }) => {
    expect(parseTemplate(template, "test", golden.date).render(golden.data)).toBe(text);
  });

  test.each(expressions.rendered)("computes $template as Python does", ({ template, text }) => {
    const render = () => parseTemplate(template, "test").render(expressions.data);
    if (text === null) expect(render).toThrow(UserError);
    else expect(render()).toBe(text);
  });

  test.each([
    ["'a' ~ words", /a list or a mapping as it is/],
    ["[[1], 2]|join", /a list or a mapping as it is/],
    ["d|string", /a list or a mapping as it is/],
    ["9007199254740991 + 1", /an integer that is not exact/],
    ["[1, 2] == (1, 2)", /compares a list with a tuple/],
    ["words.length", /use the filter length/],
    ["{'items': 1}.items", /\["items"\] for a key/],
    ["'0x1f'|int(0, 16)", /the filter int with a base/],
    ["'١'|int", /digits other than 0 to 9/],
    ["['inf'|float]|tojson", /a number that is not finite/],
    ["people|selectattr('at.home')|list|length", /selectattr by an attribute within another/],
    ["people|rejectattr('age', 'undefined')|list", /rejectattr .* by what "is undefined" asks/],
    ["'a b'|title", /"title" is not computed/],
  ])("refuses %s by name", (expression, message) => {
    const render = () => parseTemplate(`{{ ${expression} }}`, "test").render(expressions.data);
    expect(render).toThrow(UserError);
    expect(render).toThrow(message);
  });
});
