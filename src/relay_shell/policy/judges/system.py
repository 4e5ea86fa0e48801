"""Small rules of system programs whose operands decide."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..programs import by_spec
from ..values import NUMBER, Value

if TYPE_CHECKING:
    from ..call import Call
    from ..spec import Spec


def judge_date(call: Call, spec: Spec) -> None:
    """`date`: an operand without `+` sets the clock."""
    parsed = by_spec(call, spec)
    for arg in parsed.operands:
        if not arg.text.startswith("+"):
            call.add(2, f"`date {arg.display}` sets the clock")
        elif arg.exact and re.fullmatch(r"\+(?:%-?[sYmdHMSjuwNyeklIUV])+", arg.text):
            call.output = NUMBER
        elif arg.exact and re.fullmatch(r"\+[%\w:.,/+-]+", arg.text):
            call.output = Value(safe=True)


def judge_tput(call: Call, spec: Spec) -> None:
    """`tput`: asks terminfo; `init` and `reset` write the terminal and its tab file."""
    words = [arg.text for arg in call.args if arg.exact]
    if len(words) < len(call.args) or any(w in ("init", "reset") for w in words):
        call.add(1, "`tput` resets the terminal")
    call.output = NUMBER if words and words[-1] in ("cols", "lines", "colors") else call.output


def judge_stty(call: Call, spec: Spec) -> None:
    """`stty`: `size` and `speed` are shown, other words set the terminal."""
    for arg in by_spec(call, spec).operands:
        if not (arg.exact and arg.text in ("size", "speed")):
            call.add(2, "`stty` sets the terminal")
