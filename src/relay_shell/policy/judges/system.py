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


_NTPQ_READ = frozenset(
    (
        "addvars associations authinfo as cl clearvars cooked cv debug delay exit help"
        " host hostnames ifstats iostats kerninfo keyid keytype lassociations lopeers"
        " lpassociations lpeers mreadlist mreadvar mrl mrulist mrv monstats ntpversion"
        " opeers passociations peers poll pstats pstatus quit raw readlist readvar reslist"
        " rl rmvars rv showvars sysinfo sysstats timeout timerstats version apeers"
        " clocklist clockvar"
    ).split()
)


def judge_ntpq(call: Call, spec: Spec) -> None:
    """`ntpq`: asks a server; `:config`, `config-from-file`, `saveconfig` and others change it."""
    for request in by_spec(call, spec).all("-c", "--command"):
        words = request.text.split()
        if not request.exact or (words and words[0] not in _NTPQ_READ):
            call.add(2, f"request {request.display} of `ntpq` is not known to only read")


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
