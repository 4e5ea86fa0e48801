"""Judge one program call by what the knowledge base says of it."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable

from . import paths
from .call import Call
from .model import Tier
from .options import Parsed, parse_options
from .spec import Option, Spec
from .values import NUMBER, SAFE, WORDS, Arg

Handler = Callable[[Call, Spec], None]
_EFFECT = {
    1: "makes a change that can be undone",
    2: "changes state",
    3: "cannot be undone",
}
# Programs that look at a path's name or metadata, never at its content.
_METADATA = frozenset(
    (
        "ls dir vdir stat test [ file find du df realpath readlink basename dirname echo printf"
        " namei getfacl lsattr tree touch chmod chown cd pushd which type command mountpoint"
        " findmnt ssh scp rsync sudo env"
    ).split()
)
_ADDRESS = re.compile(r"(?:https?|ftps?|sftp|ssh|git|rsync|smb|ldaps?|tcp|udp)://")
_LOCAL = re.compile(r"[a-z]+:///[a-z]*")
_TEXT = frozenset("grep egrep fgrep zgrep rg awk gawk mawk sed git expr jq read set export".split())
_HELP = frozenset(("--help", "--version"))
# Beside other words they are "verbose", "host" or a value as often as questions to the program.
_ABOUT = frozenset("-v -V -VV -vv -h -? --help -help --version -version".split())
_CONFIGURATION = re.compile(r"/etc/(?!.*\.\.(?:/|$)).+")
_WARNING = re.compile(r"[\w ]*(?::[^:.]*(?::[A-Za-z]*(?::[^:]*(?::\d*)?)?)?)?")
_handlers: dict[str, Handler] = {}


def handler(name: str) -> Handler:
    """The judge `module.function` that a spec names.

    Raises:
        LookupError: when there is none.
    """
    found = _handlers.get(name)
    if found is None:
        module, _, function = name.partition(".")
        if not module.isidentifier() or not function.isidentifier():
            raise LookupError(name)
        try:
            loaded = importlib.import_module(f".judges.{module}", __package__)
            found = getattr(loaded, f"judge_{function}")
        except (ImportError, AttributeError):
            raise LookupError(name) from None
        _handlers[name] = found
    return found


def judge_program(call: Call, spec: Spec) -> None:
    """Judge a call of a known program."""
    args = call.args
    if len(args) == 1 and args[0].exact and args[0].text in _HELP and not spec.nohelp:
        return
    if spec.emits:
        call.output = {"number": NUMBER, "words": WORDS}.get(spec.emits, SAFE)
    if spec.handler:
        handler(spec.handler)(call, spec)
    else:
        by_spec(call, spec)
    if call.tier == Tier.READ_ONLY and call.name not in _METADATA:
        for arg in args:
            if "://" in arg.text and _ADDRESS.match(arg.text) and call.name not in _TEXT:
                call.add(1, f"may ask another machine: {arg.display}")
            if paths.is_secret(arg.text):
                call.add(1, f"reads a credential: {arg.display}")


def by_spec(call: Call, spec: Spec, args: list[Arg] | None = None, prefix: str = "") -> Parsed:
    """Judge by the declared options, operands and subcommands."""
    args = call.args if args is None else args
    label = f"{prefix or call.name}"
    if spec.any:
        parsed = Parsed(operands=list(args))
        call.add(spec.tier, spec.why or f"`{label}` {_EFFECT.get(spec.tier, '')}")
        return parsed
    parsed = parse_options(spec, args, stop=spec.wraps or spec.has_subs)
    if spec.has_subs:
        return _by_subcommand(call, spec, args, parsed, label)
    modes = judge_options(call, spec, parsed, label)
    if modes:
        call.add(max(modes), f"`{label}` {_EFFECT.get(max(modes), '')} with these options")
    elif spec.bare is not None and not parsed.operands:
        call.add(spec.bare, spec.why or f"`{label}` {_EFFECT.get(spec.bare, '')}")
    else:
        call.add(spec.tier, spec.why or f"`{label}` {_EFFECT.get(spec.tier, '')}")
    if spec.wraps:
        _wrapped(call, spec, parsed)
    elif not (modes and max(modes) == 0 and spec.tier):
        judge_operands(call, spec, parsed.operands, label)
    return parsed


def _wrapped(call: Call, spec: Spec, parsed: Parsed) -> None:
    """Judge the command that follows a wrapper's own operands."""
    for operand in parsed.operands[: spec.skip]:
        if operand.splits or operand.many:
            call.add(2, f"`{operand.display}` may become several words")
    inner = parsed.operands[spec.skip :]
    if inner:
        call.output = call.run(inner, call.stdin)


