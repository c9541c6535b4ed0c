// Byte-pair encoding of a word. @huggingface/tokenizers merges characters that have a token; what becomes of the others is
// decided here, because Rust's tokenizers do that before they merge. Reference: huggingface/tokenizers 0.23, models/bpe/model.rs.
import { z } from "zod";
import { show, UserError } from "../../errors.ts";
import { checkValue } from "../../formats/jsonl.ts";
import { byteTokens, tokenByte } from "./byteLevel.ts";
import { refuse } from "./check.ts";
import { openLibraryModel } from "./library.ts";
import type { WordModel } from "./model.ts";
import { readVocabulary, type Vocabulary } from "./vocabulary.ts";

const schema = z.object({
  vocab: z.unknown().optional(),
  merges: z.array(z.unknown()),
  dropout: z.number().nullish(),
  unk_token: z.string().nullish(),
  continuing_subword_prefix: z.string().nullish(),
  end_of_word_suffix: z.string().nullish(),
  fuse_unk: z.boolean().nullish(),
  byte_fallback: z.boolean().nullish(),
  ignore_merges: z.boolean().nullish(),
});

const longestKept = 64; // UTF-16 units
const mostKept = 20_000;

/** @throws UserError if vocabulary or merges are malformed, or a rule is not computed exactly */
export function createBpe(json: unknown, where: string): WordModel {
  const options = checkValue(json, where, schema);
  if (options.dropout) refuse(where, `"dropout" ${options.dropout}, which is random,`);
  if (options.continuing_subword_prefix) refuse(where, '"continuing_subword_prefix" of a BPE');
  if (options.end_of_word_suffix) refuse(where, '"end_of_word_suffix" of a BPE');
  const vocabulary = readVocabulary(options.vocab, `${where}.vocab`);
  const merges = readMerges(options, vocabulary, `${where}.merges`);
  const library = openLibraryModel("BPE", { vocab: options.vocab, merges });
  const { idOf } = vocabulary;
  const merge = remember((run) => library.bpe(run).map((token) => idOf.get(token)!));
  const bytesOf = (char: string) => {
    const ids = options.byte_fallback ? byteTokens(char).map((token) => idOf.get(token)) : [];
    return ids.length > 0 && !ids.includes(undefined) ? (ids as number[]) : undefined;
  };
  const rules: Rules = {
    idOf,
    merge,
    bytesOf,
    joins: joinsOf(merges),
    unknown: unknownId(options.unk_token, vocabulary, where),
    fuses: options.fuse_unk ?? false,
  };
  const idsOf = remember((word) => {
    const whole = options.ignore_merges ? idOf.get(word) : undefined;
    return whole === undefined ? mergeWord(word, rules) : [whole];
  });
  return { vocabulary, idsOf };
}

type IdsOf = (text: string) => readonly number[];

/** Keeps what was found for texts that are short enough to come again. */
function remember(find: IdsOf): IdsOf {
  const found = new Map<string, readonly number[]>();
  return (text) => {
    const known = found.get(text);
    if (known) return known;
    const ids = find(text);
    if (text.length <= longestKept && found.size < mostKept) found.set(text, ids);
    return ids;
  };
}

interface Rules {
  readonly idOf: ReadonlyMap<string, number>;
  /** The ids of characters that all have a token. */
  readonly merge: IdsOf;
  /** The byte tokens of a character, where the vocabulary has them. */
  readonly bytesOf: (char: string) => readonly number[] | undefined;
  /** Pairs of characters that a merge can join. Between others a run may be cut, so that runs are short enough to come again. */
  readonly joins: ReadonlySet<string>;
  /** Undefined where there is no unknown token: a character without a token is then left out, and its neighbours may merge. */
  readonly unknown: (() => number) | undefined;
  readonly fuses: boolean;
}

function mergeWord(word: string, { idOf, merge, bytesOf, joins, unknown, fuses }: Rules): number[] {
  const ids: number[] = [];
  let run = "";
  let last = ""; // character of the run
  const add = (more: readonly number[]) => {
    for (const id of more) ids.push(id);
  };
  const finishRun = () => {
    if (run !== "") add(merge(run));
    run = "";
  };
  let isPending = false; // an unknown token, which is placed late: after byte tokens that follow it
  const finishUnknown = () => {
    if (isPending && unknown) ids.push(unknown());
    isPending = false;
  };
  for (const char of word) {
    if (idOf.has(char)) {
      finishUnknown();
      if (!joins.has(last + char)) finishRun();
      run += char;
      last = char;
      continue;
    }
    const bytes = bytesOf(char);
    if (bytes === undefined && unknown === undefined) continue;
    finishRun();
    if (bytes) {
      add(bytes);
    } else {
      if (!fuses) finishUnknown();
      isPending = true;
    }
  }
  finishRun();
  finishUnknown();
  return ids;
}

function joinsOf(merges: readonly Merge[]): Set<string> {
  return new Set(
    merges.map(([left, right]) => {
      const first = String.fromCodePoint(right.codePointAt(0) ?? 0);
      return [...left].at(-1) + first;
    }),
  );
}

/** Rust complains only when it meets a character without a token. */
function unknownId(token: string | null | undefined, { idOf }: Vocabulary, where: string) {
  if (token == null) return undefined;
  return () => {
    const id = idOf.get(token);
    if (id !== undefined) return id;
    throw new UserError(
      `${where}: a text has a character without a token, and "unk_token" ${show(token)} is not in "vocab"`,
    );
  };
}

type Merge = [string, string];

/** Merges as pairs, or as older files write them: two tokens with a space between. */
function readMerges(
  { merges, unk_token, byte_fallback }: z.infer<typeof schema>,
  { idOf }: Vocabulary,
  where: string,
): Merge[] {
  const isOld = typeof merges[0] === "string";
  const given = merges.filter((merge) => !(isOld && isVersion(merge)));
  return given.map((merge, i) => {
    const pair = isOld && typeof merge === "string" ? merge.split(" ") : merge;
    const place = `${where}[${i}]`;
    if (!isPair(pair) || isOld !== (typeof merge === "string")) {
      throw new UserError(`${place}: expected two tokens, found ${show(merge)}`);
    }
    for (const token of [...pair, pair.join("")]) {
      if (idOf.has(token)) continue;
      throw new UserError(
        `${place}: ${show(token)} of the merge ${show(merge)} is not in the vocabulary`,
      );
    }
    const isSpecial = (token: string) =>
      token === unk_token || (byte_fallback && tokenByte(token) !== undefined);
    if (pair.some(isSpecial)) refuse(place, "a merge with an unknown or byte token");
    return pair;
  });
}

function isVersion(merge: unknown): boolean {
  return typeof merge === "string" && merge.startsWith("#version");
}

function isPair(value: unknown): value is Merge {
  return (
    Array.isArray(value) && value.length === 2 && value.every((token) => typeof token === "string")
  );
}
