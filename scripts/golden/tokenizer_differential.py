"""What Hugging Face's Rust tokenizers make of many odd texts, rule by rule and family by family.

    pip install -r scripts/golden/requirements.txt
    python scripts/golden/tokenizer_differential.py

Texts and vocabularies are made here. Outputs are kept as hashes of blocks of texts, the first texts' outputs
in full, so that a failure can be read. Writes test/golden/tokenizers/differential.json.
"""

import hashlib
import itertools
import json
import random
import unicodedata
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

OUT = Path(__file__).resolve().parents[2] / "test" / "golden" / "tokenizers" / "differential.json"
BLOCK = 200  # texts per hash
SHOWN = 12  # texts whose outputs are kept in full
SEED = 20
WORD, SPACE = "▁", " "

# The tables that Rust and JavaScript use are of several versions of Unicode; characters this old are the same in all of them.
OLDEST = unicodedata.ucd_3_2_0


def characters():
    """A few of each general category, and all that are known to be odd."""
    by_category = {}
    for code in range(0x110000):
        category = OLDEST.category(chr(code))
        if category not in ("Cs", "Cn") and category == unicodedata.category(chr(code)):
            by_category.setdefault(category, []).append(chr(code))
    rng = random.Random(SEED)
    picked = {category: rng.sample(found, min(40, len(found))) for category, found in sorted(by_category.items())}
    for category in ("Nd", "Nl", "No", "Zs", "Zl", "Zp", "Pc"):
        picked[category] = by_category[category][:120]
    return picked


ODD = (
    "ß İ ı ſ K Å Σ σ ς ΑΣ ΑΣ. Ǆ ǅ ﬁ ﬀ ﬆ ŉ ẞ ẖ ΐ ϓ ½ ² ³ ¹ ¼ ¾ Ⅷ ⅷ ٣ ४ ₂ ㉈ 〇 一 ０ ９ "
    "é e\u0301 a\u0308\u0323 \u0301 각 각 カ゛ ガ ﾊﾟ 豈 ﷺ … ‥ ™ ﬃ ℌ ˚ º ª × ÷ "
    "中文 日本語 ひらがな カタカナ 한국어 עברית العربية हिन्दी ไทย ελληνικά русский ქართული"
).split() + [
    "\0", "\1", "\x07", "\x0b", "\x0c", "\x1b", "\x1c", "\x1f", "\x7f", "\x85", "\xa0", "\xad", "\u1680", "\u180e",
    "\u2000", "\u2028", "\u2029", "\u200b", "\u200c", "\u200d", "\u202e", "\u202f", "\u205f", "\u2060", "\u3000",
    "\ufeff", "\ufffd", "\uffff", "\u0378", "\ue000", "\U000e0001", "\U000f0000", "\U0010ffff", "\U000e0100",
    "\U0001f642", "👩\u200d👩\u200d👧", "👍🏽", "🇩🇪", "☺\ufe0f", "\U0001d7d9", "\U00010400", "\U00020000",
    "\t", "\n", "\r", "\r\n", "\n\n", " ", "  ", "   ", "▁", "▁▁", "Ġ", "Ċ", "#", "##", "<0x41>", "<0x0A>", "</w>",
]  # fmt: skip
PIECES = (
    "don't we'll I'M he'd 'S 'Re it'ſ O'K won't Tom's , . ! ? ; : ( ) [ ] { } \" ' - -- _ / \\ @ % $ € & * + = < > | ~ ^ "
    "1 22 333 4444 55555 0.5 1,234.50 3x x3 a1b2 camelCase HTTPServer snake_case foo(bar) x**2 a+=1 http://a.b/c?d=e#f "
    "def return import self None True apples books Zoë naïve café question Answer reasoning the of and to in "
    "<s> </s> <unk> <pad> [INST] [/INST] <|im_end|> <|endoftext|> <|eot_id|> <tool> Day day DAY yesterday [CLS] [UNK]"
).split()


