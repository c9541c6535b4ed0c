"""Golden values of the template tests: what Jinja, as transformers compiles it, makes of expressions.

    pip install -r scripts/golden/requirements.txt
    python scripts/golden/expressions.py

Writes test/golden/chatTemplates/expressions.json. An expression that raises has null for its text.
"""

import json
from pathlib import Path

from transformers.utils.chat_template_utils import _compile_jinja_template

OUT = Path(__file__).resolve().parents[2] / "test" / "golden" / "chatTemplates"

DATA = {
    "messages": [{"role": "system", "content": " Be\nbrief. "}, {"role": "user", "content": "Hi 🙂"}],
    "people": [{"name": "Ann", "at": {"home": 1}}, {"name": "Bob", "at": {"home": 2}}],
    "d": {"b": 2, "a": "v", "c": None},
    "nested": {"a": [1, {"b": None, "c": []}], "d": {}, "e": 'é"\x7f🙂'},
    "words": ["b", "B", "a"],
    "empty": [],
    "flag": True,
    "none_there": None,
    "half": 0.5,
    "tiny": 1e-7,
    "small": 0.0001,
    "five": 5,
}

# One a line, as between {{ and }}; those with {% are templates of their own.
EXPRESSIONS = r"""
people|join(", ", attribute="name")
people|join(attribute="at.home")
[[5, 6], [7, 8]]|join("-", attribute=1)
people|join(", ", attribute="age")
people|join(", ", attribute="age.x")
[2.0, true, none, "x", 1]|join(",")
[1, 2]|join(1)
"a🙂"|join("-")
{"x": 1, "y": 2}|join(",")
missing|join
[missing, 1]|join("-")
empty == []
empty != []
[1] == [1]
[1, [2]] == [1, [2.0]]
[1] == [1, 2]
{"a": 1} == {"a": 1}
{"a": 1, "b": 2} == {"b": 2, "a": 1}
{"a": 1} != {"a": 2}
{"a": 1} == {"b": 1}
(1, 2) == (1, 2)
people[0] == {"name": "Ann", "at": {"home": 1}}
"1" == 1
"" == false
"" == 0
"0" == false
[] == ""
[] == false
1 == true
1 == 1.0
0 == false
2 == true
missing == none
missing != none
missing == also_missing
none == none_there
none == false
none == ""
true in [1]
"1" in [1]
1 in ["1"]
[1] in [[1]]
none in [none]
missing in [1]
1 in missing
"b" in d
1 in d
[] in d
"b" not in d
"z" not in d
"i" in "Hi"
"z" not in "Hi"
1 in "1"
missing in "a"
"a" in none
-7 % 3
5 % -2
-7.5 % 2
-6 % 3
-6.0 % 3
6.0 % -3
7 % 3
true % 2
-7 // 2
7.5 // 2
5 // -2
1 / 0
1 // 0
1 % 0
1 % 0.0
"is " ~ flag
none ~ 1 ~ 2.0 ~ missing ~ "x"
flag|string
none|string
2.0|string
missing|string
"a" + 1
"a" + "b"
"a" + flag
1 + 1.5
true + 1
([1] + [2])|join
"🙂x"[0]
"a🙂b"[2]
"a🙂b"[-1]
"a🙂b"[1:]
"🙂a"[::-1]
"ab"[5]
["a", "A", "b"]|unique|join(",")
["a", "A"]|unique(case_sensitive=true)|join(",")
[1, 1.0, true, "1"]|unique|join(",")
(people + people)|unique(attribute="name")|list|length
[[1], [1]]|unique|list|length
words|sort|join
none|trim
1|trim
missing|trim
" x "|trim
"xax"|trim("x")
none.strip()
missing.strip()
"a\x1cb".split()|length
" a  b ".split()|join("|")
-3.7|int
3.7|int
"1e3"|int
"12.9"|int
"-3.7"|int
" 7 "|int
"7_0"|int
"7__0"|int
"x"|int
"x"|int(5)
"x"|int(default=6)
"inf"|int
none|int
[]|int
true|int
missing|int
"1e3"|float
"5."|float
".5"|float
"inf"|float
"-Infinity"|float
"nan"|float
"x"|float
"x"|float(1)
3|float
none|float
d is iterable
(1, 2) is iterable
missing is iterable
five is iterable
missing is sequence
five is sequence
true is number
half is number
"1" is number
"" is upper
"" is lower
"A1" is upper
"aé" is lower
"1" is lower
five is not upper
"a\r\nb"|indent
"a\n\nb"|indent(2)
"a\n\nb"|indent(2, blank=true)
"a\nb"|indent(2, first=true)
"a\nb"|indent("> ", true)
"a\x0bb\x85c\u2028d\r"|indent(1)
""|indent
"a\n"|indent
missing|indent
nested|tojson
nested|tojson(indent=0)
nested|tojson(indent=2)
nested|tojson(indent="->")
nested|tojson(true)
nested|tojson(ensure_ascii=true, indent=1)
nested|tojson(separators=(",", ":"))
nested|tojson(separators=[" , ", " : "], indent=2)
{"b": 1, "a": [2.0, true, none], "B": (1, "x")}|tojson(sort_keys=true)
[]|tojson(indent=2)
missing|tojson
tiny|tojson
tiny
small
small * 0.1
100000000000000000.0
1000000000000000.0
9999999999999998.0
0.1 + 0.2
-0.0 * 1
-half
123456.789 * 1000000000000.0
messages[5].role
messages[5]
messages[5] is defined
messages[0].tool_calls is defined
messages[0].tool_calls.x
messages[0]["x"]["y"]
d.zz
d.zz.y
d.zz.y is defined
d.zz.y|default("z")
d.a.y is defined
none.x is defined
missing.x
missing[0]
"ab".zz is defined
{% filter trim %} x {{ flag }} {% endfilter %}.
{% filter indent(2) %}a{{ "\r\n" }}b{% endfilter %}
{% for m in messages %}{% filter trim %} {{ m.role }} {% endfilter %}{% endfor %}
{% for m in messages %}{% set m = m.role %}{{ m }};{% endfor %}
{% for k, v in d.items() %}{% if loop.first %}{% set v = v ~ "!" %}{% endif %}{{ k }}={{ v }};{% endfor %}
{% set n = namespace(a=[]) %}{% for m in messages %}{% set n.a = n.a + [m.role] %}{% endfor %}{{ n.a|join(",") }}
{% if messages[0].role == "system" and messages|length == 2 %}yes{% endif %}
{% for i in range(4) %}{{ i is odd }}{{ (i % 2 == 0) != flag }}{% endfor %}
people|selectattr("name", "equalto", "Bob")|map(attribute="name")|join
people|selectattr("name")|list|length
people|selectattr("age", "defined")|list|length
"a"|default("b") ~ missing|default("b") ~ none|default("c", true)
"%s"|string ~ "x"|upper
"aBC dEF"|capitalize
none|capitalize
none.capitalize()
missing|length
none|length
{"a": 1, "b": 2}|count
"🙂a"|length
"""


def rendered(line):
    template = line if line.startswith("{%") else "{{ " + line + " }}"
    try:
        return {"template": template, "text": _compile_jinja_template(template).render(**DATA)}
    except Exception:
        return {"template": template, "text": None}


golden = {"data": DATA, "rendered": [rendered(line) for line in EXPRESSIONS.strip().split("\n")]}
path = OUT / "expressions.json"
path.write_text(json.dumps(golden, indent=0) + "\n")
print(f"{path.name}: {path.stat().st_size:,} bytes")
