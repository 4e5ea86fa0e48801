"""What a row of the table of settings says."""

from __future__ import annotations

from typing import Any, NamedTuple

KIB = 1024
MIB = 1024 * KIB

BROKER = "broker"
FRONT = "front"
WORKER = "worker"
OBSERVER = "observer"


class Setting(NamedTuple):
    """One setting.

    `kind` is int, str, choice, path, names (a list of `choices`) or patterns (a list for RE2).
    `low` and `high` bound an int, else the characters of a str or path and the items of a list.
    `audience` names the processes that are told the value; `reload` says whether
    `systemctl reload relay-shell` applies a change, or only a restart does.
    """

    name: str
    kind: str
    default: Any
    low: int
    high: int
    unit: str
    audience: tuple[str, ...]
    reload: bool
    help: str
    choices: tuple[str, ...] = ()

    @property
    def section(self) -> str:
        return self.name.partition(".")[0]

    @property
    def key(self) -> str:
        return self.name.partition(".")[2]


def path(name: str, default: str, audience: tuple[str, ...], text: str) -> Setting:
    """A file or socket; only a restart applies a change."""
    # sun_path of unix(7) holds 107 characters and a NUL.
    high = 107 if default.endswith(".sock") else 4095
    return Setting(name, "path", default, 2, high, "", audience, False, text)


def integer(
    name: str,
    default: int,
    low: int,
    high: int,
    unit: str,
    audience: tuple[str, ...],
    text: str,
    reload: bool = True,
) -> Setting:
    return Setting(name, "int", default, low, high, unit, audience, reload, text)


def choice(
    name: str, choices: tuple[str, ...], audience: tuple[str, ...], reload: bool, text: str
) -> Setting:
    return Setting(name, "choice", choices[0], 0, 0, "", audience, reload, text, choices)
