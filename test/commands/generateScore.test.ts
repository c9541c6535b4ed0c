import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { main } from "../../src/cli.ts";
import { byteLevel } from "../../src/data/bpe.ts";
import { loadTokenizer } from "../../src/data/tokenizer.ts";
import { writeJsonl } from "../../src/formats/jsonl.ts";
import { captureOutput } from "../support/captureOutput.ts";
import { goldenPath, largestDifference } from "../support/golden.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";
import { writeTinyData, writeTinyModel } from "../support/tiny.ts";

interface Generated {
  readonly id: string | number;
  readonly responses: readonly {
    readonly tokens: readonly number[];
    readonly text?: string;
    readonly logprobs: readonly number[];
  }[];
}

interface Scored {
  readonly id: string | number;
  readonly tokens: readonly number[];
  readonly logprobs: readonly number[];
}

const home = temporaryFolder();
const said = captureOutput();

let files = 0;

/** Runs `reft generate` or `reft score` on lines; gives the lines that it wrote. */
async function run<T>(
  command: "generate" | "score",
  model: string,
  lines: readonly object[],
  ...flags: string[]
): Promise<T[]> {
  const [input, output] = [join(home, `${files}.in.jsonl`), join(home, `${files++}.out.jsonl`)];
  writeJsonl(input, lines);
  const args = [command, "--model", model, "--input", input, "--output", output, ...flags];
  expect(await main(args), said.stderr).toBe(0);
  const written = readFileSync(output, "utf8").trimEnd().split("\n");
  return written.map((line) => JSON.parse(line) as T);
}

/** What the same says to a user, without the place of the input file. */
async function complaint(
  command: "generate" | "score",
  model: string,
  lines: readonly object[],
  ...flags: string[]
): Promise<string> {
  const [input, output] = [join(home, `${files}.in.jsonl`), join(home, `${files++}.out.jsonl`)];
  writeJsonl(input, lines);
  const args = [command, "--model", model, "--input", input, "--output", output, ...flags];
  expect(await main(args)).toBe(1);
  return said.stderr.replace(`reft ${command}: `, "").replace(`${input}:`, "line ");
}

const golden = goldenPath("models", "grouped-query"); // 80 tokens, 256 positions, EOS 2
const prompts = [
  { id: "long", promptTokens: [5, 9, 11, 30, 62, 7, 8, 19, 44] },
  { id: 7, promptTokens: [3] },
  { id: "short", promptTokens: [70, 6] },
];
const short = ["--max-new-tokens", "12"];
const sampled = [...short, "--temperature", "1"];
const tokensOf = (lines: readonly Generated[]) =>
  lines.map(({ responses }) => responses.map(({ tokens }) => tokens));

const problems = writeTinyData(home);
const withTokenizer = join(home, "model");
writeTinyModel(withTokenizer, problems);

