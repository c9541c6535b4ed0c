"""Golden values of the prompts' tests: what transformers makes of conversations with chat templates, and Jinja of small templates.

    pip install -r scripts/golden/requirements.txt
    python scripts/golden/chat_templates.py DATA

DATA/chat_templates has LLaMA's templates, as test/golden/chatTemplates/README.md says; of these only hashes are written. Writes
test/golden/chatTemplates/golden.json.
"""

import datetime
import hashlib
import json
import sys
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast
from transformers.utils import chat_template_utils

OUT = Path(__file__).resolve().parents[2] / "test" / "golden" / "chatTemplates"
DATE = "2024-07-06"

QUESTIONS = [
    "Tom has 12 apples and eats 5. How many are left?",
    "  spaces before and after  ",
    "\n\nlines\nbefore and after\n\n",
    "naïve café ’quoted’ — €5, 日本語 🙂👩‍👩‍👧 z̀",
    "{{ messages }} {% raw %} {# no comment #} {%- endif %}",
    "a\ttab, a \\ backslash, \"quotes\", 'more'",
    "\ufeffa mark that only JavaScript trims\ufeff",
    "\x1c\x85 spaces that only Python trims \x85\x1f",
    "\u00a0\u2003wide spaces\u3000",
    "[MINST] and <tags> & | pipes <|not_a_token|>",
    "None",
    "0",
]
SYSTEMS = [None, "Answer with a program.", "  Two\nlines, with spaces.  "]
ANSWERS = [
    "def solution():\n    return 7",
    "There are 7.",
    "  indented\nlast line ends in spaces  ",
    "def solution():\n    return 7\n",
    "日本語 🙂",
]
INJECTIONS = ["<|im_end|>", "<|im_start|>system\n", "</s>[INST]", "<|eot_id|>", "<|eot|>"]

# Templates without a conversation, with what they see: whatever Python and JavaScript do each in their way.
DATA = {
    "question": "How many?",
    "padded": " \x85\n pad \u3000",
    "emoji": "🙂🙂 a",
    "level": "hard",
    "count": 3,
    "ratio": 0.5,
    "yes": True,
    "nothing": None,
    "words": ["red", "green", "blue"],
    "table": {"a": 1, "b": ["x", "ü\"\\\n"]},
}
TEMPLATES = [
    "{{ question }}\n",
    "a\r\nb\rc {{ question }}\r\n",
    "  {% if yes %}\n  yes\n  {% endif %}\nend",
    "{% if yes %}\nx\n{% endif %}\n{# note #}\ny",
    "{%- for w in words -%} {{ w }} {%- endfor -%} .",
    "[{{ padded | trim }}] [{{ padded.strip() }}] [{{ padded.lstrip() }}] [{{ padded.rstrip() }}]",
    "{{ 'xxaxx'.strip('x') }} {{ '\\n a \\n'.lstrip('\\n') }}| {{ '--a--' | trim('-') }} {{ 'abc'.rstrip('cb') }}",
    "{{ emoji | length }} {{ emoji | count }} {{ words | length }} {{ table | length }} {{ missing | length }}",
    "{{ yes }} {{ nothing }} {{ not yes }} {{ count }} {{ ratio }} {{ count + 1 }} {{ missing }}",
    "{{ level | upper }} {{ 'aBC dEF' | capitalize }} {{ 'aBC dEF'.capitalize() }}",
    "{% for w in words %}{% if loop.first %}{% set seen = w %}{% endif %}[{{ seen }}]{% endfor %}{{ seen is defined }}",
    "{% set seen = 'out' %}{% for w in words %}{{ seen }} {% set seen = w %}{{ seen }};{% endfor %}{{ seen }}",
    "{% set n = namespace(k=0) %}{% for w in words %}{% set n.k = n.k + loop.index %}{% endfor %}{{ n.k }}",
    "{{ table | tojson }} {{ words | tojson(indent=2) }} {{ '<b> & ü' | tojson }}",
    "{{ words | join(', ') }} {{ words[0] }} {{ words[-1] }} {{ words[1:] | join }} {{ words | last }}",
    "{% if level == 'hard' %}think {% elif level in ['easy'] %}go {% else %}? {% endif %}{{ level }}",
    "{{ 'how' in question.lower() }} {{ question.startswith('How') }} {{ question.endswith(('?', '!')) }}",
    "{{ question.split(' ')[1] }} {{ 'a--b--c'.split('--', 1) | join('|') }} {{ question | replace('?', '!') }}",
    "{% for k, v in table.items() %}{{ k }}={{ v | tojson }};{% endfor %}{% for i in range(3) %}{{ i }}{% endfor %}{% for i in range(5, 0, -2) %}{{ i }}{% endfor %}",
    "{% macro ask(q, end='.') %}<{{ q }}{{ end }}>{% endmacro %}{{ ask(question) }}{{ ask(level, end='!') }}",
    "{{ hint | default('no hint') }} {{ 'x' if missing is defined else 'y' }} {{ words is iterable }} {{ level is string }}",
    "{% for w in words if w != 'red' %}{{ loop.index }}{{ w }}{% endfor %}",
    "{% set n = namespace(k=0) %}{% for w in words %}{% if loop.index == 2 %}{% break %}{% endif %}{% set n.k = n.k + 1 %}{% endfor %}{{ n.k }}",
    "{{ 7 // 2 }} {{ 7 % 4 }} {{ 2 ** 3 }} {{ 'a' ~ 1 }} {{ 'ab' * 1 if false else 'z' }}",
    "{{ strftime_now('%d %b %Y') }} {{ strftime_now('%A, %B %d, %y; %a %m %%') }}",
    "{{ '%s' }} {{ \"\\u00e4\" if false else 'ok' }} {{ 'tab\\tnew\\nline' }}",
]


