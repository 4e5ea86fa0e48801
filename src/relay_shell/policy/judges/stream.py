"""Programs with a small language for text: sed(1), awk(1), jq(1)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..options import parse_options
from ..programs import judge_options
from ..values import known

if TYPE_CHECKING:
    from ..call import Call
    from ..spec import Spec


_MAX_SCRIPT = 4096


class _Unknown(Exception):
    """The script is not understood."""


def judge_sed(call: Call, spec: Spec) -> None:
    """`sed`: the script may write files (w, W, s///w) or run commands (e, s///e)."""
    parsed = parse_options(spec, call.args)
    judge_options(call, spec, parsed, "sed")
    if parsed.has("-i", "--in-place"):
        call.add(2, "`sed -i` changes files in place")
        for path in parsed.operands:
            call.writes(path)
    scripts = parsed.all("-e", "--expression")
    if not scripts and not parsed.has("-f", "--file"):
        scripts = parsed.operands[:1]
    for script in scripts:
        if not script.exact:
            call.add(2, f"a sed script that is known only when it runs: {script.display}")
            continue
        try:
            for kind, value in sed_effects(script.text):
                if kind == "w":
                    call.writes(known(value))
                elif value:
                    call.shell(known(value))
                    call.add(2, "a sed script runs a command")
                else:
                    call.add(2, "a sed script runs its text as commands")
        except _Unknown as error:
            call.add(2, f"a sed script that is not understood: {error}")


def sed_effects(script: str) -> list[tuple[str, str]]:
    """Files written (`w`) and commands run (`e`) by a sed script.

    Raises:
        _Unknown: for a script that is not understood.
    """
    effects: list[tuple[str, str]] = []
    at = 0
    size = len(script)
    if size > _MAX_SCRIPT:
        raise _Unknown("too long")
    while True:
        match = re.compile(r"[\s;{}]*").match(script, at)
        at = match.end() if match else at
        if at >= size:
            return effects
        at = _sed_address(script, at)
        match = re.compile(r"\s*!?\s*").match(script, at)
        at = match.end() if match else at
        if at >= size:
            raise _Unknown("an address without a command")
        command = script[at]
        at += 1
        if command in "=dDgGhHnNpPxFz":
            pass
        elif command in "{}":
            continue
        elif command in "lLqQ":
            match = re.compile(r"\s*\d*").match(script, at)
            at = match.end() if match else at
        elif command == "#":
            at = _line(script, at)
        elif command in ":btTv":
            match = re.compile(r"[ \t]*[\w.-]*").match(script, at)
            at = match.end() if match else at
        elif command in "aic":
            at = _sed_text(script, at)
        elif command in "rR":
            at = _line(script, at)
        elif command in "wW":
            end = _line(script, at)
            effects.append(("w", script[at:end].strip()))
            at = end
        elif command == "e":
            end = _line(script, at)
            effects.append(("e", script[at:end].strip()))
            at = end
        elif command == "s":
            at = _sed_substitute(script, at, effects)
        elif command == "y":
            at = _sed_delimited(script, at, 2)
        else:
            raise _Unknown(f"command `{command}`")


def _line(script: str, at: int) -> int:
    end = script.find("\n", at)
    return len(script) if end < 0 else end


def _sed_text(script: str, at: int) -> int:
    """Skip the text of a, i or c: to the end of the line, lines joined by a backslash."""
    while True:
        end = _line(script, at)
        if end >= len(script) or script[end - 1] != "\\":
            return end
        at = end + 1


_BRACKETS = re.compile(r"\[\^?\]?(?:\[:\w+:\]|[^\]\n])*\]")


def _sed_delimited(script: str, at: int, count: int) -> int:
    """Skip `count` pieces that end with the delimiter at `at`; the first is a pattern.

    As GNU sed 4.9 does, a delimiter inside a bracket expression does not end the pattern.
    """
    if at >= len(script) or script[at] in "\\\n":
        raise _Unknown("delimiter")
    delimiter = script[at]
    at += 1
    for piece in range(count):
        bracketed = piece == 0
        while True:
            if at >= len(script):
                raise _Unknown("unterminated expression")
            char = script[at]
            at += 1
            if char == "\\":
                at += 1
            elif char == delimiter:
                break
            elif char == "[" and bracketed:
                brackets = _BRACKETS.match(script, at - 1)
                if brackets is None:
                    # None closes further on either; looking again would cost a pass each time.
                    bracketed = False
                    continue
                if delimiter in brackets.group() and "\\" in brackets.group():
                    raise _Unknown("backslash and delimiter inside brackets")
                at = brackets.end()
    return at


def _sed_address(script: str, at: int) -> int:
    for _ in range(2):
        if at < len(script) and script[at] == "/":
            at = _sed_delimited(script, at, 1)
        elif script.startswith("\\", at):
            at = _sed_delimited(script, at + 1, 1)
        else:
            match = re.compile(r"(?:\d+(?:~\d+)?|\$|[+~]\d+)?").match(script, at)
            at = match.end() if match else at
        match = re.compile(r"[IM]*").match(script, at)
        at = match.end() if match else at
        match = re.compile(r"\s*,\s*").match(script, at)
        if not match:
            return at
        at = match.end()
    return at


def _sed_substitute(script: str, at: int, effects: list[tuple[str, str]]) -> int:
    at = _sed_delimited(script, at, 2)
    while at < len(script):
        char = script[at]
        if char in "gpiImM0123456789":
            at += 1
        elif char == "e":
            effects.append(("e", ""))
            at += 1
        elif char == "w":
            end = _line(script, at)
            effects.append(("w", script[at + 1 : end].strip()))
            return end
        elif char in " \t;\n}#":
            return at
        else:
            raise _Unknown(f"flag `{char}` of s")
    return at


_AWK_TOKEN = re.compile(
    r"(?P<space>[ \t\r\f\v]+|\\\n)|(?P<comment>\#[^\n]*)|(?P<newline>\n)"
    r"|(?P<string>\"(?:[^\"\\\n]|\\.)*\")|(?P<number>0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<name>[A-Za-z_]\w*)|(?P<op>\|\||\|&|&&|\+\+|--|\*\*=?|[-+*/%^!<>=~]=|>>|!~|[-+*/%^!<>=~?:,;(){}\[\]$|&@])",
    re.DOTALL,
)
_AWK_REGEX = re.compile(r"/(?:[^/\\\[\n]|\\.|\[(?:\^?\]?)(?:\[:\w+:\]|[^\]\\\n]|\\.)*\])*/")
_AWK_KEYWORDS = frozenset(
    ("print", "printf", "return", "in", "getline", "delete", "exit", "case", "else", "do")
)


def judge_awk(call: Call, spec: Spec) -> None:
    """`awk`: print may go to a file or command; system and pipes run commands."""
    parsed = parse_options(spec, call.args, stop=True)
    modes = judge_options(call, spec, parsed, call.name)
    scripts = parsed.all("-e", "--source")
    operands = parsed.operands
    if not scripts and not parsed.has("-f", "--file", "-E", "--exec"):
        scripts, operands = operands[:1], operands[1:]
        if not scripts and not modes and not parsed.has("-V", "--version", "--help", "-h"):
            call.add(2, "`awk` without a program")
    for script in scripts:
        if not script.exact:
            call.add(2, f"an awk program that is known only when it runs: {script.display}")
            continue
        for tier, reason in awk_effects(call, script.text):
            call.add(tier, reason)


def awk_effects(call: Call, script: str) -> list[tuple[int, str]]:
    """Tiers and reasons of what an awk program writes or runs."""
    found: list[tuple[int, str]] = []
    at = 0
    level = 0
    printing: int | None = None
    operand = False  # whether a `/` here divides
    previous = ""
    conditions: list[bool] = []  # for each open parenthesis, whether a statement follows it
    strings: list[str] = []
    while at < len(script):
        if script[at] == "/":
            if previous in ("length", "getline"):
                return [(2, f"an awk program that is not understood: `/` behind `{previous}`")]
            if not operand:
                regex = _AWK_REGEX.match(script, at)
                if not regex or "/" in re.sub(r"\\.", "", regex.group()[1:-1]):
                    # Whether a slash inside brackets ends the expression differs between awks.
                    return [(2, "an awk program that is not understood: regular expression")]
                at, operand, previous = regex.end(), True, "/"
                continue
        match = _AWK_TOKEN.match(script, at)
        if not match:
            return [(2, f"an awk program that is not understood at `{script[at : at + 10]}`")]
        at = match.end()
        kind, text = match.lastgroup, match.group()
        if kind in ("space", "comment"):
            continue
        if kind == "string":
            operand, previous = True, text
            strings.append(text)
            if text.startswith(('"/inet', '"/dev/tcp', '"/dev/udp')):
                found.append((2, "an awk program opens a network connection"))
            continue
        if kind == "newline" and previous in (",", "&&", "||", "?", ":"):
            continue
        before, previous = previous, text
        if kind == "newline" or text in (";", "}"):
            printing, operand = None, False
            continue
        if kind == "name":
            operand = text not in _AWK_KEYWORDS
            if text in ("print", "printf"):
                printing = level
            elif text == "system":
                found.append((2, "an awk program runs a command"))
                _awk_command(call, script, at)
            continue
        if kind == "number":
            operand = True
            continue
        operand = text in (")", "]", "++", "--")
        if text in "([{" and text != "":
            level += 1
            if text == "{":
                printing = None
            elif text == "(":
                conditions.append(before in ("if", "while", "for"))
        elif text in ")]":
            level -= 1
            if text == ")" and conditions and conditions.pop():
                operand = False  # a statement begins, so a slash opens an expression
        elif text in ("|", "|&"):
            found.append((2, "an awk program pipes to or from a command"))
            for string in strings[-1:]:
                call.shell(known(_unquote(string)))
            _awk_command(call, script, at)
        elif text in (">", ">>") and printing == level:
            target = re.compile(r'\s*"((?:[^"\\\n]|\\.)*)"\s*(?=[;}\n]|$)').match(script, at)
            if target:
                call.writes(known(target.group(1)), "truncate" if text == ">" else "append")
            else:
                found.append((2, "an awk program writes a file"))
        elif text == "@":
            found.append((2, "an awk program loads code or calls indirectly"))
    return found


def _unquote(string: str) -> str:
    return re.sub(r"\\(.)", r"\1", string[1:-1])


def _awk_command(call: Call, script: str, at: int) -> None:
    """Judge the string that follows, if it is all of the command."""
    match = re.compile(r'\s*\(?\s*("(?:[^"\\\n]|\\.)*")').match(script, at)
    if match:
        call.shell(known(_unquote(match.group(1))))


def judge_jq(call: Call, spec: Spec) -> None:
    """`jq` and its kind read; `yq -i` edits in place, and yq can split into files."""
    parsed = parse_options(spec, call.args)
    judge_options(call, spec, parsed, call.name)
    for used in parsed.used:
        if used.name in ("-s", "--split-exp") and call.name == "yq" and used.value is not None:
            call.add(2, "`yq -s` writes files")
    if call.name == "yq":
        for arg in parsed.operands[:1]:
            if arg.exact and arg.text in ("eval", "e", "eval-all", "ea"):
                return
            if "load(" in arg.text or "env(" in arg.text:
                call.add(1, "reads further files or the environment")
