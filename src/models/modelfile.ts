// Ollama's Modelfile for an exported model: its prompt as a template, so that a question alone is asked as in training.
// Reference: ollama/ollama fb307609, docs/modelfile.mdx, parser/parser.go and template/template.go.
import { isDeepStrictEqual } from "node:util";
import { samplingPrompt } from "../data/prompt.ts";
import type { Tokenizer } from "../data/tokenizer.ts";
import { UserError } from "../errors.ts";
import type { AnswerFormat } from "./modelFolder.ts";

/** Questions on which the template's tokens are compared with those of training. */
const probes = [
  "Ann has 3 boxes of 12 pens and gives 5 away. How many are left?",
  "A shop sold 1,250 apples at $2.75 each",
];
const questionPlace = "{{ .Prompt }}";

export interface ModelfileSettings {
  /** Name of the GGUF file beside it. */
  readonly from: string;
  readonly maxPositions: number;
  /** The texts of the tokens that end a response. */
  readonly stops: readonly string[];
}

/**
 * Greedy sampling with the prompt and the beginning of the program that the model was trained with.
 *
 * @param where the model, for messages
 * @throws UserError when no text has exactly the tokens of training, which Ollama could not be given then
 */
export function modelfile(
  tokenizer: Tokenizer,
  format: AnswerFormat,
  { from, maxPositions, stops }: ModelfileSettings,
  where: string,
): string {
  const template = promptTemplate(tokenizer, format, where);
  return [
    `FROM ./${from}`,
    `TEMPLATE """${inGoTemplate(template)}"""`,
    ...stops.map((stop) => `PARAMETER stop ${JSON.stringify(stop)}`),
    "PARAMETER temperature 0",
    "PARAMETER repeat_penalty 1",
    `PARAMETER num_ctx ${maxPositions}`,
    "",
  ].join("\n");
}

/** The text whose tokens are those of training, with a place for the question. */
function promptTemplate(tokenizer: Tokenizer, { sampling }: AnswerFormat, where: string): string {
  const textOf = (question: string) =>
    tokenizer.decode(samplingPrompt(tokenizer, { question }, sampling).tokens);
  const [template] = probes.map((probe) => textOf(probe).replaceAll(probe, () => questionPlace));
  for (const probe of probes) {
    const text = template!.replaceAll(questionPlace, () => probe);
    const { tokens } = samplingPrompt(tokenizer, { question: probe }, sampling);
    if (isDeepStrictEqual(tokenizer.encode(text), tokens)) continue;
    throw new UserError(
      `${where}: Ollama takes a prompt as one text, and no text has exactly the tokens that this model was trained to go on from; ` +
        "leave modelfile out, and give llama.cpp or node-llama-cpp the tokens (docs/export.md)",
    );
  }
  return template!;
}

/** Three quotes would end the value of TEMPLATE, two braces begin an action. */
function inGoTemplate(text: string): string {
  const parts = text.split(questionPlace);
  const escaped = parts.map((part) =>
    part.replaceAll("{{", '{{ "{{" }}').replaceAll('"""', '{{ "\\x22\\x22\\x22" }}'),
  );
  return escaped.join(questionPlace);
}
