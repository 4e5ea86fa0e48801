"""Secret shapes as data: the rule tables under ``rules/`` and their validation."""

from __future__ import annotations

import re
import string
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

RULES_DIR = Path(__file__).parent / "rules"

#: Key classes, which decide how much evidence a value has to give (see ``keys.py``).
KEY_CLASSES = ("password", "secret", "token", "key", "auth")

_CHOICE = re.compile(r"\[([^\]]+)\]")
_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_BLANK = re.compile(r"⟦([a-zA-Z])(\d+)⟧")
_ALPHABETS = {
    "A": string.ascii_letters + string.digits,
    "L": string.ascii_letters,
    "l": string.ascii_lowercase,
    "a": string.ascii_lowercase + string.digits,
    "U": string.ascii_uppercase + string.digits,
    "h": "0123456789abcdef",
    "H": "0123456789ABCDEF",
    "d": string.digits,
    "t": "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
    "b": string.ascii_letters + string.digits + "+/",
    "w": string.ascii_letters + string.digits + "_-",
    "q": "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L",
    "c": "./" + string.ascii_letters + string.digits,
}


class RuleError(ValueError):
    """A rule table is malformed, or a rule does not match its own example."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One secret shape.

    ``kind`` is ``token`` (a literal anchor and a body), ``key`` (the value of a named key),
    ``option`` (the argument of a program's short option) or ``context`` (recognised in code:
    PEM blocks, URL credentials, headers and the like).
    """

    name: str
    kind: str
    source: str
    example: str
    anchors: tuple[str, ...] = ()
    body: str = ""
    reach: str = "token"
    min: int = 0
    left: bool = False
    right: bool = False
    back: str = ""
    keys: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    cls: str = ""
    flag: str = ""
    attached: bool = False
    separate: bool = False
    shape: str = "value"
    programs: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def pattern(self) -> str:
        """RE2 pattern of a ``token`` rule; the captured groups, or else the whole, are secret."""
        heads = "|".join(re.escape(anchor) for anchor in self.anchors)
        return f"(?s)(?:{heads}){self.body}"

    def synthetic(self) -> str:
        """The example with its blanks filled by random characters that are nobody's secret."""
        return fill(self.example, self.name)


def fill(template: str, seed: str = "") -> str:
    """Expand ``⟦A36⟧`` (class letter, length) blanks; the same seed gives the same text."""
    import random  # costs 10 ms, and only self-tests and benchmarks come here

    # Examples are kept as templates so that no scanner takes this repository for a leak.
    rng = random.Random(seed)  # noqa: S311

    def body(match: re.Match[str]) -> str:
        alphabet = _ALPHABETS[match[1]]
        length = int(match[2])
        text = "".join(rng.choice(alphabet) for _ in range(length))
        # A body without a digit or with a single character class is rare in real tokens.
        if match[1] in "Aawbc" and length >= 6:
            text = text[: length - 3] + "Z7x" if match[1] != "a" else text[: length - 3] + "z7x"
        return text

    return _BLANK.sub(body, template)


def _tuple(value: Any, where: str) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise RuleError(f"{where}: expected a string or a list of strings")


def _choices(anchor: str) -> list[str]:
    """``a[bc]`` as ``ab`` and ``ac``: a longer anchor occurs less often by chance."""
    match = _CHOICE.search(anchor)
    if match is None:
        return [anchor]
    return [
        anchor[: match.start()] + letter + rest
        for letter in match[1]
        for rest in _choices(anchor[match.end() :])
    ]


_LISTS = frozenset({"anchors", "keys", "words", "programs", "needs"})
_SCALARS: dict[str, type] = {
    **dict.fromkeys(
        ("body", "reach", "back", "cls", "flag", "shape", "source", "example", "name"), str
    ),
    "min": int,
    **dict.fromkeys(("left", "right", "attached", "separate"), bool),
}


def parse(kind: str, table: Mapping[str, Any], origin: str = "") -> Rule:
    """Turn one table into a :class:`Rule`; raises :class:`RuleError` on any unknown field."""
    name = table.get("name")
    where = f"{origin}: rule {name!r}"
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise RuleError(f"{where}: name must be lower case words joined by hyphens")
    fields: dict[str, Any] = {}
    for key, value in table.items():
        if key == "anchors":
            fields[key] = tuple(
                anchor for item in _tuple(value, f"{where}: {key}") for anchor in _choices(item)
            )
        elif key in _LISTS:
            fields[key] = _tuple(value, f"{where}: {key}")
        elif isinstance(value, _SCALARS.get(key, ())):
            fields[key] = value
        else:
            raise RuleError(f"{where}: unknown or ill-typed field {key!r}")
    for required in ("source", "example"):
        if not fields.get(required):
            raise RuleError(f"{where}: {required} is missing")
    if kind == "token" and not fields.get("anchors"):
        raise RuleError(f"{where}: a token rule needs anchors")
    if kind == "key" and fields.get("cls") not in KEY_CLASSES:
        raise RuleError(f"{where}: cls must be one of {', '.join(KEY_CLASSES)}")
    if kind == "token" and "left" not in table:
        # A short or purely alphanumeric prefix also occurs inside words and base64.
        fields["left"] = not all(
            len(anchor) >= 4 and not anchor.isalnum() for anchor in fields["anchors"]
        )
    return Rule(kind=kind, **fields)


def load(paths: Iterable[Path] | None = None) -> tuple[Rule, ...]:
    """Read rule files (default: the shipped ones); raises :class:`RuleError`."""
    rules: list[Rule] = []
    seen: set[str] = set()
    for path in sorted(paths if paths is not None else RULES_DIR.glob("*.toml")):
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except tomllib.TOMLDecodeError as error:
            raise RuleError(f"{path.name}: {error}") from error
        for kind, tables in document.items():
            if kind not in {"token", "key", "option", "context"} or not isinstance(tables, list):
                raise RuleError(f"{path.name}: unknown table {kind!r}")
            for table in tables:
                rule = parse(kind, table, path.name)
                if rule.name in seen:
                    raise RuleError(f"{path.name}: rule {rule.name!r} is defined twice")
                seen.add(rule.name)
                rules.append(rule)
    return tuple(rules)


@lru_cache(maxsize=1)
def shipped() -> tuple[Rule, ...]:
    """The rules of the package, read once."""
    return load()
