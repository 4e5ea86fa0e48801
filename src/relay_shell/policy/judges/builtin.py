"""Builtins of the shell that change the shell itself or run text (bash(1), SHELL BUILTIN)."""

from __future__ import annotations

import re
from itertools import pairwise
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
        if exported:
            call.judge.scope.exported.add(name)
        if not equals:
            if exported and name in call.judge.scope.variables:
                call.add(*environment.changed(call.judge.scope, name))
            continue
        value = Arg(text, arg.exact, arg.splits, arg.many, arg.safe)
        call.add(*environment.changed(call.judge.scope, name, value))
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
    words = [arg.text for arg in call.args]
    for word in words:
        if word == "--" or not word.startswith(("-", "+")):
            break
        if "a" in word[1:] and word[0] == "-" and word[1:2] != "-":
            call.judge.scope.exported.add("*")
    if ("-o", "allexport") in pairwise(words) or any(not arg.exact for arg in call.args):
        call.judge.scope.exported.add("*")
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
        call.add(*environment.changed(call.judge.scope, name.text))
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
    if first in ("-l", "-L", "--list", "--table"):
        return
    named = first in ("-s", "-n", "--signal") and len(args) > 1 and args[1].text in ("0", "EXIT")
    # A later option names another signal: the last one counts.
    if (named or first in ("-0", "-s0")) and not any(
        arg.wild or re.match(r"-[^\d-]|--.", arg.text) for arg in args[2 if named else 1 :]
    ):
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
    call.add(*environment.changed(call.judge.scope, call.args[1].text))
    call.judge.scope.variables[call.args[1].text] = ANYTHING


def judge_jobs(call: Call, spec: Spec) -> None:
    """`jobs`: lists, and with -x runs a command."""
    for index, arg in enumerate(call.args):
        if arg.text == "-x":
            call.run(call.args[index + 1 :], call.stdin)
            return
        if arg.wild:
            call.add(2, f"`{arg.display}` may become an option that runs a command")


def judge_wait(call: Call, spec: Spec) -> None:
    """`wait -p NAME` assigns the process that ended."""
    parsed = parse_options(spec, call.args)
    for doubt in parsed.doubts:
        call.add(2, doubt)
    for name in parsed.all("-p"):
        if not (name.exact and _NAME.fullmatch(name.text)):
            call.add(2, "`wait -p` evaluates a subscript")
            continue
        call.add(*environment.changed(call.judge.scope, name.text))
        call.judge.scope.variables[name.text] = ANYTHING


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
