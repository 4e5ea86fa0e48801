"""`test`, `[` and `[[`: harmless but where a word is evaluated as arithmetic or a subscript."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

from ..arithmetic import text_doubt
from ..model import Tier
from ..values import Arg, Value

if TYPE_CHECKING:
    from ..call import Call
    from ..core import Judge
    from ..spec import Spec

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9]+")
_NUMERIC = frozenset(("-eq", "-ne", "-lt", "-le", "-gt", "-ge"))


def judge_test(call: Call, spec: Spec) -> None:
    """`test` and `[`: only -v and -R evaluate a subscript (bash(1), test)."""
    for arg, following in itertools.pairwise(call.args):
        if not (arg.exact and arg.text in ("-v", "-R")):
            continue
        if not (following.exact and _NAME.fullmatch(following.text)):
            call.add(2, f"`{arg.text} {following.display}` evaluates a subscript")
    for arg in call.args:
        if arg.splits and not (arg.numeric or arg.safe):
            call.add(2, f"`{arg.display}` may become -v, which evaluates a subscript")
    call.output = Value("")


def judge_conditional(judge: Judge, args: list[Arg]) -> tuple[Tier, tuple[str, ...]]:
    """`[[ ]]`: both sides of a numeric comparison are evaluated as arithmetic."""
    expander = judge.expander([])
    for index, arg in enumerate(args):
        if not arg.exact:
            continue
        if arg.text in _NUMERIC and 0 < index < len(args) - 1:
            for side in (args[index - 1], args[index + 1]):
                reason = _number_doubt(judge, side, expander)
                if reason:
                    return Tier.STATEFUL, (reason,)
        elif arg.text in ("-v", "-R") and index + 1 < len(args):
            name = args[index + 1]
            if not (name.exact and _NAME.fullmatch(name.text)):
                return Tier.STATEFUL, (f"`-v {name.display}` evaluates a subscript",)
        elif arg.text.startswith("-t") and len(arg.text) > 2:
            return Tier.STATEFUL, (f"unknown operator `{arg.text}`",)
    return Tier.READ_ONLY, ()


def _number_doubt(judge: Judge, side: Arg, expander: object) -> str:
    from ..expand import Expander

    assert isinstance(expander, Expander)
    if side.numeric:
        return ""
    if not side.exact:
        return f"arithmetic evaluates `{side.display}`, which may hold a command"
    return text_doubt(side.text, judge.scope, expander)
