"""What a command file says of one program, compiled from its table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

STYLES = frozenset(("gnu", "posix", "long1", "bsd", "none"))
VALUE_KINDS = frozenset(
    (
        "",
        "write",
        "append",
        "create",
        "read",
        "shell",
        "program",
        "sql",
        "host",
        "dir",
        "remove",
        "local",
        "etc",
        "warning",
    )
)
OPERAND_KINDS = frozenset(("any", "write", "append", "create", "remove", "0", "1", "2", "3"))
_DECLARATION = re.compile(
    r"(?P<names>-[^\s:?!=@,]+(?:,-[^\s:?!=@,]+)*)(?P<value>[:?]?)"
    r"(?:!(?P<mode>[0-3]))?(?:=(?P<tier>[0-3]))?(?:@(?P<kind>[a-z]+))?"
)
FIELDS: dict[str, type | tuple[type, ...]] = {
    "tier": int,
    "any": bool,
    "opts": str,
    "unknown": int,
    "style": str,
    "args": list,
    "bare": int,
    "wraps": bool,
    "skip": int,
    "handler": str,
    "emits": str,
    "why": str,
    "same": str,
    "sub": dict,
    "sub0": str,
    "sub1": str,
    "sub2": str,
    "sub3": str,
    "nosub": int,
    "unknown_sub": int,
    "nohelp": bool,
    "note": str,
}


class SpecError(ValueError):
    """A command file says something that cannot be read."""


@dataclass(frozen=True, slots=True)
class Option:
    """One declared option.

    Attributes:
        names: All spellings, with their dashes.
        value: `` for none, `:` for required, `?` for attached or after `=` only.
        tier: The least tier of a command that uses it.
        mode: If set, the tier that replaces the program's own.
        kind: How its value is judged.
    """

    names: tuple[str, ...]
    value: str = ""
    tier: int = 0
    mode: int | None = None
    kind: str = ""


@dataclass(slots=True)
class Spec:
    """Knowledge of one program or subcommand."""

    name: str
    tier: int = 0
    any: bool = False
    options: dict[str, Option] = field(default_factory=dict)
    unknown: int = 2
    style: str = "gnu"
    args: tuple[str, ...] = ("any*",)
    bare: int | None = None
    wraps: bool = False
    skip: int = 0
    handler: str = ""
    emits: str = ""
    why: str = ""
    same: str = ""
    subs: dict[str, Spec | int] = field(default_factory=dict)
    prefixes: dict[str, Spec | int] = field(default_factory=dict)
    nosub: int = 0
    unknown_sub: int = 2
    nohelp: bool = False

    @property
    def has_subs(self) -> bool:
        """Whether the first operand is a subcommand."""
        return bool(self.subs or self.prefixes)

    def subcommand(self, name: str) -> Spec | int | None:
        """The entry for a subcommand, the longest `prefix*` entry if none is exact."""
        found = self.subs.get(name)
        if found is not None:
            return found
        best = ""
        for prefix in self.prefixes:
            if name.startswith(prefix) and len(prefix) >= len(best):
                best, found = prefix, self.prefixes[prefix]
        return found


def declarations(text: str, style: str) -> dict[str, Option]:
    """Compile the option declarations of one `opts` string.

    A name is a letter (`-n`), a long option (`--lines`), or in style `long1` a word behind one
    dash. Elsewhere `-abc` is short for `-a -b -c`; with a tier or mode it is the whole word.

    Raises:
        SpecError: at a declaration that cannot be read.
    """
    options: dict[str, Option] = {}
    clusters: dict[str, Option] = {}
    for token in text.split():
        match = _DECLARATION.fullmatch(token)
        if not match:
            raise SpecError(f"option declaration {token!r}")
        kind = match.group("kind") or ""
        if kind not in VALUE_KINDS:
            raise SpecError(f"unknown kind {kind!r} in {token!r}")
        value = match.group("value")
        names = tuple(match.group("names").split(","))
        mode = match.group("mode")
        tier = int(match.group("tier") or 0)
        if (
            style in ("gnu", "posix", "bsd")
            and len(names) == 1
            and len(names[0]) > 2
            and names[0][1] != "-"
        ):
            if value or kind:
                raise SpecError(f"a cluster takes no value: {token!r}")
            if mode is None and not tier:
                for char in names[0][1:]:
                    clusters[f"-{char}"] = Option((f"-{char}",))
                continue
        option = Option(names, value, tier, int(mode) if mode else None, kind)
        for name in names:
            options[name] = option
    # What is said of one letter holds against the clusters that also name it.
    return {**clusters, **options}


def compile_spec(name: str, table: Mapping[str, object], parent: Spec | None = None) -> Spec:
    """Compile one table of a command file.

    Raises:
        SpecError: naming the program and the entry that is wrong.
    """
    for key, value in table.items():
        wanted = FIELDS.get(key)
        if wanted is None:
            raise SpecError(f"{name}: unknown entry {key!r}")
        if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
            raise SpecError(f"{name}: {key} has the wrong type")
        if key in ("tier", "unknown", "bare", "nosub", "unknown_sub") and value not in range(4):
            raise SpecError(f"{name}: {key} must be a tier from 0 to 3")
    spec = Spec(name)
    if parent is not None:
        spec.options = dict(parent.options)
        spec.unknown, spec.style = parent.unknown, parent.style
    for key in ("tier", "any", "unknown", "style", "bare", "wraps", "skip", "handler", "emits"):
        if key in table:
            setattr(spec, key, table[key])
    for key in ("why", "same", "nosub", "unknown_sub", "nohelp"):
        if key in table:
            setattr(spec, key, table[key])
    if spec.style not in STYLES:
        raise SpecError(f"{name}: unknown style {spec.style!r}")
    try:
        spec.options.update(declarations(str(table.get("opts", "")), spec.style))
    except SpecError as error:
        raise SpecError(f"{name}: {error}") from None
    if "args" in table:
        args = table["args"]
        assert isinstance(args, list)
        for kind in args:
            if not isinstance(kind, str) or kind.rstrip("*") not in OPERAND_KINDS:
                raise SpecError(f"{name}: unknown operand kind {kind!r}")
        spec.args = tuple(args)
    _subcommands(spec, table)
    return spec


def _subcommands(spec: Spec, table: Mapping[str, object]) -> None:
    entries: dict[str, Spec | int] = {}
    for tier in range(4):
        for name in str(table.get(f"sub{tier}", "")).split():
            entries[name] = tier
    sub = table.get("sub", {})
    assert isinstance(sub, dict)
    for names, inner in sub.items():
        if not isinstance(inner, dict):
            raise SpecError(f"{spec.name} {names}: a table is needed")
        for name in names.split():
            entries[name] = compile_spec(f"{spec.name} {name}", inner, spec)
    for name, entry in entries.items():
        if name.endswith("*"):
            spec.prefixes[name[:-1]] = entry
        else:
            spec.subs[name] = entry
