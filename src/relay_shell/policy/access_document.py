"""access.toml as a parsed document: what it may say, and everything that is wrong with it."""

from __future__ import annotations

import difflib
import ipaddress
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from .access import BUDGETS, RECORDING, AccessRules, Rule

MODES = ("open", "guarded", "readonly")

MOST_RULES = 1024
MOST_ITEMS = 256
LENGTH = 512
"""Characters of one name."""

WHO: Mapping[str, str] = MappingProxyType(
    {
        "user": "The account of the client's process, as the kernel says.",
        "group": "A group, by name or number, of that process or of its account.",
        "issuer": "Who issued a verified token.",
        "subject": "Whom a verified token is for; only beside issuer.",
        "scope": "A scope of a verified token.",
        "client": "The name that the client gives itself. It is a claim, and stands only beside "
        "another of these.",
    }
)
"""What a rule may ask for: each of its keys must match, by any value of a list."""

GIVES: Mapping[str, str] = MappingProxyType(
    {
        "mode": "open, guarded or readonly, in the place of policy.mode.",
        "recording": "off, metadata, output or full, in the place of recording.mode. With client "
        "it can only make it more.",
        "ceiling": "Highest tier, 0 to 3; the lower of it and policy.ceiling holds.",
        "tools": "List of the tool groups and tools that there are for it; all if left out.",
        "without_tools": "List of tool groups and tools that are taken from those.",
        "hosts": "List of hosts that tools and commands may reach: names with * and ?, addresses, "
        "networks such as 10.0.0.0/8; all if left out. A command whose host is known only when it "
        "runs is then refused.",
        "redact": "true hides secrets in output, false shows them, in the place of "
        "redaction.output. A rule with client cannot show them.",
        "budgets": "Table of budgets, in the place of those of relay-shell.toml.",
    }
)
"""What a rule may give; what is left out is as the settings say."""

_KEYS = ("name", *WHO, "any", "deny", *GIVES)


class Problem(NamedTuple):
    """One reason for which the document is refused."""

    path: tuple[str, ...]
    """Keys from the top; the index of an array's table is one of them."""
    reason: str


class Known(NamedTuple):
    """What rules may name."""

    groups: Mapping[str, Collection[str]]
    """Tool group to the names of its tools."""
    gid: Callable[[str], int | None]
    """The id of a system group, None if there is no such group."""


