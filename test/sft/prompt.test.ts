import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import type { ReftConfig, SftConfig } from "../../src/config.ts";
import { samplingPrompt } from "../../src/data/prompt.ts";
import { disposeModel } from "../../src/model/model.ts";
import { trainReft } from "../../src/ppo/train.ts";
import { loadCheckpoint, resolveModelFolder } from "../../src/run/checkpoint.ts";
import { trainSft } from "../../src/sft/train.ts";
import { openAnswering } from "../../src/tasks/answering.ts";
import { captureOutput } from "../support/captureOutput.ts";
import { fakeJudge, shareOf } from "../support/fakeSandbox.ts";
import { userErrorOf } from "../support/runs.ts";
import { temporaryFolder } from "../support/temporaryFolder.ts";
import { tinyReft, tinySft, writeTinyData, writeTinyModel } from "../support/tiny.ts";

vi.mock("../../src/reward/judge.ts", () => ({
  createJudge: () => fakeJudge((text) => shareOf(text) < 0.6),
}));
vi.mock("../../src/reward/sandbox/sandbox.ts", () => ({
  createSandbox: async () => ({ close: async () => {} }),
}));
vi.mock("../../src/evaluate/checkGold.ts", () => ({ checkGold: async () => {} }));

const home = temporaryFolder();
captureOutput();
const problems = writeTinyData(home);
const base = tinySft(home);

/** One epoch of two updates with a prompt. */
const sft = (prompt: SftConfig["data"]["prompt"], model = base.model): SftConfig => ({
  ...base,
  model,
  data: { ...base.data, ...(prompt && { prompt }) },
  training: { ...base.training, epochs: 1, scheduleEpochs: 1, batchSize: 6 },
});
const savedFormat = (run: string) =>
  JSON.parse(readFileSync(join(loadCheckpoint(run, "last")!.folder, "reft.json"), "utf8"));

test("a template file goes along with the checkpoint, and a run goes on with no other", async () => {
  const [run, file] = [join(home, "file"), join(home, "mine.jinja")];
  const template = "<s>{{ id }}: {{ question }}\n";
  writeFileSync(file, template);
  await trainSft(sft({ file }), run);
  expect(savedFormat(run).sampling.prompt).toEqual({ kind: "file", name: "mine.jinja", template });
  writeFileSync(file, "{{ question }}\n");
  expect(await userErrorOf(() => trainSft(sft({ file }), run))).toMatch(/other contents of prompt/);
  rmSync(file);
  const { model, tokenizer, format } = openAnswering(resolveModelFolder(run), {});
  const row = { id: "a", question: "How many?" };
  const { tokens, prefixTokens } = samplingPrompt(tokenizer, row, format.sampling);
  expect(tokens[0]).toBe(tokenizer.bosId);
  expect(tokenizer.decode(tokens)).toBe(`a: How many?${tokenizer.decode(prefixTokens)}`);
  disposeModel(model);
});

test("a chat ends where its template's turn does, in training and ever after", async () => {
  const [source, run] = [join(home, "source"), join(home, "chat")];
  writeTinyModel(source, problems);
  rmSync(join(source, "reft.json"));
  const config = join(source, "tokenizer_config.json");
  const chat_template =
    "{% for m in messages %}{{ m.role }}\n{{ m.content | trim }}<pad>\n{% endfor %}" +
    "{% if add_generation_prompt %}assistant\n{% endif %}";
  const settings = JSON.parse(readFileSync(config, "utf8"));
  writeFileSync(config, JSON.stringify({ ...settings, chat_template }));
  const chat = { chat: { system: "Write a program." } };
  await trainSft(sft(chat, { init: source }), run);
  const { model, tokenizer, format } = openAnswering(resolveModelFolder(run), {});
  expect(format.sampling.prompt).toEqual({ kind: "chat", template: chat_template, ...chat.chat });
  expect(model.config.eosIds).toEqual([tokenizer.eosId, 0]); // 0 is <pad>
  disposeModel(model);

  const told = openAnswering(source, { prompt: chat }); // asked without having been taught
  expect(told.format.sampling.prompt).toEqual(format.sampling.prompt);
  expect(told.model.config.eosIds).toEqual([tokenizer.eosId, 0]);
  disposeModel(told.model);

  const reft = tinyReft(home, run);
  const short: ReftConfig = { ...reft, training: { ...reft.training, epochs: 1, maxSteps: 1 } };
  expect(await userErrorOf(() => trainReft(short, join(home, "paper")))).toBe(
    `${run} was trained with its chat template with the system message "Write a program.", ` +
      "but data.prompt gives the paper's prompt: use the same",
  );
  const asTaught = { ...short, data: { ...short.data, prompt: chat } };
  await trainReft(asTaught, join(home, "reft"));
  expect(savedFormat(join(home, "reft"))).toEqual(savedFormat(run));
});