def texts():
    picked = list(itertools.chain.from_iterable(characters().values()))
    rng = random.Random(SEED + 1)
    pool = picked + ODD * 6 + PIECES * 6 + [" "] * 400
    yield from ("", " ", "  ", "\n", "\ufeff", "\ufeffa", "a ", " a", "▁a", "a▁ b")
    yield from ODD
    yield from (f"a{char}b {char}{char}c" for char in picked)
    yield from (f" {piece} {piece}{piece}" for piece in PIECES)
    for length in range(1, 30):
        for _ in range(24):
            yield "".join(rng.choice(pool) for _ in range(length))
    for length in range(1, 20):
        for _ in range(10):
            yield SPACE.join(rng.choice(PIECES) for _ in range(length))
    for space, count in itertools.product((" ", "\n", "\t", "\r\n", "\u3000"), (3, 4, 17, 100)):
        yield f"x{space * count}y{space * count}"


def corpus():
    """What the small vocabularies are trained on."""
    rng = random.Random(SEED + 2)
    names, things = ["Tom", "Zoë", "Ann", "Day"], ["apples", "pens", "books", "cups of 日本語", "naïve cafés"]
    for number in range(400):
        name, thing = rng.choice(names), rng.choice(things)
        yield f"{name} has {number} {thing}, and it's {number * 37 % 1000}.50 €; don't you'll?\n"
        yield f"def solution():\n    {thing[:5]} = {number}\n    return {thing[:5]} + {number % 7}\r\n\r\n"
        yield f"{name.upper()} camelCase HTTPServer_{number} {'z' * (number % 9)}{'  ' * (number % 5)}{'!' * (number % 4)}"


TEXTS = list(dict.fromkeys(texts()))
# A word of 100,000 characters each; the test makes them anew.
LONG = ["a" * 100_000, "ab" * 50_000, "".join(chr(97 + (i * i * 7 + i * 13) % 26) for i in range(100_000))]


def digest(outputs):
    """Hashes of blocks of outputs, one JSON text per line."""
    lines = [json.dumps(output, ensure_ascii=False, separators=(",", ":")) for output in outputs]
    blocks = [lines[start : start + BLOCK] for start in range(0, len(lines), BLOCK)]
    return [hashlib.sha256("\n".join(block).encode("utf8")).hexdigest()[:16] for block in blocks]


def rule(part, name, run, inputs):
    """One rule by itself: its settings as the library writes them, and what it makes of the inputs."""
    outputs = [run(text) for text in inputs]
    settings = json.loads(part.__getstate__())
    return {"name": name, "settings": settings, "shown": outputs[:SHOWN], "hashes": digest(outputs)}


GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
DEEPSEEK = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
BLOOM = r" ?[^(\s|[.,!?…。，、।۔،])]+"
# What Oniguruma reads otherwise than JavaScript, and what it can do that JavaScript cannot.
REGEXES = [
    GPT2, LLAMA3, QWEN2, TEKKEN, O200K, DEEPSEEK,
    r"\s+", r"\S", r"\d+", r"\D+", r"\w+", r"[\w]+", r"\W", r"[^\w]", r"\b", r"\B", r"\h+", r"[\h]+", r".+", r"[^\n]",
    r"(?i:s|k|it)", r"\p{Han}+", r"[\p{Han}&&[^一]]", r"[a-z&&[^aeiou]]+", r"[[a-c][x-z]]+", r"\p{^L}", r"[^\p{L}\p{N}\s]",
    r"a*+b", r"(?>a|ab)c", r"\p{L}++\p{N}", r"\s?+\S", r"x{2}", r"z{2,3}", r"z{2,}?", r"z{,2}", r"(?<=\s)\S", r"(?<!\p{L})\p{L}",
    r"\x41|\x{65e5}|\u672c", r"\t|\v|\f|\e|\a", r"\Aa|b\z", r"[一-龥぀-ゟ゠-ヿ]+", r"[+\-*/]", r"[.\]\[-]", BLOOM,
    r"a|", r"x*", r"(ab|cd)+", r"\p{Letter}|\p{Nd}", r"[^\P{L}]", r"\p{Greek}+|\p{Cyrillic}+", r"[\s\S]{1,3}", r"\{\d\}|}",
]  # fmt: skip
BEHAVIORS = ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]


