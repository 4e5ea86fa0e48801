"""Which host keys are known: the operator's known_hosts, strictly, and no other.

A key that is not listed there is never accepted and never added: whoever could make an agent
accept a key could stand between it and the machine.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import asyncssh

from ..config import trust
from ..wire.errors import RelayError
from .agent import fingerprint
from .inventory import Host, listed_as


class Known(NamedTuple):
    """What is known of one host."""

    keys: tuple[asyncssh.SSHKey, ...] = ()
    authorities: tuple[asyncssh.SSHKey, ...] = ()
    """Keys that sign host certificates (@cert-authority)."""
    revoked: tuple[asyncssh.SSHKey, ...] = ()

    def state(self, key: asyncssh.SSHKey) -> str:
        """What a key is to us: known, revoked, changed (another is known) or unknown."""
        if key in self.revoked:
            return "revoked"
        if key in self.keys:
            return "known"
        same = [known for known in self.keys if known.algorithm == key.algorithm]
        return "changed" if same else "unknown"


class KnownHosts:
    """A file in the format of sshd(8), section SSH_KNOWN_HOSTS FILE FORMAT; read when it changes.

    Args:
        path: the file; where it is missing no host is known.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._read: tuple[int, int, int] | None = None
        self._hosts = asyncssh.import_known_hosts("")

    def find(self, host: Host) -> Known:
        """What is known of a host.

        Raises:
            RelayError: kind Config, if the file cannot be used.
        """
        self._refresh()
        # A port goes with the name (ssh(1)): the key of port 22 says nothing of another server.
        keys, authorities, revoked, *_ = self._hosts.match(listed_as(host), "", None)
        return Known(tuple(keys), tuple(authorities), tuple(revoked))

    def _refresh(self) -> None:
        try:
            status = self._path.stat()
            now = (status.st_ino, status.st_mtime_ns, status.st_size)
            if now == self._read:
                return
            text = trust.read(self._path).decode()
            self._hosts = asyncssh.import_known_hosts(text)
            self._read = now
        except FileNotFoundError:
            self._hosts, self._read = asyncssh.import_known_hosts(""), None
        except (OSError, ValueError) as error:
            raise RelayError("Config", reason=f"{self._path}: {error}") from None


def print_of(key: asyncssh.SSHKey | None) -> str:
    """The fingerprint of a host key, "" for none."""
    return "" if key is None else fingerprint(key.public_data)