describe("reft generate", () => {
  test("answers prompts of tokens in their order, without a tokenizer", async () => {
    const lines = await run<Generated>("generate", golden, prompts, ...short);
    expect(lines.map(({ id }) => id)).toEqual(["long", 7, "short"]);
    for (const { responses } of lines) {
      expect(responses).toHaveLength(1);
      expect(Object.keys(responses[0]!)).toEqual(["tokens", "text", "logprobs"]);
      expect(responses[0]!.text).toBeNull();
      expect(responses[0]!.logprobs).toHaveLength(responses[0]!.tokens.length);
    }
  });

  test("is greedy at temperature 0: the seed and the number of slots change nothing", async () => {
    const one = await run<Generated>("generate", golden, prompts, ...short, "--seed", "1");
    const two = await run<Generated>(
      "generate",
      golden,
      prompts,
      ...short,
      "--seed",
      "2",
      "--slots",
      "1",
    );
    expect(tokensOf(two)).toEqual(tokensOf(one));
  });

  test("samples K different responses per prompt; the same seed gives the same ones", async () => {
    const flags = [...sampled, "--samples", "3", "--seed"];
    const first = await run<Generated>("generate", golden, prompts, ...flags, "5");
    for (const { responses } of first)
      expect(new Set(responses.map(({ tokens }) => tokens.join())).size).toBe(3);
    expect(await run("generate", golden, prompts, ...flags, "5")).toEqual(first);
    const other = await run<Generated>("generate", golden, prompts, ...flags, "6");
    expect(tokensOf(other)).not.toEqual(tokensOf(first));
  });

  test("keeps keys and values as bf16 when told to", async () => {
    const wide = await run<Generated>("generate", golden, prompts, ...short);
    const flags = [...short, "--kv-cache-dtype", "bf16"];
    const narrow = await run<Generated>("generate", golden, prompts, ...flags);
    const first = (lines: readonly Generated[]) => lines[0]!.responses[0]!.logprobs[0]!;
    expect(first(narrow)).not.toBe(first(wide));
    expect(first(narrow)).toBeCloseTo(first(wide), 1);
  });

  test("keeps a response's first space, which a decoder takes away from the start of a text", async () => {
    const stripping = join(home, "stripping");
    cpSync(withTokenizer, stripping, { recursive: true });
    const plain = loadTokenizer(withTokenizer);
    const strip = { type: "Strip", content: " ", start: 1, stop: 0 };
    const decoder = { type: "Sequence", decoders: [byteLevel, strip] };
    const json = { ...(plain.files.tokenizerJson as object), decoder };
    writeFileSync(join(stripping, "tokenizer.json"), JSON.stringify(json));
    const flags = [...sampled, "--samples", "64"];
    const lines = await run<Generated>("generate", stripping, [{ id: 1, prompt: "a =" }], ...flags);
    const texts = lines[0]!.responses.map(({ text }) => text!);
    expect(texts).toEqual(lines[0]!.responses.map(({ tokens }) => plain.decode(tokens)));
    expect(texts.some((text) => text.startsWith(" "))).toBe(true);
  });

  test("takes and gives text where the model has a tokenizer", async () => {
    const lines = [
      { id: 1, prompt: "How many marbles?" },
      { id: 2, promptTokens: [40, 41] },
    ];
    for (const { responses } of await run<Generated>("generate", withTokenizer, lines, ...short))
      expect(responses[0]!.text!.length).toBeGreaterThan(0);
  });

  test("refuses a prompt that does not fit with its response, naming the line", async () => {
    const lines = [{ id: 1, promptTokens: [1] }, prompts[0]!];
    expect(await complaint("generate", golden, lines, "--max-new-tokens", "250")).toBe(
      "line 2: the prompt has 9 prompt tokens, which of the model's 256 positions leave 247 for the answer, " +
        "expected at least 250; lower --max-new-tokens\n",
    );
  });

  test.each([
    [["--max-new-tokens", "0"], "--max-new-tokens: expected a whole number of at least 1, found 0"],
    [[...short, "--samples", "1.5"], "--samples: expected a whole number of at least 1, found 1.5"],
    [[...short, "--slots", "0"], "--slots: expected a whole number of at least 1, found 0"],
    [
      [...short, "--temperature=-1"],
      "--temperature: expected 0, which is greedy, or at least 0.001, found -1",
    ],
    [
      [...short, "--temperature=1e-40"],
      "--temperature: expected 0, which is greedy, or at least 0.001, found 1e-40",
    ],
  ])("refuses %j", async (flags, message) => {
    expect(await complaint("generate", golden, prompts, ...flags)).toBe(`${message}\n`);
  });
});

