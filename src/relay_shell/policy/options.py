"""Read an argument vector against the declared options of a program (getopt_long(3))."""

from __future__ import annotations

from dataclasses import dataclass, field

from .spec import Option, Spec
from .values import Arg


@dataclass(slots=True)
class Used:
    """One option as used; `option` is None for an undeclared one."""

    name: str
    option: Option | None
    value: Arg | None = None


@dataclass(slots=True)
class Parsed:
    """An argument vector taken apart.

    `doubts` are reasons why the division into options and operands is not certain.
    """

    used: list[Used] = field(default_factory=list)
    operands: list[Arg] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    rest: int = 0

    def has(self, *names: str) -> bool:
        """Whether any of the options was used, under any of its names."""
        return any(self.matches(used, names) for used in self.used)

    def get(self, *names: str) -> Arg | None:
        """The value of the last use of any of the options."""
        for used in reversed(self.used):
            if self.matches(used, names):
                return used.value
        return None

    def all(self, *names: str) -> list[Arg]:
        """The values of all uses of any of the options."""
        return [u.value for u in self.used if self.matches(u, names) and u.value is not None]

    @staticmethod
    def matches(used: Used, names: tuple[str, ...]) -> bool:
        """Whether the use is of one of the names."""
        if used.name in names:
            return True
        return used.option is not None and any(name in names for name in used.option.names)


def parse_options(spec: Spec, args: list[Arg], *, stop: bool = False) -> Parsed:
    """Divide `args` (without the program's name) into options and operands.

    With `stop`, or in style `posix`, the first operand ends the options; `rest` is then the
    index in `args` of that operand.
    """
    parsed = Parsed()
    style = spec.style
    stop = stop or style == "posix"
    index = 0
    size = len(args)
    if style == "none":
        parsed.operands = list(args)
        return parsed
    first = True
    while index < size:
        arg = args[index]
        text = arg.text
        if not arg.exact and arg.wild:
            parsed.doubts.append(f"`{arg.display}` may become an option")
        if arg.exact and text == "--":
            parsed.rest = index + 1
            parsed.operands.extend(args[index + 1 :])
            return parsed
        if style == "bsd" and first and arg.exact and text and text[0] != "-":
            index = _cluster(spec, args, index, 0, parsed)
            first = False
            continue
        first = False
        if len(text) < 2 or text[0] != "-":
            if stop:
                parsed.rest = index
                parsed.operands.extend(args[index:])
                return parsed
            parsed.operands.append(arg)
            index += 1
        elif style == "long1" or text[1] == "-":
            index = _long(spec, args, index, parsed)
        else:
            index = _cluster(spec, args, index, 1, parsed)
    parsed.rest = size
    return parsed


def _lookup(spec: Spec, name: str) -> tuple[Option | None, bool]:
    """The option of a long name, also abbreviated; and whether its arity is certain."""
    option = spec.options.get(name)
    if option is not None:
        return option, True
    if spec.style == "long1":
        twin = name[1:] if name.startswith("--") else "-" + name
        return spec.options.get(twin), True
    found: dict[int, Option] = {}
    for known, candidate in spec.options.items():
        if known.startswith(name) and known.startswith("--"):
            found[id(candidate)] = candidate
    if not found:
        return None, True
    worst = max(found.values(), key=lambda o: (o.tier, o.mode or 0, bool(o.kind)))
    return worst, len({o.value for o in found.values()}) == 1


def _long(spec: Spec, args: list[Arg], index: int, parsed: Parsed) -> int:
    arg = args[index]
    name, equals, attached = arg.text.partition("=")
    if not equals and not arg.exact:
        parsed.doubts.append(f"`{arg.display}` is an option known only when it runs")
        return index + 1
    option, certain = _lookup(spec, name)
    if not certain:
        parsed.doubts.append(f"`{name}` abbreviates several options")
    value: Arg | None = None
    if equals:
        shown = arg.display.partition("=")[2]
        value = Arg(attached, arg.exact, arg.splits, arg.many, arg.safe, shown)
        if arg.splits:
            parsed.doubts.append(f"`{arg.display}` may become several words")
    elif option is not None and option.value == ":":
        index += 1
        if index < len(args):
            value = args[index]
            if value.splits or value.many:
                parsed.doubts.append(f"`{value.display}` may become several words")
    parsed.used.append(Used(name, option, value))
    return index + 1


def _cluster(spec: Spec, args: list[Arg], index: int, start: int, parsed: Parsed) -> int:
    arg = args[index]
    text = arg.text
    at = start
    following = index + 1
    if len(text) > 2 and start and arg.exact and text in spec.options:
        parsed.used.append(Used(text, spec.options[text]))
        return following
    while at < len(text):
        name = "-" + text[at]
        option = spec.options.get(name)
        at += 1
        if option is None or option.value == "":
            parsed.used.append(Used(name, option))
            if option is None and spec.unknown:
                # An unknown letter may take the rest as its value.
                return following
            continue
        value: Arg | None = None
        if at < len(text) or not arg.exact:
            if start == 0 and option.value == ":":
                # In a dashless cluster (tar) values follow as words, in order.
                value = args[following] if following < len(args) else None
                following += 1
                parsed.used.append(Used(name, option, value))
                continue
            value = Arg(text[at:], arg.exact, arg.splits, arg.many, arg.safe)
            at = len(text)
        elif option.value == ":":
            value = args[following] if following < len(args) else None
            following += 1
        if value is not None and (value.splits or (value.many and value is not arg)):
            parsed.doubts.append(f"`{value.display}` may become several words")
        parsed.used.append(Used(name, option, value))
        if at >= len(text):
            return following
    if not arg.exact:
        parsed.doubts.append(f"`{arg.display}` is an option known only when it runs")
    return following