class Day(datetime.datetime):
    @classmethod
    def now(cls):
        return cls.fromisoformat(DATE)


chat_template_utils.datetime = Day


def texts():
    for question in QUESTIONS * 3 + INJECTIONS:
        yield f"user\n{question}"
        yield f"system\n{question}\nassistant"
    yield from ANSWERS


def byte_level():
    """Cut into words as LLaMA 3 and Qwen do it."""
    tokenizer = Tokenizer(models.BPE())
    pattern = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    from tokenizers import Regex

    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(texts(), trainer)
    control = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|header|>", "<|/header|>", "<|eot|>"]
    control += ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    control += ["<s>", "</s>", "[INST]", "[/INST]"]
    tokenizer.add_special_tokens([AddedToken(text, normalized=False) for text in control])
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in ["<think>", "</think>"]])
    return tokenizer


def metaspace():
    """A space goes before the first word of a text alone, as in Mistral's."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=520,
        special_tokens=["<unk>", *[f"<0x{byte:02X}>" for byte in range(256)]],
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts(), trainer)
    file = json.loads(tokenizer.to_str())
    file["added_tokens"] = [token for token in file["added_tokens"] if token["content"] == "<unk>"]
    tokenizer = Tokenizer.from_str(json.dumps(file))
    control = ["<s>", "</s>", "[INST]", "[/INST]"]
    tokenizer.add_special_tokens([AddedToken(text, normalized=False) for text in control])
    return tokenizer


NAMES = {
    "chatml": {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"},
    "llama": {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"},
    "dated": {"bos_token": "<s>", "eos_token": "</s>"},
    "mistral": {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
}
FAMILIES = {
    "smollm2": ("byteLevel", "chatml"),
    "qwen2.5": ("byteLevel", "chatml"),
    "qwen3": ("byteLevel", "chatml"),
    "mistral-v3": ("metaspace", "mistral"),
    "mistral-nemo": ("byteLevel", "dated"),
    "dated": ("byteLevel", "dated"),
    "llama3": ("byteLevel", "llama"),
    "llama3_1": ("byteLevel", "llama"),
    "llama3_2": ("byteLevel", "llama"),
}


def sha256(value):
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def outcome(tokenizer, messages, asks, is_open):
    given = dict(add_generation_prompt=asks)
    text = tokenizer.apply_chat_template(messages, tokenize=False, **given)
    ids = tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False, **given)
    return {"text": text, "ids": ids} if is_open else {"text": sha256(text), "ids": sha256(ids)}


def conversations(tokenizer, is_open):
    numbers = [(q, s, a) for q in range(len(QUESTIONS)) for s in range(3) for a in [(q + s) % 5]]
    for question, system, answer in numbers:
        if SYSTEMS[system] is not None and question % 3 and system == 2:
            continue
        messages = [{"role": "user", "content": QUESTIONS[question]}]
        if SYSTEMS[system] is not None:
            messages.insert(0, {"role": "system", "content": SYSTEMS[system]})
        whole = [*messages, {"role": "assistant", "content": ANSWERS[answer]}]
        texts = [
            tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=asks)
            for asked, asks in [(messages, True), (whole, False)]
        ]
        goes_on = texts[1].startswith(texts[0])  # Mistral's leave the system's message out
        yield {
            **{"question": question, "system": system, "answer": answer},
            "prompt": outcome(tokenizer, messages, True, is_open),
            "whole": outcome(tokenizer, whole, False, is_open)["ids"] if goes_on else None,
        }


def main(data):
    tokenizers = {"byteLevel": byte_level(), "metaspace": metaspace()}
    families = []
    for name, (base, names) in FAMILIES.items():
        is_open = not name.startswith("llama")
        folder = OUT if is_open else data / "chat_templates"
        source = (folder / f"{name}.jinja").read_text("utf8")
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokenizers[base], **NAMES[names])
        tokenizer.chat_template = source
        cases = list(conversations(tokenizer, is_open))
        families.append({"name": name, "tokenizer": base, "names": NAMES[names], "cases": cases})
    compiled = chat_template_utils._compile_jinja_template
    rendered = [{"template": text, "text": compiled(text).render(**DATA)} for text in TEMPLATES]
    golden = {
        "date": DATE,
        **{"questions": QUESTIONS, "systems": SYSTEMS, "answers": ANSWERS, "injections": INJECTIONS},
        "families": families,
        **{"data": DATA, "rendered": rendered},
    }
    (OUT / "golden.json").write_text(json.dumps(golden, ensure_ascii=True) + "\n")
    for name, tokenizer in tokenizers.items():
        (OUT / f"{name}.json").write_text(tokenizer.to_str() + "\n")
    for path in sorted(OUT.glob("*.json")):
        print(f"{path.name}: {path.stat().st_size:,} bytes")


main(Path(sys.argv[1]))
