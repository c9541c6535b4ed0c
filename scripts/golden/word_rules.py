"""The rules by which byte-level tokenizers cut words, from Hugging Face's Rust tokenizers.

    pip install -r scripts/golden/requirements.txt
    python scripts/golden/word_rules.py

Writes test/golden/tokenizers/wordRules.json: a byte-level vocabulary whose merges were learnt from whole texts, so
that ids differ wherever a text is cut elsewhere, and the ids of TEXTS under each rule. The rules are put together as the
models' own tokenizer.json have them; llama.cpp (00ad355e, src/llama-vocab.cpp) quotes these beside its own expressions.
"""

import json

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence, Split

from common import GOLDEN

TEXTS = [
    "",
    " ",
    "  two  spaces   three    ",
    "a\tb\t\tc \t d",
    "line\r\nline\n\n\nline \n line\r\r x\n",
    "don't I'LL we've He'D they'Re 'tis 'Sam's'S ''ll",
    "1 12 123 1234 12345678 x12y 3.14159 1,000,000",
    "48/2=24; (12+30)*2 == 84 != 85, 100% $5.50 #1!?\n...\n  end",
    "½ ¾ ² ⅧⅨ ٣٤٥ १२३ 百二十 ①②③",
    "naïve café Zoë ŒUVRE straße ǅ ʰ z̀ é",
    "日本語です。 한국어 русский ελληνικά עברית العربية ไทย",
    "🙂👩‍👩‍👧 🏳️‍🌈 text🙂text 🙂🙂",
    "\u00a0no\u00a0break \u2028 line\u3000wide\u200bzero next\x0b\x0c",
    "def solution():\n    total = 12 * 3\n\n    return total  # done\n",
    "_under_score__ CamelCase kebab-case a.b.c http://x.y/z?q=1&r=2",
    "x  12   345 \n6   \n  7",
    "!\n!\n! !\n?!\n hey!\nho!\r\nhi!\n\n#!\n",
    " whole unreachable words",
]

CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LETTERS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
SIGNS = r" ?[^\s\p{L}\p{N}]+[\r\n]*"
REST = r"\s*[\r\n]+|\s+(?!\S)|\s+"


def modern(digits, signs=SIGNS):
    return Split(Regex(f"{CONTRACTIONS}|{LETTERS}|{digits}|{signs}|{REST}"), "isolated")


def level(use_regex):
    return ByteLevel(add_prefix_space=False, use_regex=use_regex)


# By one name of each: how words are cut, and whether a word that is a token is taken whatever the merges say.
RULES = {
    "gpt-2": (level(True), False),
    "smollm": (Sequence([Digits(individual_digits=True), level(True)]), False),
    "llama-bpe": (Sequence([modern(r"\p{N}{1,3}"), level(False)]), True),
    "dbrx": (Sequence([modern(r"\p{N}{1,3}"), level(False)]), False),
    "qwen2": (Sequence([modern(r"\p{N}"), level(False)]), False),
    "seed-coder": (Sequence([modern(r"\p{N}", r" ?[^\s\p{L}\p{N}\r\n]+"), level(False)]), False),
    "minicpm5": (
        Sequence([Split(Regex(r"\p{N}{1,3}"), "isolated"), modern(r"\p{N}+"), level(False)]),
        True,
    ),
}


def vocabulary():
    """Merges may join anything: words, spaces, digits, line ends. The last token comes of no merge."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = level(False)
    trainer = trainers.BpeTrainer(
        vocab_size=900,
        min_frequency=1,
        max_token_length=6,
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    return [*tokens, "Ġunreachable"], [tuple(merge) for merge in model["merges"]]


def ids_under(rule, tokens, merges):
    pre_tokenizer, ignore_merges = RULES[rule]
    vocab = {token: i for i, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab, merges, ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    ids = [tokenizer.encode(text).ids for text in TEXTS]
    assert [tokenizer.decode(found) for found in ids] == TEXTS
    return ids


tokens, merges = vocabulary()
golden = {
    "texts": TEXTS,
    "tokens": tokens,
    "merges": [" ".join(merge) for merge in merges],
    "ids": {rule: ids_under(rule, tokens, merges) for rule in RULES},
}
# The texts tell all rules apart.
assert len({json.dumps(ids) for ids in golden["ids"].values()}) == len(RULES)
path = GOLDEN / "tokenizers" / "wordRules.json"
path.write_text(json.dumps(golden, ensure_ascii=False) + "\n", "utf8")
print(f"{path.relative_to(GOLDEN)}: {path.stat().st_size:,} bytes")
