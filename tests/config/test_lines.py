"""The line of each key, told beside tomllib."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_shell.config.lines import key_lines, line_of

TRICKY = '''\
# [a] x = 1
top = 1 # [b]
[a]
one = "#" # two = 2
two = """
three = 3
[b]
\\""" four = 4 """
three = [ "]", # [
  { x = "}" },
  \'\'\'
four = 1\'\'\'
] # ]
"quoted key" = 1
four.five = """""""
['b c'.d]
x={y={z=1}}
[[e]]
f = """a"""  # "
g = 'it"s'
[e.h]
i = 1
[[e]]
[e.h]
j.k = 1
[[e.l]]
[[e.l]]
m = 1
'''


def test_tricky() -> None:
    tomllib.loads(TRICKY)
    found = key_lines(TRICKY)
    assert found == {
        ("top",): 2,
        ("a",): 3,
        ("a", "one"): 4,
        ("a", "two"): 5,
        ("a", "three"): 9,
        ("a", "quoted key"): 14,
        ("a", "four", "five"): 15,
        ("b c", "d"): 16,
        ("b c", "d", "x"): 17,
        ("e", "0"): 18,
        ("e", "0", "f"): 19,
        ("e", "0", "g"): 20,
        ("e", "0", "h"): 21,
        ("e", "0", "h", "i"): 22,
        ("e", "1"): 23,
        ("e", "1", "h"): 24,
        ("e", "1", "h", "j", "k"): 25,
        ("e", "1", "l", "0"): 26,
        ("e", "1", "l", "1"): 27,
        ("e", "1", "l", "1", "m"): 28,
    }
    assert line_of(found, ("e",)) == 18
    assert line_of(found, ("b c", "d", "x", "y", "z")) == 17
    assert line_of(found, ("a", "four")) == 15
    assert line_of(found, ("nowhere",)) == 0


TEXTS = st.text("ab\"'\\#[]{}=\n.,", max_size=12)
VALUES = st.one_of(
    TEXTS.filter(lambda s: "'''" not in s and not s.endswith("'")).map(lambda s: f"'''\n{s}'''"),
    TEXTS.filter(lambda s: "\n" not in s and "'" not in s).map(lambda s: f"'{s}'"),
    st.lists(st.sampled_from(["1", '"]"', "'['", "{a = ']'}", "# ]\n1"]), max_size=4).map(
        lambda items: "[\n" + ",\n".join(items) + "\n]"
    ),
    st.just("1 # k99 = 2"),
)


@given(st.lists(VALUES, max_size=8))
def test_whatever_stands_in_the_values(values: list[str]) -> None:
    text, expected = "", {}
    for n, value in enumerate(values):
        expected[(f"k{n}",)] = text.count("\n") + 1
        text += f"k{n} = {value}\n"
    tomllib.loads(text)
    assert key_lines(text) == expected


@pytest.mark.parametrize("text", ['"""', "[[[[", "= =\n=", '\\"', "a = '''\nb = 1"])
def test_a_scan_of_what_is_no_toml_ends(text) -> None:
    key_lines(text)