def all_normalizers():
    n = normalizers
    yield from ((name, getattr(n, name)()) for name in ["NFC", "NFD", "NFKC", "NFKD", "Lowercase", "Nmt", "ByteLevel"])
    for left, right in itertools.product([False, True], repeat=2):
        yield f"Strip {left} {right}", n.Strip(left, right)
    yield "Replace text", n.Replace(" ", WORD)
    yield "Replace text by $&", n.Replace("a", "$&")
    yield "Replace empty text", n.Replace("", "-")
    yield "Replace regex", n.Replace(Regex(r"\s{2,}|\d"), " ")
    yield "Replace empty match", n.Replace(Regex("z*"), "-")
    yield "Prepend", n.Prepend(WORD)
    yield "StripAccents after NFD", n.Sequence([n.NFD(), n.StripAccents()])
    for flags in itertools.product([False, True], [False, True], [None, False, True], [False, True]):
        yield f"Bert {flags}", n.BertNormalizer(*flags)
    yield "Sequence", n.Sequence([n.NFKC(), n.Lowercase(), n.Replace("a", "A"), n.Prepend("x"), n.Strip()])
    yield "empty Sequence", n.Sequence([])


def all_pre_tokenizers():
    p = pre_tokenizers
    yield from ((name, getattr(p, name)()) for name in ["BertPreTokenizer", "Whitespace", "WhitespaceSplit"])
    for space, regex in itertools.product([False, True], repeat=2):
        yield f"ByteLevel {space} {regex}", p.ByteLevel(add_prefix_space=space, use_regex=regex)
    for scheme, splits in itertools.product(["always", "first", "never"], [False, True]):
        yield f"Metaspace {scheme} {splits}", p.Metaspace(prepend_scheme=scheme, split=splits)
    yield from ((f"Digits {each}", p.Digits(individual_digits=each)) for each in [False, True])
    yield from ((f"FixedLength {length}", p.FixedLength(length)) for length in [1, 3, 5])
    yield from ((f"CharDelimiterSplit {char}", p.CharDelimiterSplit(char)) for char in [" ", "a", "é"])
    yield from ((f"Punctuation {behavior}", p.Punctuation(behavior)) for behavior in BEHAVIORS)
    patterns = [(repr(text), text) for text in [" ", "a", "zz", ""]]
    patterns += [(regex, Regex(regex)) for regex in [r"\s+", r"\p{N}", r"z|\s*"]]
    for (shown, pattern), behavior, invert in itertools.product(patterns, BEHAVIORS, [False, True]):
        yield f"Split {shown} {behavior} {invert}", p.Split(pattern, behavior, invert)
    for regex in REGEXES:
        yield f"Split {regex}", p.Split(Regex(regex), "isolated")
    yield "StarCoder", p.Sequence([p.Digits(individual_digits=True), p.ByteLevel(add_prefix_space=False)])
    yield "Llama 3", p.Sequence([p.Split(Regex(LLAMA3), "isolated"), p.ByteLevel(add_prefix_space=False, use_regex=False)])
    yield "Bloom", p.Sequence([p.Split(Regex(BLOOM), "isolated"), p.ByteLevel(add_prefix_space=False, use_regex=False)])
    three = [p.Split(Regex(r"\p{N}{1,3}"), "isolated"), p.Split(Regex("[一-龥぀-ゟ゠-ヿ]+"), "isolated"), p.Split(Regex(DEEPSEEK), "isolated")]
    yield "DeepSeek 3", p.Sequence([*three, p.ByteLevel(add_prefix_space=False, use_regex=False)])
    yield "spaced digits", p.Sequence([p.Digits(individual_digits=True), p.ByteLevel(add_prefix_space=True)])
    yield "Metaspace and digits", p.Sequence([p.Metaspace(prepend_scheme="first"), p.Digits(individual_digits=True)])
    yield "words and Metaspace", p.Sequence([p.WhitespaceSplit(), p.Metaspace()])
    yield "empty Sequence", p.Sequence([])


TOKENS = (
    "▁ ▁▁ ▁a a ▁▁b b▁ Ġa Ċ Ġ ĠĠ é â Ĥ ¬ ðŁ Ļ Ĥ <0x41> <0xE2> <0x82> <0xAC> <0xef> <0xBB> <0xBF> <0xFF> <0x+A> <0xG1> "
    "##s ##a ## s </w> a</w> b</w>c n't 'm 've do not . , ? ! <pad> | h h l l o <s> x y Ģ"
).split() + [" ", "  ", " a", " .", " ' ", " do not", " n't", "", "日本", "\ufeff", "a b", " x "]