def _by_subcommand(call: Call, spec: Spec, args: list[Arg], parsed: Parsed, label: str) -> Parsed:
    if not parsed.operands:
        modes = judge_options(call, spec, parsed, label)
        if not modes:
            call.add(spec.nosub, spec.why or f"`{label}` {_EFFECT.get(spec.nosub, '')}")
        return parsed
    first = parsed.operands[0]
    if not first.exact:
        call.add(2, f"the subcommand of `{label}` is known only when it runs: {first.display}")
        judge_options(call, spec, parsed, label)
        return parsed
    entry = spec.subcommand(first.text)
    rest = args[len(args) - len(parsed.operands) + 1 :]
    label = f"{label} {first.text}"
    if entry is None:
        judge_options(call, spec, parsed, label)
        call.add(spec.unknown_sub, f"`{label}` is not a known subcommand")
        return parsed
    if isinstance(entry, Spec):
        judge_options(call, spec, parsed, label)
        if entry.handler:
            inner = Call(call.judge, label, rest, call.stdin, children=call.children)
            handler(entry.handler)(inner, entry)
            for reason in inner.reasons or [""]:
                call.add(inner.tier, reason)
            call.output = inner.output
            return parsed
        return by_spec(call, entry, rest, label)
    if len(rest) == 1 and rest[0].exact and rest[0].text == "--help":
        return parsed
    tail = parse_options(spec, rest)
    parsed.used.extend(tail.used)
    parsed.doubts.extend(tail.doubts)
    parsed.operands = tail.operands
    modes = judge_options(call, spec, parsed, label)
    tier = max(modes) if modes else entry
    call.add(tier, f"`{label}` {_EFFECT.get(tier, '')}")
    return parsed


def judge_options(call: Call, spec: Spec, parsed: Parsed, label: str) -> list[int]:
    """Account for the options used; the result is the tiers of those that set a mode."""
    modes: list[int] = []
    for doubt in parsed.doubts:
        call.add(2, doubt)
    alone = len(parsed.used) + len(parsed.operands) == 1
    for used in parsed.used:
        option = used.option
        if option is None:
            if spec.unknown:
                call.add(spec.unknown, f"option `{used.name}` of `{label}` is not known")
            continue
        if option.mode is not None and (
            option.mode or not spec.tier or alone or not _ABOUT.issuperset(option.names)
        ):
            modes.append(option.mode)
        if option.tier:
            effect = _EFFECT[option.tier]
            call.add(option.tier, f"`{label} {used.name}` {effect}")
        if option.kind:
            option_value(call, option, used.name, used.value, label)
    return modes


def option_value(call: Call, option: Option, name: str, value: Arg | None, label: str) -> None:
    """Judge the value of an option by its kind."""
    if value is None:
        if option.value == ":":
            call.add(2, f"`{label} {name}` lacks its value")
        elif option.kind in ("write", "append", "create"):
            call.add(2, f"`{label} {name}` writes a file")
        return
    kind = option.kind
    if kind in ("write", "append", "create"):
        if value.exact and value.text == "-":
            return
        call.writes(value, "truncate" if kind == "write" else kind)
    elif kind == "shell":
        call.shell(value)
        call.add(1, f"`{label} {name}` runs a command")
    elif kind == "program":
        call.shell(value)
        call.add(2, f"`{label} {name}` names a program to run")
    elif kind == "local":
        if not (value.exact and _LOCAL.fullmatch(value.text)):
            call.add(2, f"`{label} {name}` connects to {value.display}")
    elif kind == "etc":
        if not (value.exact and _CONFIGURATION.fullmatch(value.text)):
            call.add(2, f"`{label} {name}` reads a configuration, which can name code to run")
    elif kind == "warning":
        if not (value.exact and _WARNING.fullmatch(value.text)):
            call.add(2, f"`{label} {name}` imports the module of its category")
    elif kind == "remove":
        call.add(3, f"`{label} {name}` removes {value.display}")


def judge_operands(call: Call, spec: Spec, operands: list[Arg], label: str) -> None:
    """Account for the operands by their position."""
    kinds = spec.args
    if kinds == ("any*",):
        return
    shift = False
    for index, arg in enumerate(operands):
        if index < len(kinds):
            kind = kinds[index]
        elif kinds and kinds[-1].endswith("*"):
            kind = kinds[-1]
        else:
            call.add(2, f"`{label}` has more operands than are known: {arg.display}")
            return
        shift = shift or arg.many or arg.splits
        if shift:
            # One word may become several, so it may stand in any later place.
            for later in kinds[min(index, len(kinds) - 1) :]:
                _operand(call, later.rstrip("*"), arg, label)
        else:
            _operand(call, kind.rstrip("*"), arg, label)


def _operand(call: Call, kind: str, arg: Arg, label: str) -> None:
    if kind in ("write", "append", "create"):
        if arg.exact and arg.text == "-":
            return
        call.writes(arg, "truncate" if kind == "write" else kind)
    elif kind == "remove":
        call.add(3, f"`{label}` removes {arg.display}")
    elif kind.isdecimal() and int(kind):
        call.add(int(kind), f"`{label} {arg.display}` {_EFFECT[int(kind)]}")
