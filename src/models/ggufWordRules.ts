// How byte-level tokenizers of GGUF files cut a text into words before they merge. A file names the rule (`tokenizer.ggml.pre`),
// llama.cpp has the rules. Those are here whose regular expressions say the same in llama.cpp, in Rust's tokenizers and in
// JavaScript, under every name that llama.cpp knows them by, with the flags that it sets for each name.
// Reference: ggml-org/llama.cpp 00ad355e, src/llama-vocab.cpp: expressions in `llm_tokenizer_bpe`, names and flags in
// `llama_vocab::impl::load`.
import { byteLevel } from "../data/bpe.ts";

export interface WordRule {
  /** The rule, as tokenizer.json writes it. */
  readonly preTokenizer: object;
  /** Whether a word that is a token as a whole is taken as that token, whatever the merges say. */
  readonly ignoreMerges: boolean;
  /** Whether texts begin with BOS where the file does not say so. */
  readonly addsBos: boolean;
}

const split = (regex: string) => ({
  type: "Split",
  pattern: { Regex: regex },
  behavior: "Isolated",
  invert: false,
});
const sequence = (...pretokenizers: readonly object[]) => ({ type: "Sequence", pretokenizers });
const bytesOnly = { ...byteLevel, use_regex: false };

// Written out, since ignoring the case in some libraries makes an s of the long s (U+017F), too.
const contractions = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])";
const [lineEnds, spaces] = ["\\s*[\\r\\n]+", "\\s+(?!\\S)|\\s+"];
const letters = "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+";

/** This is how GPT-4 and those after it cut words; they differ in how many digits of a number stay together. */
const modern = (digits: string, signs = " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*") =>
  `${contractions}|${letters}|${digits}|${signs}|${lineEnds}|${spaces}`;

const gpt2 = byteLevel;
const singleDigits = sequence(split("\\p{N}"), byteLevel);
const llama3 = sequence(split(modern("\\p{N}{1,3}")), bytesOnly);
const qwen2 = sequence(split(modern("\\p{N}")), bytesOnly);
const seedCoder = sequence(split(modern("\\p{N}", " ?[^\\s\\p{L}\\p{N}\\r\\n]+")), bytesOnly);
const minicpm5 = sequence(split("\\p{N}{1,3}"), split(modern("\\p{N}+")), bytesOnly);

const plain = { ignoreMerges: false, addsBos: false };
/**
 * An export writes the first name of a family. Under most others llama.cpp removes spaces from decoded texts, those before a
 * full stop and the like (`clean_spaces`), which would change a program; of LLaMA 3's names and minicpm5 none is without it.
 */
const families: readonly (readonly [names: string, rule: WordRule])[] = [
  [
    "trillion granite-docling gpt-2 phi-2 jina-es jina-de gigachat a.x-4.0 mellum modern-bert exaone4 mpt olmo jais",
    { ...plain, preTokenizer: gpt2 },
  ],
  [
    "smollm starcoder refact command-r codeshell exaone minerva-7b mellum2",
    { ...plain, preTokenizer: singleDigits },
  ],
  [
    "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano",
    { preTokenizer: llama3, ignoreMerges: true, addsBos: true },
  ],
  ["dbrx smaug-bpe glm4 chatglm-bpe", { ...plain, preTokenizer: llama3 }],
  [
    "qwen2 deepseek-r1-qwen kormo f2llmv2 megrez stablelm2 hunyuan solar-open grok-2",
    { ...plain, preTokenizer: qwen2 },
  ],
  ["seed-coder", { ...plain, preTokenizer: seedCoder }],
  ["minicpm5", { preTokenizer: minicpm5, ignoreMerges: true, addsBos: false }],
];

/** The rules, by their name in `tokenizer.ggml.pre`. */
export const wordRules: ReadonlyMap<string, WordRule> = new Map(
  families.flatMap(([names, rule]) => names.split(" ").map((name) => [name, rule] as const)),
);
