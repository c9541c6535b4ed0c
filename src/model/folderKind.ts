// What a path is that does not hold a Hugging Face model with safetensors, for messages that say what to do with it.
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { quote, UserError } from "../errors.ts";
import { inPython } from "../formats/safetensorsHeader.ts";

/** By a pattern of the names in a folder: what it is and what to do. The first that fits counts. */
const kinds: readonly (readonly [RegExp, (name: string) => string])[] = [
  [
    /^adapter_config\.json$/,
    () =>
      "it holds an adapter (adapter_config.json), which is the difference to a base model: " +
      "merge it into that, reft export, and give the new folder",
  ],
  [
    /^(quantize_config|quant_config)\.json$/,
    (name) =>
      `it holds quantised weights (${name}, as GPTQ and AWQ write it): take the model that it was made from`,
  ],
  [
    /\.gguf$/i,
    (name) => `it holds the GGUF file ${name}: import that file itself, reft import-model`,
  ],
  [
    /^pytorch_model.*\.(bin|bin\.index\.json)$/,
    (name) =>
      `its weights are in PyTorch's own format (${name}), not in safetensors: convert it (${inPython})`,
  ],
  [
    /^(consolidated.*\.(pth|safetensors)|params\.json)$/,
    (name) =>
      `it is laid out as Meta published LLaMA (${name}): take the model in Hugging Face's layout, ` +
      "or convert it (transformers, convert_llama_weights_to_hf.py)",
  ],
  [
    /^(tf_model\.h5|flax_model\.msgpack)$/,
    (name) => `its weights are for another library (${name}): convert it (${inPython})`,
  ],
  [
    /^model-\d+-of-\d+\.safetensors$/,
    (name) =>
      `it has shards (${name}) without their index: fetch model.safetensors.index.json, too`,
  ],
  [
    /^model\..+\.safetensors$/,
    (name) => `its weights have another name (${name}): call the file model.safetensors`,
  ],
];

/** @returns what else is at the path, and what to do; undefined when nothing is recognised */
export function describeOtherKind(path: string): string | undefined {
  if (!existsSync(path)) return undefined;
  if (!statSync(path).isDirectory()) {
    if (/\.gguf$/i.test(path)) return "it is a GGUF file: import it, reft import-model";
    if (!/\.(safetensors|bin|pth|pt)$/.test(path)) return undefined;
    return "it is a file of weights alone: give the folder that it lies in, with config.json and a tokenizer";
  }
  const names = readdirSync(path).toSorted();
  for (const [pattern, describe] of kinds) {
    const name = names.find((candidate) => pattern.test(candidate));
    if (name !== undefined) return describe(quote(name));
  }
  return undefined;
}

/** Adapters and quantised weights may lie beside a config.json. @throws UserError for a folder that holds one of them */
export function refuseAdapters(folder: string): void {
  const name = ["adapter_config.json", "quantize_config.json", "quant_config.json"].find((file) =>
    existsSync(join(folder, file)),
  );
  if (name === undefined) return;
  throw new UserError(`${folder}: cannot use this model: ${describeOtherKind(folder)}`);
}
