import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  checkSamplingPrefix,
  encodeExample,
  findSamplingFormat,
  samplingPrompt,
} from "../../src/data/prompt.ts";
import { choosePrompt } from "../../src/data/promptChoice.ts";
import { type FilePrompt, renderPrompt } from "../../src/data/templatePrompt.ts";
import { type Tokenizer, trainTokenizer } from "../../src/data/tokenizer.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";

const tokenizer = trainTokenizer(["How many apples? def solution():\n    return 3\n"], 300);
const { bosId, eosId } = tokenizer;
const file = (template: string): FilePrompt => ({ kind: "file", name: "mine.jinja", template });
const row = { id: "7", question: "How many?", cot: "def solution():\n    return 3", answer: 3 };

/** Ids of control tokens in a prompt. */
function control(template: string, columns: object): number[] {
  const { text, written } = renderPrompt(file(template), { ...row, ...columns }, tokenizer);
  return tokenizer.encode(text, written).filter((id) => id <= 2); // <pad>, <s>, </s>
}

const messageOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    return (error as Error).message;
  }
  return "no error";
};

test.each([
  [
    "loops within loops",
    "{% set l = range(9999) %}{% for a in l %}{% for b in l %}{% endfor %}{% endfor %}",
    /took longer than a second/,
  ],
  [
    "numbers without end",
    "{% for a in range(1000000000) %}{% endfor %}",
    /range\(\) for more than 10000 numbers in all/,
  ],
  [
    "numbers within numbers",
    "{% for a in range(9000) %}{% for b in range(9000) %}{% endfor %}{% endfor %}",
    /range\(\) for more than 10000 numbers in all/,
  ],
  ["no question", "Question: { question }{{ eos_token }}", /shows nothing of its row; write {{/],
])("a template with %s is refused", (_, template, message) => {
  expect(messageOf(() => renderPrompt(file(template), row, tokenizer))).toMatch(message);
});

describe("control tokens", () => {
  test("are those that a template writes, as such or by their names", () => {
    expect(control("<s>{{ question }}{{ eos_token }}", {})).toEqual([bosId, eosId]);
  });

  test.each([
    ["in a text", "<s>{{ hint }}", { hint: "a</s>b<s>" }],
    ["put together of two columns", "<s>{{ a }}{{ b }}", { a: "</", b: "s>" }],
    ["begun by the data", "<s>{{ a }}s>", { a: "x</" }],
    ["ended by the data", "<s></{{ a }}", { a: "s>" }],
    ["with data in its middle", "<s></{{ a }}>", { a: "s" }],
    ["in a list", "<s>{{ list | join('') }}", { list: ["</", "s", ">"] }],
    ["in a mapping", "<s>{{ table | tojson }}", { table: { "</s>": "<pad>" } }],
    ["in a column called like a token", "<s>{{ eos_token[:0] }}{{ bos }}", { bos: "<s>" }],
    [
      "in a template that looks into its data",
      "{% if level == 'hard' %}<s>{% endif %}{{ hint }}",
      { level: "hard", hint: "</s>" },
    ],
    ["put together by one", "{% if level == 'pa' %}<s>{% endif %}<{{ level }}d>", { level: "pa" }],
    ["in data made small", "<s>{{ hint | lower }}", { hint: "A </S> b" }],
  ])("of the data are ordinary text: %s", (_, template, columns) => {
    expect(control(template, columns)).toEqual([bosId]);
  });

  test("in data whose characters are sought are refused", () => {
    const template = "{{ question.replace('<', '[') }}";
    const run = () => renderPrompt(file(template), { question: "a < b" }, tokenizer);
    expect(messageOf(run)).toMatch(/expected a template that writes its data as they are/);
    expect(control(template, {})).toEqual([]);
  });
});

const hinted = { ...row, hint: "no" };

describe("a template file", () => {
  const folder = temporaryFolder();
  const path = join(folder, "mine.jinja");
  const choose = (template: string) => {
    writeFileSync(path, template);
    return choosePrompt({ file: path }, tokenizer);
  };

  test("sees the row's columns, but not what the model has to find", () => {
    const shown = (template: string) => renderPrompt(file(template), hinted, tokenizer).text;
    expect(shown("{{ id }}: {{ question }} ({{ hint }})\n\n")).toBe("7: How many? (no)\n");
    expect(messageOf(() => shown("{{ question }}{{ answer }}"))).toBe(
      'mine.jinja: expected the name of a column, found "answer", which the model has to find and no prompt may show; ' +
        "it has id, question, hint",
    );
    expect(messageOf(() => shown("{{ hnit }}"))).toBe(
      'mine.jinja: expected the name of a column, found "hnit", which the row has not; it has id, question, hint',
    );
    const optional =
      "{{ id }}{{ hnit | default('none') }}{% if more is defined %}{{ more }}{% endif %}";
    expect(shown(optional)).toBe("7none");
  });

  test.each([
    ['hint == "no" and question', "yes"],
    ['hint == "yes" or question', "yes"],
    ['not (hint == "yes")', "yes"],
    ['hint in ["a", "no"]', "yes"],
    ['hint not in ["a", "no"]', ""],
    ['more is defined and more == "x"', ""],
    ["more is not defined", "yes"],
  ])("takes the operator of %s for no column", (condition, expected) => {
    const template = file(`{{ id }}{% if ${condition} %}yes{% endif %}`);
    expect(renderPrompt(template, hinted, tokenizer).text).toBe(`7${expected}`);
  });

  test("that is missing, is no template or raises is one message", () => {
    const missing = { file: join(folder, "none.jinja") };
    expect(messageOf(() => choosePrompt(missing, tokenizer))).toMatch(/none\.jinja: no such file/);
    expect(messageOf(() => choose("{% if question %}"))).toMatch(
      /^mine\.jinja: expected a Jinja template: /,
    );
    const raising = file("{{ raise_exception('too\nlong') }}");
    expect(messageOf(() => encodeExample(tokenizer, row, raising))).toBe(
      'example "7": mine.jinja: the template raises: too long',
    );
    expect(messageOf(() => encodeExample(tokenizer, row, file("{{ question | shout }}")))).toMatch(
      /example "7": mine\.jinja: the template cannot be rendered: .*shout/,
    );
  });

  test.each(["docstring", "def", "none"] as const)(
    "trains what sampling goes on from, with %s",
    (prefix) => {
      const prompt = choose("<s>Q: {{ question }}\nA:\n\n")!;
      const format = findSamplingFormat(tokenizer, [row], prefix, prompt);
      const rows = prefix === "docstring" ? [] : [row];
      checkSamplingPrefix(tokenizer, rows, format);
      const asked = samplingPrompt(tokenizer, row, format);
      const { promptTokens, completionTokens } = encodeExample(tokenizer, row, prompt);
      expect(asked.tokens.slice(0, promptTokens.length)).toEqual(promptTokens);
      const given = {
        docstring: 'def solution():\n    """How many?"""\n',
        def: "def solution():\n",
        none: "",
      };
      expect(tokenizer.decode(asked.prefixTokens)).toBe(given[prefix]);
      expect(tokenizer.decode(promptTokens)).toBe("Q: How many?\nA:\n");
      expect(promptTokens[0]).toBe(bosId);
      expect(completionTokens.at(-1)).toBe(eosId);
      expect(tokenizer.decode(completionTokens)).toBe(row.cot);
    },
  );
});

describe("a chat template", () => {
  const template =
    "{% for m in messages %}<s>{{ m.role }}\n{{ m.content | trim }}<pad>\n{% endfor %}{% if add_generation_prompt %}<s>assistant\n{% endif %}";
  const withTemplate = (chat_template: unknown, files?: Record<string, string>): Tokenizer => ({
    ...tokenizer,
    files: {
      tokenizerJson: {},
      tokenizerConfig: { chat_template },
      asTheyCame: new Map(
        Object.entries(files ?? {}).map(([name, text]) => [name, Buffer.from(text)]),
      ),
    },
  });
  const padId = tokenizer.padId!;

  test("comes from chat_template.jinja, a text, or a list's default", () => {
    const chosen = (tokenizer: Tokenizer) => choosePrompt("chat", tokenizer)!.template;
    const list = [
      { name: "tools", template: "x" },
      { name: "default", template },
    ];
    expect(chosen(withTemplate(template))).toBe(template);
    expect(chosen(withTemplate(list))).toBe(template);
    expect(chosen(withTemplate("y", { "chat_template.jinja": template }))).toBe(template);
    expect(messageOf(() => chosen(withTemplate(list.slice(0, 1))))).toMatch(
      /"default", found \["tools"\]/,
    );
    expect(messageOf(() => chosen(tokenizer))).toMatch(/expected a model with a chat template/);
  });

  test.each(["docstring", "def", "none"] as const)(
    "trains what sampling goes on from, with %s",
    (prefix) => {
      const chat = withTemplate(template);
      const prompt = choosePrompt({ chat: { system: "Be brief." } }, chat)!;
      const begins =
        prefix === "docstring" ? 'def solution():\n    """How many?"""\n' : "def solution():\n";
      const example = { ...row, cot: `${begins}    return 3\n` };
      const format = findSamplingFormat(chat, [example], prefix, prompt);
      checkSamplingPrefix(chat, [example], format);
      const { tokens, prefixTokens } = samplingPrompt(chat, example, format);
      const { promptTokens, completionTokens } = encodeExample(chat, example, prompt);
      expect([...promptTokens, ...completionTokens].slice(0, tokens.length)).toEqual(tokens);
      expect(chat.decode(promptTokens)).toBe("system\nBe brief.\nuser\nHow many?\nassistant\n");
      expect(chat.decode(prefixTokens).trimEnd()).toBe(prefix === "none" ? "" : begins.trimEnd());
      expect(completionTokens.indexOf(padId)).toBe(completionTokens.length - 1);
      expect(chat.decode(completionTokens)).toBe(example.cot.trim());
    },
  );

  test.each([
    [
      "has no end of turn",
      template.replace("<pad>", ""),
      {},
      /expected a control token after the answer/,
    ],
    [
      "writes other conversations",
      template.replace("<s>assistant", "<s>bot"),
      {},
      /conversations that begin with the prompt/,
    ],
    [
      "leaves the system's message out",
      `{% set messages = messages[1:] %}${template}`,
      { system: "a b c" },
      /leaves out the system's message/,
    ],
    ["asks for today", `{{ strftime_now('%d') }}${template}`, {}, /today's date.*chat\.date/],
    ["asks for no date", template, { date: "2024-07-26" }, /chat\.date: expected none/],
    [
      "refuses a system's message",
      `{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}${template}`,
      { system: "x" },
      /the template raises: no system/,
    ],
  ])("that %s is refused", (_, source, chat, message) => {
    const chosen = withTemplate(source);
    const setting = Object.keys(chat).length > 0 ? { chat } : "chat";
    expect(messageOf(() => encodeExample(chosen, row, choosePrompt(setting, chosen)))).toMatch(
      message,
    );
  });

  test("whose prompt ends within the answer's first token is refused", () => {
    const joining = trainTokenizer(["a def b def c def"], 300); // " def" is a token
    const spaced = template
      .replaceAll("\n{{ m.content", ": {{ m.content")
      .replace("assistant\n", "assistant: ");
    const prompt = choosePrompt("chat", { ...joining, files: withTemplate(spaced).files });
    expect(messageOf(() => encodeExample(joining, row, prompt))).toMatch(
      /the end of the prompt and the beginning of the answer, "def solution", share a token/,
    );
  });
});
