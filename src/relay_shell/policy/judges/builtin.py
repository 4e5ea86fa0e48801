"""Builtins of the shell that change the shell itself or run text (bash(1), SHELL BUILTIN)."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

from .. import environment
from ..arithmetic import text_doubt
from ..model import UNKNOWN_HOST
from ..options import parse_options
from ..spec import Spec
from ..values import ANYTHING, NUMBER, Arg, Value, known

if TYPE_CHECKING:
    from ..call import Call

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
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
        call.judge.scope.variables[name] = ANYTHING
        return
    if args and args[0].exact and args[0].text == "--":
        args = args[1:]
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


def judge_eval(call: Call, spec: Spec) -> None:
    """`eval` joins its words and runs them in this shell."""
    args = call.args[1:] if call.args and call.args[0].text == "--" else call.args
    if not all(arg.exact for arg in args):
        call.add(2, "`eval` runs text that is known only when it runs")
        call.hosts.append(UNKNOWN_HOST + "eval")
        _forget(call)
        if args and args[0].exact:
            call.run(args)
        return
    call.judge.deeper()
    node, call.output = call.judge.text(" ".join(arg.text for arg in args))
    call.judge.depth -= 1
    call.children.append(node)


def _forget(call: Call) -> None:
    """Nothing is known of the shell's variables any more."""
    for name in list(call.judge.scope.variables):
        call.judge.scope.variables[name] = ANYTHING


def judge_source(call: Call, spec: Spec) -> None:
    """`source` and `.` run a file in this shell."""
    name = call.args[0].display if call.args else ""
    if name in ("/etc/os-release", "/usr/lib/os-release", "/etc/lsb-release"):
        _forget(call)  # os-release(5): assignments only
        return
    call.add(2, f"runs the commands of {name or 'a file'}, which are not judged")
    _forget(call)


def judge_command(call: Call, spec: Spec) -> None:
    """`command`, `builtin`: run a program past functions, or with -v say what it is."""
    args = call.args
    while args and args[0].exact and re.fullmatch(r"-[pvV]+", args[0].text):
        if "p" not in args[0].text or "v" in args[0].text.lower():
            call.output = Value(safe=True)
            return
        args = args[1:]
    if args and args[0].exact and args[0].text == "--":
        args = args[1:]
    if not args:
        return
    functions, call.judge.scope.functions = call.judge.scope.functions, {}
    call.output = call.run(args, call.stdin)
    call.judge.scope.functions = functions


def judge_exec(call: Call, spec: Spec) -> None:
    """`exec` replaces the shell; without a command only its redirections count."""
    args = call.args
    while args and args[0].exact and args[0].text.startswith("-"):
        flag = args[0].text
        args = args[2:] if flag == "-a" else args[1:]
        if flag == "--":
            break
        if not re.fullmatch(r"-[acl]+", flag):
            call.add(2, f"option `{flag}` of `exec` is not known")
    if args:
        call.output = call.run(args, call.stdin)


def _assignments(call: Call, *, exported: bool, options: str) -> None:
    for index, arg in enumerate(call.args):
        if arg.exact and re.fullmatch(f"[-+][{options}]+", arg.text):
            if "n" in arg.text and call.name in ("declare", "typeset", "local"):
                call.add(2, "a name reference is followed when it is used")
            if "i" in arg.text:
                call.add(2, "an integer variable evaluates what it is assigned")
            if "x" in arg.text:
                exported = True
            continue
        name, equals, text = arg.text.partition("=")
        name = name.removesuffix("+")
        if not equals and not arg.exact and not arg.text:
            call.add(2, f"`{arg.display}` is known only when it runs")
            continue
        if not _NAME.fullmatch(name):
            call.add(2, f"`{call.name} {arg.display}` evaluates a subscript or option")
            continue
        if not equals:
            continue
        value = Arg(text, arg.exact, arg.splits, arg.many, arg.safe)
        call.add(*environment.assigned(name, value, exported=exported))
        call.judge.scope.variables[name] = Value(text) if arg.exact else ANYTHING
        del index
    call.output = Value("")


def judge_export(call: Call, spec: Spec) -> None:
    """`export`, `readonly`: assign and hand to programs started later."""
    _assignments(call, exported=call.name == "export", options="pnfa")


def judge_declare(call: Call, spec: Spec) -> None:
    """`declare`, `typeset`, `local`."""
    _assignments(call, exported=False, options="aAfFgiIlnrtuxp")


def judge_alias(call: Call, spec: Spec) -> None:
    """`alias` defines text that replaces a later command word."""
    for arg in call.args:
        name, equals, text = arg.text.partition("=")
        if not equals:
            if not arg.exact:
                call.add(2, f"`{arg.display}` is known only when it runs")
            continue
        if not arg.exact:
            call.add(2, "an alias whose text is known only when it runs")
            continue
        call.add(1, f"defines the alias `{name}`")
        if call.judge.knowledge.get(name) is not None and text.split()[:1] != [name]:
            call.add(2, f"the alias replaces `{name}`")
        call.shell(known(text), dialect=call.judge.dialect)
        call.judge.scope.aliases[name] = text


def judge_set(call: Call, spec: Spec) -> None:
    """`set`: options of this shell, or its positional parameters."""
    if call.args:
        call.judge.scope.positional = None
    call.output = Value("")


def judge_trap(call: Call, spec: Spec) -> None:
    """`trap` runs text when a signal or the end comes."""
    args = [arg for arg in call.args if not (arg.exact and arg.text in ("--", "-p", "-l"))]
    if len(args) < 2 or (args[0].exact and args[0].text in ("", "-")):
        return
    call.shell(args[0], dialect=call.judge.dialect)
    call.add(1, "leaves a command that runs later")


