"""inventory.toml: the hosts that can be reached through SSH, each as its operator described it.

Nothing but the file says where a host is, as whom one logs in, and through what: a name that is
not in it cannot be reached. `document` reads it; this module is what it means.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from ..wire.errors import RelayError

FILE = "inventory.toml"
PORT = 22
WORD = 255
"""Characters that a word of a selection may have."""


class Host(NamedTuple):
    """One machine."""

    name: str
    address: str
    """A DNS name in lower case, or an IP address in its usual spelling."""
    port: int
    user: str
    jump: str
    """Name of the host through which it is reached, "" for none."""
    groups: tuple[str, ...]
    key: str
    """Fingerprint (SHA256:...) or comment of the private key to offer, "" for all there are."""
    host_key: str
    """Name under which known_hosts has its key, "" for the address and port connected to."""
    description: str
    shell: str = ""
    """What reads a command there: bash or sh, "" if it is not known."""


def listed_as(host: Host) -> str:
    """The name under which known_hosts has a host's key, as ssh(1) writes it."""
    if host.host_key:
        return host.host_key
    return host.address if host.port == PORT else f"[{host.address}]:{host.port}"


class Inventory:
    """The hosts, in the order of the file.

    Args:
        hosts: with names of their own, and with jumps that lead to one of them and end.
    """

    def __init__(self, hosts: Iterable[Host] = ()) -> None:
        self.hosts: Mapping[str, Host] = MappingProxyType({host.name: host for host in hosts})
        groups: dict[str, list[str]] = {}
        for host in self.hosts.values():
            for group in host.groups:
                groups.setdefault(group, []).append(host.name)
        self.groups: Mapping[str, tuple[str, ...]] = MappingProxyType(
            {group: tuple(names) for group, names in groups.items()}
        )
        """Group to the names of its hosts, both in the order of the file."""

    def __len__(self) -> int:
        return len(self.hosts)

    def find(self, name: str) -> Host:
        """The host of this name.

        Raises:
            RelayError: NotFound, with the names that are close to it.
        """
        host = self.hosts.get(name)
        if host is None:
            raise self._missing(f"no host {name[:WORD]!r} in the inventory", name, self.hosts)
        return host

    def select(self, words: Sequence[str]) -> list[Host]:
        """The hosts that words stand for, each once, in the order of the file.

        Args:
            words: names, patterns with `*`, `?` and `[...]`, and groups as "@group". No word
                stands for no host.

        Raises:
            RelayError: NotFound, for a word that fits no host.
        """
        chosen: set[str] = set()
        for word in words:
            chosen.update(self._fitting(word))
        return [host for name, host in self.hosts.items() if name in chosen]

    def chain(self, host: Host) -> list[Host]:
        """The hosts on the way to one, the first to connect to first and the host itself last.

        Raises:
            RelayError: NotFound, for a jump that is not in the inventory.
        """
        way = [host]
        while way[-1].jump and len(way) <= len(self.hosts):
            way.append(self.find(way[-1].jump))
        return way[::-1]

    def _fitting(self, word: str) -> Iterable[str]:
        if word in self.hosts:
            return (word,)
        if word.startswith("@"):
            if word[1:] not in self.groups:
                known = [f"@{group}" for group in self.groups]
                raise self._missing(f"no group {word[:WORD]!r} in the inventory", word, known)
            return self.groups[word[1:]]
        if len(word) <= WORD and any(char in word for char in "*?["):
            names = [name for name in self.hosts if fnmatchcase(name, word)]
            if not names:
                raise self._missing(f"no host fits {word!r}", "", ())
            return names
        raise self._missing(f"no host {word[:WORD]!r} in the inventory", word, self.hosts)

    def _missing(self, reason: str, name: str, known: Iterable[str]) -> RelayError:
        if not self.hosts:
            reason += ", which is empty"
        elif len(name) <= WORD:
            folded = {other.lower(): other for other in known}
            close = difflib.get_close_matches(name.lower(), folded, 3)
            if close:
                reason += "; did you mean " + " or ".join(repr(folded[near]) for near in close)
                reason += "?"
        error = RelayError("NotFound", reason=reason)
        error.next_step = "ssh_hosts lists the hosts that there are; the operator adds others."
        return error


def parse(text: str, file: str) -> Inventory:
    """The inventory that a text describes.

    Args:
        file: its name, for the message.

    Raises:
        RelayError: Config, with every fault as "file:line: reason".
    """
    from .document import Problem, hosts_of, parse_text

    problems: list[Problem] = []
    parsed = parse_text(text, file, problems)
    hosts = hosts_of(parsed, file, problems) if parsed else []
    return _accepted(hosts, problems)


def load(path: str) -> Inventory:
    """The inventory of a file; without the file, an empty one.

    Raises:
        RelayError: Config, with every fault; or because others than root and the account of this
            process can change the file.
    """
    from .document import Problem, hosts_of, parse_file

    problems: list[Problem] = []
    parsed = parse_file(Path(path), problems)
    hosts = hosts_of(parsed, path, problems) if parsed else []
    return _accepted(hosts, problems)


def _accepted(hosts: list[Host], problems: Sequence[object]) -> Inventory:
    if problems:
        raise RelayError("Config", reason="\n".join(map(str, problems)))
    return Inventory(hosts)
