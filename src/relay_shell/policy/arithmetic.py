"""Arithmetic evaluation, which executes substitutions hidden in variable values.

bash evaluates the value of each name as an expression again, and a subscript such as
`a[$(cmd)]` in it runs the command, so only numbers may reach it.
"""

from __future__ import annotations

import re

from . import environment
from .expand import Expander
from .syntax import Literal, Word
from .values import NUMBER, Scope, is_number

_TOKENS = re.compile(r"[\s;0-9A-Za-z_+\-*/%<>=!&|^~?:,.()#@]*")
_NAME = re.compile(r"(?<![0-9A-Za-z_#.])[A-Za-z_][A-Za-z0-9_]*")
_TARGET = re.compile(
    r"(?:\+\+|--)\s*([A-Za-z_]\w*)|([A-Za-z_]\w*)\s*(?:\+\+|--|[-+*/%&|^]?=(?!=)|<<=|>>=)"
)


def assigned_names(text: str) -> set[str]:
    """Names that an expression assigns; they hold numbers afterwards."""
    return {first or second for first, second in _TARGET.findall(text)}


def text_doubt(text: str, scope: Scope, expander: Expander) -> str:
    """Why evaluating arithmetic text may execute something, or nothing."""
    if not _TOKENS.fullmatch(text):
        return "arithmetic that the text does not resolve"
    targets = assigned_names(text)
    for name in _NAME.findall(text):
        if name not in targets and not is_number(expander.lookup(name)):
            return f"arithmetic evaluates the value of `{name}`, which may hold a command"
    for name in targets:
        tier, reason = environment.changed(scope, name)
        if tier:
            return reason
        scope.variables[name] = NUMBER
    return ""


def arithmetic_doubt(expression: object, expander: Expander, scope: Scope) -> str:
    """Why evaluating an arithmetic word may execute something, or nothing.

    Substitutions in it are judged on the way, through the expander.
    """
    assert isinstance(expression, Word)
    pieces: list[str] = []
    doubt = ""
    for part in expression.parts:
        if isinstance(part, Literal):
            pieces.append(part.text)
            continue
        value = expander.single(Word("", (part,)))
        if value.exact:
            pieces.append(value.text)
        elif value.numeric:
            pieces.append("0")
        else:
            source = part.source
            doubt = f"arithmetic evaluates `{source}`, which may hold a command"
    return doubt or text_doubt("".join(pieces), scope, expander)
