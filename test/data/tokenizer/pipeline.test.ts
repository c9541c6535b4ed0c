import { describe, expect, test } from "vitest";
import { createPipeline } from "../../../src/data/tokenizer/pipeline.ts";
import { UserError } from "../../../src/errors.ts";

const chars = [..."abc d</s>"].filter((char, i, all) => all.indexOf(char) === i);
const vocab: Record<string, number> = { ...Object.fromEntries(chars.map((char, i) => [char, i])) };
const bpe = { type: "BPE", vocab: { ...vocab, ab: 9, abc: 10 }, merges: ["a b", "ab c"] };
const end = { id: 11, content: "</s>", special: true, normalized: false };
const open = (json: object) => createPipeline({ model: bpe, ...json }, "tokenizer.json");

describe("createPipeline", () => {
  test("a control token in a text is ordinary text, and its id is left out of a text", () => {
    const { encode, decode, idOf } = open({ added_tokens: [end], decoder: { type: "Fuse" } });
    expect(idOf("</s>")).toBe(11);
    expect(encode("ab</s>")).toEqual([9, ...["<", "/", "s", ">"].map((char) => vocab[char])]);
    expect(decode([...encode("ab</s>"), 11])).toBe("ab</s>");
  });

  test("an added token that is no control token is found as a whole and kept", () => {
    const { encode, decode } = open({
      added_tokens: [{ ...end, special: false }],
      decoder: { type: "Fuse" },
    });
    expect(encode("ab</s>c")).toEqual([9, 11, vocab.c]);
    expect(decode([9, 11])).toBe("ab</s>");
  });

  test("an added token of spaces is none where another has taken them", () => {
    const space = { ...end, content: " ", id: 3, special: false, lstrip: true, rstrip: true };
    const { encode } = open({
      added_tokens: [space, { ...end, special: false, rstrip: true }],
    });
    expect(encode("  a  b ")).toEqual([3, 0, 3, 1, 3]); // as Rust, also the following
    expect(encode("</s>   a b")).toEqual([11, 0, 3, 1]);
  });

  test("a control token that a template writes is refused where Rust looks for it in another text", () => {
    const { encode } = open({ added_tokens: [{ ...end, normalized: true }] });
    expect(encode("ab")).toEqual([9]);
    expect(() => encode("ab</s>", [{ start: 0, end: 6 }])).toThrow(
      /template writes the control token "<\/s>", which has "normalized": true/,
    );
  });

  test("half a surrogate pair is taken for U+FFFD, as in UTF-8", () => {
    const model = { ...bpe, vocab: { ...bpe.vocab, "\uFFFD": 11 } };
    expect(open({ model }).encode("a\uD800b")).toEqual([0, 11, 1]);
  });

  test("merges are read as pairs or as text, and a pair's tokens may hold a space", () => {
    const merges = [
      ["a", "b"],
      ["ab", " "],
      ["ab ", "d"],
    ];
    const model = { ...bpe, vocab: { ...vocab, ab: 9, "ab ": 10, "ab d": 11 }, merges };
    expect(open({ model }).encode("ab d")).toEqual([11]);
    const versioned = { ...bpe, type: undefined, merges: ["#version: 0.2", ...bpe.merges] };
    expect(open({ model: versioned }).encode("abc")).toEqual([10]);
  });

  test("an expression is not compiled with the flag v, with which V8 11.3 misses this match", () => {
    const chars = [..." \u02b4day"];
    const model = {
      ...bpe,
      vocab: Object.fromEntries(chars.map((char, i) => [char, i])),
      merges: [],
    };
    const pattern = { Regex: "\\s{2}(?: [^*]*?){2}" };
    const pre_tokenizer = { type: "Split", pattern, behavior: "Removed", invert: false };
    expect(open({ model, pre_tokenizer }).encode("   \u02b4 day")).toEqual([2, 3, 4]); // as Rust
  });

  const twice = () => {
    const added = { ...end, special: false, normalized: true };
    const added_tokens = [added, { ...added, id: 12, content: "</S>" }];
    return { added_tokens, normalizer: { type: "Lowercase" } };
  };
  const withIds = (ids: object) => ({ model: { ...bpe, vocab: { ...bpe.vocab, ...ids } } });
  test.each([
    [withIds({ zzz: 2_147_483_647 }), /model\.vocab: .*"zzz" .* 0 to 24 .*found 2147483647/],
    [withIds({ zzz: -5 }), /"zzz".*found -5/],
    [withIds({ zzz: 1.5 }), /"zzz".*found 1\.5/],
    [withIds({ zzz: "3" }), /"zzz".*found "3"/],
    [withIds({ zzz: 9 }), /"ab" and "zzz" have the same id 9/],
    [{ model: { ...bpe, vocab: [["a", 1]] } }, /model\.vocab: expected an object.*found \[/],
    [{ model: { ...bpe, vocab: undefined } }, /model\.vocab: expected an object.*found undefined/],
    [{ model: { ...bpe, vocab: {}, merges: [] } }, /expected a vocabulary, found no token/],
    [{ model: { ...bpe, merges: {} } }, /model: "merges": expected a list/],
    [{ model: { ...bpe, merges: ["a q"] } }, /merges\[0\]: "q" of the merge "a q" is not in the/],
    [{ model: { ...bpe, merges: ["b a"] } }, /merges\[0\]: "ba" of the merge/],
    [{ model: { ...bpe, merges: ["a b", "a b c"] } }, /merges\[1\]: expected two tokens/],
    [{ model: { ...bpe, merges: ["a b", ["a", "b"]] } }, /merges\[1\]: expected two tokens/],
    [{ model: { ...bpe, merges: [["a", 1]] } }, /merges\[0\]: expected two tokens/],
    [{ added_tokens: [{ ...end, id: 2_147_483_647 }] }, /"<\/s>" to have the id 11.*2147483647/],
    [{ added_tokens: [{ ...end, id: -1 }] }, /"added_tokens\.0\.id"/],
    [{ added_tokens: [{ ...end, id: 12 }] }, /"<\/s>" to have the id 11, as Rust's.*found 12/],
    [twice(), /two added tokens are the same, or one is empty, after normalization/],
    [{ model: { type: "WordLevel", vocab, unk_token: "?" } }, /"unk_token" "\?" to be in "vocab"/],
    [{ model: { type: "Unigram", vocab: [["a", -1]], unk_id: 1 } }, /"unk_id" to be a place in/],
    [{ model: 5 }, /"model": expected an object/],
  ])("refuses malformed vocabularies and merges: %#", (json, message) => {
    expect(() => open(json)).toThrow(UserError);
    expect(() => open(json)).toThrow(message);
  });

  const split = (Regex: string) => ({
    pre_tokenizer: { type: "Split", pattern: { Regex }, behavior: "Isolated", invert: false },
  });
  const nested = (levels: number) => {
    let json: object = { type: "NFC" };
    for (let level = 0; level < levels; level++) json = { type: "Sequence", normalizers: [json] };
    return json;
  };
  const first = { type: "Metaspace", replacement: "▁", prepend_scheme: "first" };
  test.each([
    [{ normalizer: { type: "Precompiled", precompiled_charsmap: "" } }, /normalizer "Precompiled"/],
    [
      { normalizer: { type: "Sequence", normalizers: [{ type: "Unknown" }] } },
      /normalizer\.normalizers\[0\]: the normalizer "Unknown" is not supported/,
    ],
    [{ pre_tokenizer: { type: "UnicodeScripts" } }, /pre-tokenizer "UnicodeScripts"/],
    [{ pre_tokenizer: { type: "Split", behavior: "Isolated" } }, /"pattern".*"invert"/],
    [{ pre_tokenizer: { ...split("a").pre_tokenizer, behavior: "isolated" } }, /"behavior"/],
    [
      { pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "Whitespace" }, first] } },
      /pretokenizers\[1\]: "prepend_scheme": "first" after another pre-tokenizer/,
    ],
    [{ normalizer: { type: "NFC" }, pre_tokenizer: first }, /"first" after a normalizer/],
    [{ decoder: { type: "Nonsense" } }, /decoder "Nonsense"/],
    [{ model: { ...bpe, dropout: 0.1 } }, /"dropout" 0.1/],
    [{ model: { ...bpe, end_of_word_suffix: "</w>" } }, /"end_of_word_suffix"/],
    [{ model: { ...bpe, continuing_subword_prefix: "##" } }, /"continuing_subword_prefix"/],
    [{ model: { ...bpe, unk_token: "ab" } }, /a merge with an unknown or byte token/],
    [{ model: { ...bpe, type: "Other" } }, /model "Other"/],
    [split("^a"), /pattern\.Regex: the regular expression "\^a" has "\^" at character 1/],
    [split("a$"), /has "\$"/],
    [split("(?i:stop)"), /has "s" within "\(\?i:"/],
    [split("(?i:[a-z])"), /has "\[" within/],
    [split("(?i)a"), /a group of another kind/],
    [split("(?<name>a)\\k<name>"), /a group of another kind/],
    [split("(a)\\1"), /has "\\1"/],
    [split("a{2}+"), /a quantifier after a quantifier/],
    [split("(a?|b)+"), /a repeated part that can be empty/],
    [split("(?:a*b*)?"), /a repeated part that can be empty/],
    [split("[[:alpha:]]"), /a POSIX class/],
    [split("\\p{Emoji}"), /the property "Emoji"/],
    [split("\\p{l}"), /a name of another form/],
    [split("\\G\\X"), /has "\\G"/],
    [split("(?<=(?>a))b"), /within a lookbehind/],
    [split("[\\w-z]"), /a "-" after a set/],
    [split("a)"), /too many/],
    [split(`${"(".repeat(20_000)}a`), /groups nested deeper than 100/],
    [split("[".repeat(20_000)), /classes nested deeper than 100/],
    [{ normalizer: nested(20_000) }, /tokenizer\.json: nested deeper than 128 levels/],
    [split("(a"), /without an end/],
    [split("[a"), /no end/],
  ])("refuses by name what is not computed exactly: %#", (json, message) => {
    expect(() => open(json)).toThrow(UserError);
    expect(() => open(json)).toThrow(message);
  });

  test("refuses a text for which an expression takes time without end", () => {
    const { encode } = open(split("(?:a+)+b"));
    expect(() => encode("a".repeat(40))).toThrow(
      /its expressions take too long for the text "a+": use another tokenizer/,
    );
  });

  test("refuses a text that rules make larger than any text", () => {
    const double = { type: "Replace", pattern: { String: "a" }, content: "aaaaaaaa" };
    const { encode } = open({
      normalizer: { type: "Sequence", normalizers: Array(11).fill(double) },
    });
    expect(() => encode("a")).toThrow(/normalizer: makes 1 characters 32768: use another/);
  });
});