def token_lists():
    rng = random.Random(SEED + 4)
    yield from ([token] for token in TOKENS if token)
    for length in range(2, 14):
        for _ in range(40):
            yield [rng.choice(TOKENS) for _ in range(length)]


def all_decoders():
    d = decoders
    yield from ((name, getattr(d, name)()) for name in ["ByteLevel", "ByteFallback", "Fuse"])
    yield "BPEDecoder", d.BPEDecoder()
    yield "BPEDecoder a", d.BPEDecoder("a")
    yield from ((f"CTC {cleanup}", d.CTC(cleanup=cleanup)) for cleanup in [False, True])
    yield from ((f"WordPiece {cleanup}", d.WordPiece(cleanup=cleanup)) for cleanup in [False, True])
    yield from ((f"Metaspace {scheme}", d.Metaspace(prepend_scheme=scheme)) for scheme in ["always", "first", "never"])
    yield "Replace", d.Replace(WORD, SPACE)
    yield "Replace regex", d.Replace(Regex(r"\s+|[a-b]*"), "$1")
    yield "Strip start", d.Sequence([d.Fuse(), d.Strip(" ", 1, 0)])
    yield "Strip each start", d.Strip(" ", 2, 0)
    yield "Strip end", d.Sequence([d.Fuse(), d.Strip("s", 0, 1)])  # Rust panics where nothing is left
    yield "Llama", d.Sequence([d.Replace(WORD, SPACE), d.ByteFallback(), d.Fuse(), d.Strip(" ", 1, 0)])
    yield "no prefix", d.Sequence([d.Replace(WORD, SPACE), d.ByteFallback(), d.Fuse()])


def byte_tokens():
    return [f"<0x{byte:02X}>" for byte in range(256)]


def train(model, trainer, pre_tokenizer=None, normalizer=None):
    tokenizer = Tokenizer(model)
    if pre_tokenizer:
        tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.train_from_iterator(corpus(), trainer)
    return json.loads(tokenizer.to_str())["model"]


def trained_models():
    """By name; a tokenizer below is one of these with settings around it."""
    quiet = {"show_progress": False, "min_frequency": 2}
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    marked = normalizers.Sequence([normalizers.Prepend(WORD), normalizers.Replace(" ", WORD)])
    specials = ["<unk>", "<s>", "</s>"]
    bytes_trainer = trainers.BpeTrainer(vocab_size=420, initial_alphabet=alphabet, **quiet)
    yield "bytes", train(models.BPE(), bytes_trainer, byte_level)
    whole = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)])
    yield "bytes ignore_merges", train(models.BPE(ignore_merges=True), bytes_trainer, whole) | {"ignore_merges": True}
    yield "few bytes", train(models.BPE(), trainers.BpeTrainer(vocab_size=200, **quiet), byte_level)
    pieces = trainers.BpeTrainer(vocab_size=640, special_tokens=[*specials, *byte_tokens()], **quiet)
    piece_model = models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>")
    yield "pieces", train(piece_model, pieces, pre_tokenizers.Metaspace(), None)
    longer = train(piece_model, pieces, None, marked)
    yield "long pieces", longer
    holes = dict(longer, vocab={token: index for token, index in longer["vocab"].items() if token != "<0xE2>"})
    yield "a byte missing", holes
    characters_only = trainers.BpeTrainer(vocab_size=160, special_tokens=specials, limit_alphabet=60, **quiet)
    for unk, fuse in [("<unk>", False), ("<unk>", True), (None, False)]:
        model = models.BPE(unk_token=unk, fuse_unk=fuse) if unk else models.BPE()
        yield f"unknown {unk} {fuse}", train(model, characters_only, pre_tokenizers.Whitespace())
    word_piece = trainers.WordPieceTrainer(vocab_size=300, special_tokens=["[UNK]", "[CLS]"], show_progress=False)
    yield "WordPiece", train(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=12), word_piece, pre_tokenizers.BertPreTokenizer())
    word_level = trainers.WordLevelTrainer(vocab_size=120, special_tokens=["[UNK]"], show_progress=False)
    yield "WordLevel", train(models.WordLevel(unk_token="[UNK]"), word_level, pre_tokenizers.Whitespace())
    unigram = trainers.UnigramTrainer(vocab_size=260, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False)
    yield "Unigram", train(models.Unigram(), unigram, pre_tokenizers.Metaspace())
    bytes_unigram = trainers.UnigramTrainer(vocab_size=460, special_tokens=["<unk>", *byte_tokens()], unk_token="<unk>", show_progress=False)
    yield "Unigram byte_fallback", train(models.Unigram(), bytes_unigram, pre_tokenizers.Metaspace()) | {"byte_fallback": True}


