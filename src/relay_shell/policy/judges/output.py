"""Programs whose output is known where their input is, so that it cannot hide a command."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

from .. import environment
from ..options import parse_options
from ..programs import by_spec
from ..spec import Spec
from ..values import ANYTHING, NUMBER, UNKNOWN, Arg, Value

if TYPE_CHECKING:
    from ..call import Call

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DIGITS = frozenset(("0-9", "[:digit:]", "0-9\\n", "[:digit:]\\n", "0123456789"))
_COUNT = re.compile(r"%[^%a-zA-Z]*[hlLjzt]*n")
_ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|(.))", re.DOTALL)
_SIMPLE = {"n": "\n", "t": "\t", "\\": "\\", "a": "\a", "b": "\b", "e": "\x1b", "f": "\f"}
_SIMPLE |= {"r": "\r", "v": "\v", '"': '"', "'": "'"}


def _escapes(text: str) -> str | None:
    """Backslash escapes of printf(1) and `echo -e`; None where the result is not certain."""
    certain = True

    def replace(match: re.Match[str]) -> str:
        nonlocal certain
        octal, hexa, other = match.groups()
        if other is not None:
            if other not in _SIMPLE:
                certain = False
            return _SIMPLE.get(other, "")
        code = int(octal, 8) if octal else int(hexa, 16)
        certain = certain and 0 < code < 128
        return chr(code) if code < 128 else ""

    result = _ESCAPE.sub(replace, text)
    return result if certain else None


def judge_stat(call: Call, spec: Spec) -> None:
    """`stat -c FORMAT`: of times, sizes, modes and owners it prints numbers."""
    parsed = parse_options(spec, call.args)
    wanted = parsed.get("-c", "--format")
    numbers = wanted is not None and re.fullmatch(r"%[YXZsabBugho]", wanted.text)
    if numbers and not parsed.doubts and not parsed.has("-f", "-t", "--printf"):
        call.output = NUMBER


def judge_echo(call: Call, spec: Spec) -> None:
    """`echo` prints its words, which matters when they go to an interpreter."""
    if not all(arg.exact for arg in call.args):
        return
    words = [arg.text for arg in call.args]
    newline, escapes = "\n", False
    while words and re.fullmatch(r"-[neE]+", words[0]):
        flags = words.pop(0)
        newline = "" if "n" in flags else newline
        escapes = "e" in flags
    text = " ".join(words)
    # dash's echo interprets escapes without -e; bash's does not.
    if escapes or (call.judge.dialect not in ("bash", "rbash") and "\\" in text):
        decoded = _escapes(text)
        call.output = Value(decoded + newline) if decoded is not None else ANYTHING
    else:
        call.output = Value(text + newline)


def judge_printf(call: Call, spec: Spec) -> None:
    """`printf`: -v assigns a variable; otherwise it prints."""
    args = call.args
    if args and args[0].wild:
        call.add(2, f"`{args[0].display}` may become an option")
    if args and args[0].text.startswith("-v"):
        name = args[0].text[2:] or (args[1].text if len(args) > 1 else "")
        if not _NAME.fullmatch(name) or not all(arg.exact for arg in args[:2]):
            call.add(2, "`printf -v` evaluates a subscript")
        call.add(*environment.changed(call.judge.scope, name))
        call.judge.scope.variables[name] = ANYTHING
        return
    if args and args[0].exact and args[0].text == "--":
        args = args[1:]
    if args and _may_count(args[0]) and not all(_harmless_name(arg) for arg in args[1:]):
        call.add(2, "`printf` assigns variables where its format holds %n")
    if not args or not all(arg.exact for arg in args):
        return
    pieces: list[str] = []
    form = args[0].text
    values = [arg.text for arg in args[1:]]
    if "%" not in form:
        values = []
    while True:
        for literal, spec_text in re.findall(r"((?:[^%]|%%)+)|(%[-0-9.]*[a-zA-Z])", form):
            if literal:
                decoded = _escapes(literal.replace("%%", "%"))
            elif spec_text == "%s":
                decoded = values.pop(0) if values else ""
            elif spec_text == "%b":
                decoded = _escapes(values.pop(0) if values else "")
            else:
                return
            if decoded is None:
                return
            pieces.append(decoded)
        if not values or len(pieces) > 4096:
            break
    call.output = Value("".join(pieces))


def _may_count(form: Arg) -> bool:
    """Whether a format may hold %n, which assigns the variable that its word names."""
    return bool(_COUNT.search(form.text)) or not (form.exact or form.numeric)


def _harmless_name(arg: Arg) -> bool:
    if not arg.exact:
        return arg.numeric
    return "[" not in arg.text and not environment.assigned(arg.text, UNKNOWN, exported=False)[0]


def judge_cat(call: Call, spec: Spec) -> None:
    """`cat` without files hands on its input."""
    if all(arg.exact and arg.text == "-" for arg in call.args) and call.stdin.text is not None:
        call.output = Value(call.stdin.text)


def judge_base64(call: Call, spec: Spec) -> None:
    """`base64 -d` of a known text is known, so that it cannot hide a command."""
    words = [arg.text for arg in call.args if arg.exact and arg.text != "-"]
    text = call.stdin.text
    if text is None or len(text) > 65536 or words not in (["-d"], ["--decode"], ["-D"], ["-di"]):
        return
    try:
        call.output = Value(base64.b64decode(text, validate=False).decode())
    except (ValueError, UnicodeDecodeError):
        call.output = ANYTHING


def judge_rev(call: Call, spec: Spec) -> None:
    """`rev` turns lines round."""
    if not call.args and call.stdin.text is not None:
        call.output = Value("\n".join(line[::-1] for line in call.stdin.text.split("\n")))


def judge_tr(call: Call, spec: Spec) -> None:
    """`tr`: what is left of any text when all but digits is deleted is a number."""
    by_spec(call, spec)
    words = [arg.text for arg in call.args if arg.exact]
    if len(words) == 2 and words[0] in ("-dc", "-cd", "-dC", "-Cd") and words[1] in _DIGITS:
        call.output = NUMBER
