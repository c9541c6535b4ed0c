"""Golden values of the tokenizer tests, from Hugging Face's Rust tokenizers and transformers.

    pip install -r scripts/golden/requirements.txt
    python scripts/golden/tokenizer.py DATA

Control tokens in a text are ordinary text. DATA is a folder with svamp/, gsm8k/ and codellama/. Nothing of it is written: only hashes, counts and
the ids of the texts below. Writes test/golden/tokenizers/.
"""

import hashlib
import json
import sys
import tempfile
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer

from common import real_texts

OUT = Path(__file__).resolve().parents[2] / "test" / "golden" / "tokenizers"
SPECIALS = ["<pad>", "<s>", "</s>"]
CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "bos_token": "<s>",
    "eos_token": "</s>",
    "pad_token": "<pad>",
    "clean_up_tokenization_spaces": False,
}
EDGES = [
    "",
    " ",
    "   leading and trailing   ",
    "a\tb\r\nc\n\n\nd",
    "don't we'll I'M he'd , . ! ?",
    "1,234.50 + 0.5 = 1235; 48/2=24, 100%",
    "naïve café ’quoted’ “text” — €5",
    "日本語 🙂👩‍👩‍👧 z̀",
    "def solution():\n    a = 12\n    return a * 3.5",
    "before </s> after <s><pad>",
    "\u0000\u0007\u00a0x\u2028y",
    "Question:\nHow many?\nAnswer reasoning:\n",
]


def training_texts():
    """Made up here: many ties among the pairs, characters of two to four bytes, runs of one letter."""
    names, things = ["Tom", "Zoë", "Ann"], ["apples", "pens", "books", "cups"]
    for number in range(2, 62):
        name, thing = names[number % 3], things[number % 4]
        yield f"{name} has {number} {thing}. {name} buys {number % 7 + 2} more, for {number}.50 €."
        yield f"How many {thing} does {name} have?\n"
        yield f"def solution():\n    {thing} = {number}\n    return {thing} + {number % 7 + 2}\n"
    yield from ("z" * length for length in range(2, 40))
    yield from ["\ufeff\ufeff a\u0085\u0085 \u0085b"] * 3  # one is a space for JavaScript, one for Rust
    yield from EDGES


def train(texts, vocab_size):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=SPECIALS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def trained_golden():
    texts = list(training_texts())
    tokenizer = train(texts, 500)
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save(f"{folder}/tokenizer.json")
        Path(folder, "tokenizer_config.json").write_text(json.dumps(CONFIG))
        loaded = AutoTokenizer.from_pretrained(folder)
        assert (loaded.pad_token_id, loaded.bos_token_id, loaded.eos_token_id) == (0, 1, 2)
        tokenizer.encode_special_tokens = True
        for text in texts:
            ids = loaded(text, split_special_tokens=True)["input_ids"]
            assert ids == tokenizer.encode(text).ids, text
            assert loaded.decode(ids) == text, text
        saved = json.loads(Path(folder, "tokenizer.json").read_text())
    return {
        "texts": texts,
        "vocabSize": 500,
        "tokenizerJson": saved,
        "tokenizerConfig": CONFIG,
        "edges": [{"text": text, "ids": tokenizer.encode(text).ids} for text in EDGES],
    }


def codellama_golden(data):
    tokenizer = Tokenizer.from_file(str(data / "codellama" / "tokenizer.json"))
    tokenizer.encode_special_tokens = True
    digest = hashlib.sha256()
    texts = tokens = inexact = 0
    for text in real_texts(data):
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        digest.update((",".join(map(str, ids)) + "\n").encode())
        texts, tokens = texts + 1, tokens + len(ids)
        inexact += tokenizer.decode(ids) != text
    return {
        "texts": texts,
        "tokens": tokens,
        "textsThatDecodeDifferently": inexact,
        "sha256": digest.hexdigest(),
        "edges": [
            {"text": text, "ids": ids, "decoded": tokenizer.decode(ids)}
            for text in EDGES
            for ids in [tokenizer.encode(text, add_special_tokens=False).ids]
        ],
    }


def write(name, value):
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / name
    path.write_text(json.dumps(value, ensure_ascii=False) + "\n", "utf8")
    print(f"{path.relative_to(OUT.parent)}: {path.stat().st_size:,} bytes")


write("trained.json", trained_golden())
write("codellama.json", codellama_golden(Path(sys.argv[1])))