def special(*contents):
    return [AddedToken(content, special=True, normalized=False) for content in contents]


def families():
    """(name, model, normalizer, pre-tokenizer, decoder, added tokens), as published; vocabularies are small."""
    n, p, d = normalizers, pre_tokenizers, decoders
    byte_level = p.ByteLevel(add_prefix_space=False)
    rest = p.ByteLevel(add_prefix_space=False, use_regex=False)
    cut = lambda regex, then=rest: p.Sequence([p.Split(Regex(regex), "isolated"), then])  # noqa: E731
    marked = n.Sequence([n.Prepend(WORD), n.Replace(" ", WORD)])
    stripped = d.Sequence([d.Replace(WORD, SPACE), d.ByteFallback(), d.Fuse(), d.Strip(" ", 1, 0)])
    fused = d.Sequence([d.Replace(WORD, SPACE), d.ByteFallback(), d.Fuse()])
    llama = special("<unk>", "<s>", "</s>")
    first = p.Metaspace(prepend_scheme="first", split=False)
    yield "Llama 2", "long pieces", marked, None, stripped, llama
    yield "Llama 2, Metaspace", "pieces", None, first, stripped, llama
    yield "CodeLlama", "long pieces", marked, None, stripped, [*llama, *special("▁<PRE>", "▁<SUF>", "▁<MID>", "▁<EOT>")]
    yield "Mistral 1", "long pieces", marked, None, stripped, llama
    yield "Mistral 3", "pieces", None, first, stripped, [*llama, *special("[INST]", "[/INST]")]
    yield "Mistral, Tekken", "bytes ignore_merges", None, cut(TEKKEN), d.ByteLevel(), special("<s>", "[INST]", "</s>")
    yield "Llama 3", "bytes ignore_merges", None, cut(LLAMA3), d.ByteLevel(), special("<|begin_of_text|>", "<|eot_id|>")
    digits = p.Sequence([p.Digits(individual_digits=True), byte_level])
    yield "SmolLM2", "bytes", None, digits, d.ByteLevel(), special("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    yield "StarCoder2", "bytes", None, digits, d.ByteLevel(), special("<|endoftext|>", "<fim_prefix>")
    qwen = [*special("<|endoftext|>", "<|im_end|>"), AddedToken("<tool>", special=False, normalized=False)]
    yield "Qwen2", "bytes", n.NFC(), cut(QWEN2), d.ByteLevel(), qwen
    yield "GPT-2", "bytes", None, byte_level, d.ByteLevel(), special("<|endoftext|>")
    yield "GPT-2 with a space before", "bytes", None, p.ByteLevel(add_prefix_space=True), d.ByteLevel(), special("</s>")
    yield "Gemma", "pieces", n.Replace(" ", WORD), p.Split(" ", "merged_with_previous"), fused, llama
    yield "BERT", "WordPiece", n.BertNormalizer(), p.BertPreTokenizer(), d.WordPiece(), special("[UNK]", "[CLS]")
    yield "T5 without its normalizer", "Unigram", None, p.Metaspace(), d.Metaspace(), special("<unk>", "</s>")


def kinds_of_tokens():
    """Added tokens with every flag, between texts that they touch."""
    flags = ["single_word", "lstrip", "rstrip", "normalized", "special"]
    for number, values in enumerate(itertools.product([False, True], repeat=len(flags))):
        given = dict(zip(flags, values))
        others = [AddedToken("[INST]", special=False, normalized=True), AddedToken("yester", single_word=True)]
        yield f"added token {values}", [AddedToken("Day", **given), AddedToken("<tool>", **given), *others], number % 2 == 0


def tokenizer(model, normalizer, pre_tokenizer, decoder, added):
    empty = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None}
    empty |= {"pre_tokenizer": None, "post_processor": None, "decoder": None, "model": model}
    made = Tokenizer.from_str(json.dumps(empty))
    for part, value in [("normalizer", normalizer), ("pre_tokenizer", pre_tokenizer), ("decoder", decoder)]:
        if value is not None:
            setattr(made, part, value)
    for token in added:
        (made.add_special_tokens if token.special else made.add_tokens)([token])
    made.encode_special_tokens = True  # control tokens in a text are ordinary text
    return made


