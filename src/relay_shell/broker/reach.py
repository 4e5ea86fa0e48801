"""The machines that a call reaches, as its worker resolved them, and how the record names them.

An entry of `hosts` in `begin` is one machine by all its names, the inventory's first: jump hosts
are machines as well. A plain text is a machine of one name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..policy.model import UNKNOWN_HOST
from ..wire.errors import RelayError

Redact = Callable[[Any], Any]
Machines = tuple[tuple[str, ...], ...]

MACHINES = 2048
"""Machines of one call: the 1000 that limits.fanout may allow, and jump hosts on the way."""

NAMES, NAME = 32, 255
"""Names of one machine, and characters of one (RFC 1035: 253, and a dot)."""

CHARACTERS = 256 * 1024
"""Characters of all names together."""

FANOUT = "ssh_fanout"
"""The tool that reaches many machines."""

RECORDED = 32 * 1024
"""Bytes of the names in a record: a hundred names of the greatest length fit."""

COMMAND_HOST = 100
"""Characters in the record of what a command names a host by, where that is longer than a name."""

_LOOKED_AT = 2048


def machines_of(hosts: Any) -> Machines:
    """The machines of a `begin`.

    Raises:
        RelayError: kind InvalidArguments, for what no worker of ours sends.
    """
    if not isinstance(hosts, list):
        raise _wrong("it is no list")
    if len(hosts) > MACHINES:
        raise _wrong(f"more than {MACHINES} machines")
    found = []
    room = CHARACTERS
    for entry in hosts:
        names = entry if isinstance(entry, list) else [entry]
        if not 1 <= len(names) <= NAMES:
            raise _wrong(f"a machine has 1 to {NAMES} names")
        for name in names:
            if not isinstance(name, str) or not 1 <= len(name) <= NAME:
                raise _wrong(f"a name is a text of 1 to {NAME} characters")
            if not name.isprintable() or " " in name or name.startswith(UNKNOWN_HOST):
                raise _wrong("a name holds what no host's name does")
            room -= len(name)
        found.append(tuple(dict.fromkeys(names)))
    if room < 0:
        raise _wrong(f"the names have more than {CHARACTERS} characters")
    return tuple(dict.fromkeys(found))


def _wrong(reason: str) -> RelayError:
    return RelayError("InvalidArguments", reason=f"hosts of the call: {reason}")


def names_of(machines: Machines) -> tuple[str, ...]:
    """All names of all machines, each once."""
    return tuple(dict.fromkeys(name for machine in machines for name in machine))


def meant(args: Mapping[str, Any]) -> Machines:
    """The machines as the arguments name them, for a call whose machines nobody resolved.

    What may stand for several (a group, a pattern) is not known.
    """
    given = args.get("host", args.get("hosts"))
    names = given if isinstance(given, list) else [given]
    texts = [name for name in names if isinstance(name, str)]
    plain = [name for name in texts if name and not any(char in name for char in "@*?[]{},! ")]
    known = len(plain) == len(names) and len(plain) <= MACHINES
    return tuple((name[:NAME],) for name in plain) if known else ((UNKNOWN_HOST,),)


def runs(tool: str, machines: Machines) -> int:
    """As how many calls one counts against the rates: a fan-out as one a machine."""
    return max(1, len(machines)) if tool == FANOUT else 1


def at_once(tool: str, args: Mapping[str, Any], machines: Machines, most: int) -> int:
    """As how many calls one counts while it runs: a fan-out as one a machine at once.

    Args:
        most: limits.fanout_at_once.
    """
    wanted = args.get("at_once")
    own = wanted if type(wanted) is int and wanted > 0 else most
    return min(runs(tool, machines), own, most)


def recorded(machines: Machines, named: Iterable[str], redact: Redact) -> list[str]:
    """The hosts of a record: every machine by its first name, then other names, then `named`.

    Names are redacted before anything is cut. Whatever does not fit into `RECORDED` is counted in
    an item that begins with an ellipsis, which no name does.

    Args:
        named: hosts that the call's command names.
    """
    firsts = list(dict.fromkeys(machine[0] for machine in machines))
    seen = set(firsts)
    others = [name for name in names_of(machines) if name not in seen]
    seen.update(others)
    commanded = [host for host in dict.fromkeys(named) if host not in seen and host != UNKNOWN_HOST]
    room = RECORDED
    shown: list[str] = []
    for what, names in (("machines", firsts), ("names", others), ("hosts", commanded)):
        kept, room = _fitting(_shown(names, redact), room, what)
        shown += kept
    return shown


def _shown(names: Sequence[str], redact: Redact) -> list[str]:
    shown = []
    for name, text in zip(names, redact([name[:_LOOKED_AT] for name in names]), strict=True):
        if len(name) <= NAME:
            shown.append(str(text))
        else:
            # Of a text that was cut before it was redacted, the end may be half a secret.
            shown.append(str(text)[:COMMAND_HOST] + "…" if len(name) <= _LOOKED_AT else "?…")
    return shown


def _fitting(names: Sequence[str], room: int, what: str) -> tuple[list[str], int]:
    """As many names as have room, and the room that is left."""
    kept: list[str] = []
    for count, name in enumerate(names):
        room -= len(name.encode("utf-8", "surrogatepass"))
        if room < 0:
            return [*kept, f"… {len(names) - count} more {what}"], 0
        kept.append(name)
    return kept, room
