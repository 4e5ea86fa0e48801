"""Records whose facts are whatever a client, a worker or a forger may have put there."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from relay_shell.evidence.events import EVENTS
from relay_shell.evidence.record import FIELDS

TRICKS = [
    "a\nCEF:0|x|x|x|x|x|10|act=forged",
    "a\r\n<0>1 - - - - - - forged",
    "x\tusrName=root\tsev=1",
    "x usrName=root sev=1 = | \\ \\= \\n",
    "x^usrName=root^",
    "\u2028LEEF:2.0|a|b|c|d|^|e=f\u2029\x85\x0b\x0c\x1c",
    "\x00\x1b[2J\u202egnp.exe\ufeff",
    "\udc80\ud800",
    " leading and trailing ",
    "key=value other=\\",
    "",
]
text = st.one_of(
    st.text(max_size=60),
    st.sampled_from(TRICKS),
    st.text(alphabet="=|\\\n\r\t^ aA\u2028\x00\ud800", max_size=30),
)
_values: dict[str, Any] = {
    "string": text,
    "integer": st.integers(-(2**70), 2**70),
    "boolean": st.booleans(),
    "array": st.lists(text, max_size=4),
    "object": st.dictionaries(text, st.one_of(text, st.integers(), st.lists(text)), max_size=4),
}


def _of(kinds: str) -> Any:
    return st.one_of([_values[kind] for kind in kinds.split("|")])


records = st.builds(
    lambda facts, more, event: {**facts, **more, "event": event},
    st.fixed_dictionaries({}, optional={name: _of(row.type) for name, row in FIELDS.items()}),
    st.dictionaries(text, text, max_size=2),
    st.one_of(st.sampled_from(sorted(EVENTS)), text),
)