def odd_ids(size):
    """Rows of ids that no text gives, one beyond the vocabulary among them; the test makes them anew."""
    return [[(row * row * 31 + place * 977) % (size + 1) for place in range(row % 12 + 1)] for row in range(200)]


def whole(name, model_name, model, *parts):
    made = tokenizer(model, *parts)
    ids = [made.encode(text, add_special_tokens=False).ids for text in TEXTS]
    texts_back = [made.decode(row, skip_special_tokens=True) for row in ids]
    decoded = [made.decode(row, skip_special_tokens=True) for row in odd_ids(made.get_vocab_size())]
    settings = json.loads(made.to_str())
    kept = {part: settings[part] for part in ["added_tokens", "normalizer", "pre_tokenizer", "decoder"]}
    exact = sum(text == back for text, back in zip(TEXTS, texts_back))
    return {
        "name": name, "model": model_name, **kept,
        "shown": ids[:SHOWN], "ids": digest(ids), "texts": digest(texts_back), "exact": exact,
        "size": made.get_vocab_size(), "decoded": digest(decoded),
    }  # fmt: skip


def long_words(model):
    made = tokenizer(model, None, None, None, [])
    return [digest([made.encode(text, add_special_tokens=False).ids])[0] for text in LONG]


def tokenizers_golden(by_name):
    n, p, d = normalizers, pre_tokenizers, decoders
    around = {"bytes": p.ByteLevel(add_prefix_space=False), "few bytes": p.ByteLevel(add_prefix_space=False)}
    for name, model in by_name.items():
        is_marked = name in ("pieces", "long pieces", "a byte missing", "Unigram", "Unigram byte_fallback")
        cut = around.get(name) or (p.Metaspace() if is_marked else p.Whitespace())
        yield whole(f"model {name}", name, model, None, cut, None, [])
    for name, model_name, *parts in families():
        yield whole(name, model_name, by_name[model_name], *parts)
    lowered = n.Sequence([n.Lowercase(), n.Strip()])
    for name, added, is_lowered in kinds_of_tokens():
        if is_lowered:
            yield whole(name, "bytes", by_name["bytes"], lowered, p.ByteLevel(add_prefix_space=False), d.ByteLevel(), added)
        else:
            yield whole(name, "long pieces", by_name["long pieces"], None, p.Metaspace(), d.Metaspace(), added)


def main():
    by_name = dict(trained_models())
    lists = list(token_lists())
    pieces = lambda part: lambda text: [piece for piece, _ in part.pre_tokenize_str(text)]  # noqa: E731
    golden = {
        "texts": TEXTS,
        "tokenLists": lists,
        "normalizers": [rule(part, name, part.normalize_str, TEXTS) for name, part in all_normalizers()],
        "preTokenizers": [rule(part, name, pieces(part), TEXTS[1:]) for name, part in all_pre_tokenizers()],
        "decoders": [rule(part, name, part.decode, lists) for name, part in all_decoders()],
        "models": by_name,
        "tokenizers": list(tokenizers_golden(by_name)),
        "long": {name: long_words(by_name[name]) for name in ["bytes", "long pieces"]},
    }
    OUT.write_text(json.dumps(golden, ensure_ascii=False, separators=(",", ":")) + "\n", "utf8")
    print(f"{len(TEXTS)} texts, {len(golden['tokenizers'])} tokenizers, {OUT.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