describe("reft score", () => {
  test.each([
    ["greedy", short],
    ["sampled", [...sampled, "--samples", "4"]],
  ])("gives the log-probabilities that generate gave: %s", async (_, flags) => {
    const generated = await run<Generated>("generate", golden, prompts, ...flags);
    const pairs = generated.flatMap(({ responses }, i) =>
      responses.map(({ tokens }, k) => ({
        id: `${i}/${k}`,
        promptTokens: prompts[i]!.promptTokens,
        completionTokens: tokens,
      })),
    );
    const scored = await run<Scored>("score", golden, pairs);
    expect(scored.map(({ id }) => id)).toEqual(pairs.map(({ id }) => id));
    const all = generated.flatMap(({ responses }) => responses);
    scored.forEach(({ tokens, logprobs }, i) => {
      expect(tokens).toEqual(all[i]!.tokens);
      expect(largestDifference(logprobs, all[i]!.logprobs)).toBeLessThan(1e-5);
    });
  });

  test("gives a pair of texts what it gives their tokens", async () => {
    const [text] = await run<Scored>("score", withTokenizer, [
      { id: 1, prompt: "How many marbles?", completion: "def solution():" },
    ]);
    const completionTokens = text!.tokens;
    expect(completionTokens.length).toBeGreaterThan(1);
    const [tokens] = await run<Scored>("score", withTokenizer, [
      { id: 1, prompt: "How many marbles?", completionTokens },
    ]);
    expect(tokens).toEqual(text);
  });

  test.each([
    [{ promptTokens: [3], prompt: "a", completionTokens: [4] }, 'exactly one of "prompt" and'],
    [{ promptTokens: [3] }, 'exactly one of "completion" and "completionTokens"'],
    [{ promptTokens: [], completionTokens: [4] }, '"promptTokens": '],
  ])("refuses the pair %j", async (pair, message) => {
    expect(await complaint("score", golden, [{ id: 1, ...pair }])).toContain(message);
  });

  test("refuses a pair that is longer than the model", async () => {
    const completionTokens = new Array(250).fill(4);
    const pairs = [{ id: 1, promptTokens: [1, 2, 3, 4, 5, 6, 7], completionTokens }];
    expect(await complaint("score", golden, pairs)).toBe(
      "line 1: 257 tokens do not fit into the model's 256 positions; shorten them or leave them out\n",
    );
  });
});

test.each([
  ["generate", { prompt: "Hello" }, short],
  ["score", { promptTokens: [4], completion: "Hello" }, []],
] as const)("%s refuses a text for a model without a tokenizer", async (command, line, flags) => {
  expect(await complaint(command, golden, [{ id: 1, ...line }], ...flags)).toBe(
    `line 1: a text needs a tokenizer, but ${golden} has no tokenizer.json; give tokens instead\n`,
  );
});

test.each([
  ["generate", {}, short],
  ["score", { completionTokens: [4, 5] }, []],
] as const)("%s refuses log-probabilities that are no numbers", async (command, line, flags) => {
  const folder = join(home, "damaged");
  writeTinyModel(folder, problems);
  const weights = join(folder, "model.safetensors");
  const bytes = readFileSync(weights);
  // The last weight is the final norm: its products with the embedding are beyond float32.
  for (let i = 1; i <= 16; i++) bytes.writeFloatLE(3.4e38, bytes.length - 4 * i);
  writeFileSync(weights, bytes);
  const pairs = [{ id: 1, promptTokens: [4], ...line }];
  expect(await complaint(command, folder, pairs, ...flags)).toContain(
    `line 1: expected finite log-probabilities, found NaN at token 0: the weights in ${folder} are damaged; ` +
      "take another checkpoint\n",
  );
});

test.each([
  ["generate", { promptTokens: [4, 80] }, short],
  ["score", { promptTokens: [4], completionTokens: [80] }, []],
] as const)("%s refuses a token that the model does not know", async (command, line, flags) => {
  expect(await complaint(command, golden, [{ id: 1, ...line }], ...flags)).toBe(
    "line 1: token 80 is not in the model's vocabulary of 80; give tokens of its own tokenizer\n",
  );
});