def judge_read(call: Call, spec: Spec) -> None:
    """`read`, `mapfile`: names must be plain; -C runs a command."""
    parsed = parse_options(spec, call.args)
    for doubt in parsed.doubts:
        call.add(2, doubt)
    for used in parsed.used:
        if used.option is None:
            call.add(2, f"option `{used.name}` of `{call.name}` is not known")
    callback = parsed.get("-C")
    if callback is not None:
        call.shell(callback, dialect=call.judge.dialect)
        call.add(2, f"`{call.name} -C` runs a command for each line")
    names = list(parsed.operands)
    if call.name == "read":
        names.extend(parsed.all("-a"))
    for name in names:
        if not (name.exact and _NAME.fullmatch(name.text)):
            call.add(2, f"`{call.name} {name.display}` evaluates a subscript")
            continue
        call.add(*environment.assigned(name.text, Arg("", exact=False), exported=False))
        call.judge.scope.variables[name.text] = ANYTHING
    call.output = Value("")


def judge_let(call: Call, spec: Spec) -> None:
    """`let` evaluates each word as arithmetic."""
    for arg in call.args:
        doubt = "arithmetic that is known only when it runs"
        if arg.exact:
            doubt = text_doubt(arg.text, call.judge.scope, call.judge.expander([]))
        if doubt:
            call.add(2, doubt)
    call.output = Value("")


def judge_unset(call: Call, spec: Spec) -> None:
    """`unset` forgets variables and functions."""
    for arg in call.args:
        if arg.exact and arg.text.startswith("-"):
            continue
        if not (arg.exact and _NAME.fullmatch(arg.text)):
            call.add(2, f"`unset {arg.display}` evaluates a subscript")
            continue
        if environment.assigned(arg.text, known(""), exported=False)[0]:
            call.add(1, f"removes {arg.text} from the environment")
        call.judge.scope.variables[arg.text] = Value("")
        call.judge.scope.functions.pop(arg.text, None)
    call.output = Value("")


def judge_kill(call: Call, spec: Spec) -> None:
    """`kill`: -l lists signals, signal 0 only asks whether a process exists."""
    args = call.args
    if not args:
        return
    first = args[0].text if args[0].exact else ""
    if first in ("-l", "-L", "--list", "--table") or first in ("-0", "-s0"):
        return
    if first in ("-s", "-n", "--signal") and len(args) > 1 and args[1].text in ("0", "EXIT"):
        return
    if any(arg.exact and arg.text == "-1" for arg in args[1:]):
        call.add(3, "signals every process")
        return
    if any(arg.exact and arg.text == "1" for arg in args[1:] or args):
        call.add(3, "signals process 1, which can stop the machine")
        return
    call.add(2, "signals processes")


def judge_history(call: Call, spec: Spec) -> None:
    """`history`: shows; -c and -d forget; -w and -a write the file; -r reads it."""
    args = [arg for arg in call.args if arg.exact]
    if len(args) < len(call.args):
        call.add(2, "an argument is known only when it runs")
    flags = "".join(arg.text for arg in args if arg.text.startswith("-"))
    if "c" in flags or "d" in flags:
        call.add(3, "removes the shell's history")
    if any(flag in flags for flag in "wanrsp"):
        call.add(2, "changes the shell's history or its file")


def judge_ulimit(call: Call, spec: Spec) -> None:
    """`ulimit`: a value sets the limit of this shell and what it starts."""
    if any(not (arg.exact and arg.text.startswith("-")) for arg in call.args):
        call.add(1, "sets a limit of this shell")


def judge_umask(call: Call, spec: Spec) -> None:
    """`umask`: a value sets the mask of this shell."""
    if any(not (arg.exact and arg.text in ("-S", "-p")) for arg in call.args):
        call.add(1, "sets the mask of this shell")


def judge_shopt(call: Call, spec: Spec) -> None:
    """`shopt`: options that change how text is parsed make later text uncertain."""
    words = {arg.text for arg in call.args}
    if words & {"-s", "-u"} and words & {"expand_aliases", "extglob", "extdebug", "sourcepath"}:
        call.add(2, "changes how the shell reads the text that follows")
    if not all(arg.exact for arg in call.args):
        call.add(2, "an argument is known only when it runs")


def judge_hash(call: Call, spec: Spec) -> None:
    """`hash -p` makes a name run another program."""
    if any(not arg.exact or arg.text.startswith("-p") for arg in call.args):
        call.add(2, "makes a name run another program")


def judge_getopts(call: Call, spec: Spec) -> None:
    """`getopts` assigns its second word."""
    if len(call.args) < 2 or not _NAME.fullmatch(call.args[1].text):
        call.add(2, "`getopts` evaluates a subscript")
        return
    call.judge.scope.variables[call.args[1].text] = ANYTHING


def judge_compgen(call: Call, spec: Spec) -> None:
    """`compgen`: -C and -F run a command, -W expands text."""
    for index, arg in enumerate(call.args):
        if not arg.exact or re.match(r"-\w*[CFW]", arg.text):
            call.add(2, "runs a command or expands text to complete a word")
            if index + 1 < len(call.args):
                call.shell(call.args[index + 1], dialect=call.judge.dialect)


def judge_enable(call: Call, spec: Spec) -> None:
    """`enable`: lists builtins; -f loads code, -n switches one off."""
    if not all(arg.exact and arg.text in ("-a", "-p", "-s") for arg in call.args):
        call.add(2, "loads or switches a builtin")


def judge_number(call: Call, spec: Spec) -> None:
    """Programs whose output is a number for the options that say so."""
    call.output = NUMBER