def parse(
    document: Mapping[str, Any], known: Known, line_of: Callable[[tuple[str, ...]], int]
) -> tuple[AccessRules, list[Problem]]:
    """The rules of a parsed TOML document, and everything that is wrong with it.

    Args:
        line_of: the line of a key path, for the rules' own names.
    """
    problems: list[Problem] = []
    for key in document:
        if key != "rule":
            problems.append(Problem((key,), _unknown("key", key, ("rule",))))
    rows = document.get("rule", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return AccessRules(), [*problems, Problem(("rule",), "'rule' is a list: write [[rule]]")]
    if len(rows) > MOST_RULES:
        problems.append(Problem(("rule",), f"more than {MOST_RULES} rules"))
        rows = []
    rules = []
    for index, row in enumerate(rows):
        path = ("rule", str(index))
        reader = _Reader(row, path, known, problems)
        rules.append(reader.rule(index + 1, line_of(path)))
    return AccessRules(rules), problems


def shadowed(rules: AccessRules) -> list[str]:
    """What is no error and hardly meant: rules that an earlier one always comes before."""
    found = []
    for place, rule in enumerate(rules.rules):
        for before in rules.rules[:place]:
            if all(
                key in rule.who and set(rule.who[key]) <= set(values)
                for key, values in before.who.items()
            ):
                found.append(f"line {rule.line}: {rule} is never reached, for {before} comes first")
                break
    return found


class _Reader:
    """Reads one rule; what is wrong goes to `problems`."""

    def __init__(
        self,
        row: Mapping[str, Any],
        path: tuple[str, ...],
        known: Known,
        problems: list[Problem],
    ) -> None:
        self._row = row
        self._path = path
        self._known = known
        self._problems = problems

    def rule(self, number: int, line: int) -> Rule:
        row = self._row
        for key in row:
            if key not in _KEYS:
                self._wrong(key, _unknown("key", key, _KEYS))
        who = {key: self._names(key) for key in WHO if key in row}
        if "group" in who:
            who["group"] = self._gids(who["group"])
        self._check_who(who)
        deny = self._boolean("deny")
        if deny:
            for key in GIVES:
                if key in row:
                    self._wrong(key, f"a rule that denies gives no {key!r}")
        return Rule(
            number,
            line,
            self._name(),
            MappingProxyType(who),
            deny,
            self._choice("mode", MODES),
            self._ceiling(),
            self._tools(),
            self._hosts(),
            self._budgets(),
            self._choice("recording", RECORDING),
            self._redact(),
        )

    def _wrong(self, key: str, reason: str) -> None:
        self._problems.append(Problem((*self._path, key) if key else self._path, reason))

    def _check_who(self, who: Mapping[str, Any]) -> None:
        everybody = self._boolean("any")
        if everybody and who:
            self._wrong("any", f"'any' names everybody; leave out {next(iter(who))!r}")
        if not everybody and not who:
            names = ", ".join(WHO)
            self._wrong("", f"the rule names nobody: give one of {names}, or any = true")
        if "subject" in who and "issuer" not in who:
            self._wrong("subject", "a subject means something only with its 'issuer'")
        if "client" in who and len(who) == 1:
            # Any program can claim any name; alone it would be no identity at all.
            self._wrong("client", "a client's name is its own claim: name a user or group as well")

    def _names(self, key: str) -> tuple[str | int, ...]:
        value = self._row[key]
        items = value if isinstance(value, list) else [value]
        if not 1 <= len(items) <= MOST_ITEMS:
            self._wrong(key, f"{key} must name 1 to {MOST_ITEMS}, not {len(items)}")
            return ()
        for item in items:
            number = key == "group" and isinstance(item, int) and not isinstance(item, bool)
            if number and 0 <= item < 2**32 - 1:
                continue
            if not isinstance(item, str):
                self._wrong(key, f"{key} must be a string or a list of strings")
                return ()
            if not item or len(item) > LENGTH or not item.isprintable():
                self._wrong(key, f"{key} has an item that is empty, too long or not printable")
                return ()
        return tuple(items)

    def _gids(self, names: tuple[str | int, ...]) -> tuple[str | int, ...]:
        found: list[str | int] = []
        for name in names:
            gid = name if isinstance(name, int) else self._known.gid(name)
            if gid is None:
                # A rule that narrows a group must not vanish with the group.
                self._wrong("group", f"there is no group {str(name)[:64]!r} on this system")
            else:
                found.append(gid)
        return tuple(found)

    def _name(self) -> str:
        value = self._row.get("name", "")
        if not isinstance(value, str) or len(value) > 64 or not (value + "x").isprintable():
            self._wrong("name", "name must be a printable string of at most 64 characters")
            return ""
        return value

    def _boolean(self, key: str) -> bool:
        value = self._row.get(key, False)
        if not isinstance(value, bool):
            self._wrong(key, f"{key} must be true or false")
            return False
        if key in self._row and not value:
            self._wrong(key, f"{key} = false means nothing; leave it out")
        return bool(value)

    def _redact(self) -> bool | None:
        value = self._row.get("redact")
        if value is not None and not isinstance(value, bool):
            self._wrong("redact", f"redact must be true or false, not {_shown(value)}")
            return None
        if value is False and "client" in self._row:
            # What any program can claim must not make secrets visible.
            self._wrong("redact", "a client's name is its own claim: it cannot show secrets")
        return value

    def _choice(self, key: str, choices: tuple[str, ...]) -> str | None:
        value = self._row.get(key)
        if value is not None and value not in choices:
            self._wrong(key, f"{key} must be one of {', '.join(choices)}, not {_shown(value)}")
            return None
        return value

    def _ceiling(self) -> int | None:
        value = self._row.get("ceiling")
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 3:
            self._wrong("ceiling", f"ceiling must be a tier, 0 to 3, not {_shown(value)}")
            return None
        return value

    def _tools(self) -> frozenset[str] | None:
        given = self._tool_names("tools")
        without = self._tool_names("without_tools")
        if without is None:
            return given
        every = {name for names in self._known.groups.values() for name in names}
        return frozenset((every if given is None else given) - without)

    def _tool_names(self, key: str) -> frozenset[str] | None:
        """The tools that a list of groups and tools stands for; None if the key is absent."""
        value = self._row.get(key)
        if value is None:
            return None
        if not isinstance(value, list) or len(value) > MOST_ITEMS:
            self._wrong(key, f"{key} must be a list of tool groups and tools")
            return frozenset()
        groups = self._known.groups
        tools = {name for names in groups.values() for name in names}
        found: set[str] = set()
        for item in value:
            if isinstance(item, str) and item in groups:
                found.update(groups[item])
            elif isinstance(item, str) and item in tools:
                found.add(item)
            else:
                what = _unknown("tool or group", item, (*groups, *sorted(tools)))
                self._wrong(key, f"{key}: {what}")
        return frozenset(found)

    def _hosts(self) -> tuple[str, ...] | None:
        value = self._row.get("hosts")
        if value is None:
            return None
        if not isinstance(value, list) or len(value) > MOST_ITEMS:
            self._wrong("hosts", "hosts must be a list of names, patterns or networks")
            return ()
        for item in value:
            if not isinstance(item, str) or not item or len(item) > LENGTH:
                self._wrong("hosts", "hosts has an item that is no name, pattern or network")
                return ()
            if "/" in item:
                try:
                    ipaddress.ip_network(item)
                except ValueError as error:
                    self._wrong("hosts", f"hosts: {error}")
        return tuple(item.lower() for item in value)

    def _budgets(self) -> Mapping[str, int]:
        value = self._row.get("budgets", {})
        if not isinstance(value, dict):
            self._wrong("budgets", "budgets is a table: write [rule.budgets]")
            return {}
        found: dict[str, int] = {}
        for key, amount in value.items():
            path = f"budgets.{key}"
            if key not in BUDGETS:
                self._deep(key, _unknown("budget", key, tuple(BUDGETS)))
            elif not isinstance(amount, int) or isinstance(amount, bool):
                self._deep(key, f"{path} must be an integer, not {_shown(amount)}")
            elif not 0 <= amount <= BUDGETS[key]:
                self._deep(key, f"{path} must be between 0 and {BUDGETS[key]}, not {amount}")
            else:
                found[key] = amount
        return MappingProxyType(found)

    def _deep(self, key: str, reason: str) -> None:
        self._problems.append(Problem((*self._path, "budgets", key), reason))


def _shown(value: object) -> str:
    return repr(value)[:64]


def _unknown(what: str, name: object, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(str(name), known, 1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"unknown {what} {_shown(name)}{hint}"
