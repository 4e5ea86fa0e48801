"""The key agent, as its client: keys stay there, and sign what we send.

systemd connects to the agent for the worker (OpenFile= in systemd.service(5)) and passes the
connection, because the socket is root's alone: a command of the same account can neither open the
socket nor inherit the descriptor. Where there is no such unit, the account's own agent is asked
($SSH_AUTH_SOCK, ssh-agent(1)).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import socket
from collections.abc import Sequence

import asyncssh

from ..wire.errors import RelayError

PATIENCE = 10.0
"""Seconds that the agent has to answer; a key may ask a person for a touch."""

ABSENT = (
    "Operator: 'systemctl status relay-shell-keys.socket'; a connection that begins after it was"
    " started has the agent."
)


class KeyAgent:
    """One connection to an agent (draft-ietf-sshm-ssh-agent).

    Args:
        fd: a connected descriptor, taken over; -1 for none.
    """

    def __init__(self, fd: int = -1) -> None:
        self._passed = fd >= 0
        self._fd = fd
        self._client: asyncssh.SSHAgentClient | None = None

    async def pairs(self, wanted: str = "") -> list[asyncssh.SSHKeyPair]:
        """The keys to offer; made anew each time, for a connection keeps state in them.

        Args:
            wanted: fingerprint (SHA256:...) or comment of the only one, "" for all.

        Raises:
            RelayError: kind Unavailable, if there is no agent; HostAuth, if it lacks the key.
        """
        if self._client is None:
            self._client = self._begin()
        try:
            async with asyncio.timeout(PATIENCE):
                found = list(await self._client.get_keys())
        except TimeoutError:
            raise _absent("the key agent does not answer in time") from None
        except (ValueError, OSError) as error:
            self._client = None
            raise _absent(f"the key agent does not answer: {str(error)[:200]}") from None
        if wanted:
            found = [pair for pair in found if wanted in names(pair)]
        if not found:
            reason = f"the key agent holds no key {wanted}" if wanted else "the key agent is empty"
            raise RelayError("HostAuth", reason=reason)
        return found

    def close(self) -> None:
        """Let the connection go."""
        if self._client is not None:
            self._client.close()
            self._client = None
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _begin(self) -> asyncssh.SSHAgentClient:
        if self._passed:
            if self._fd < 0:
                raise _absent("the key agent's connection has ended")
            sock, self._fd = socket.socket(fileno=self._fd), -1
            return _Client(sock)
        path = os.environ.get("SSH_AUTH_SOCK", "")
        if not path:
            raise _absent("there is no key agent")
        return _Client(path=path)


class _Client(asyncssh.SSHAgentClient):
    """A client on a path, or on a socket that is connected already and never again.

    Requests run to their end though the call that made them is cancelled: the answer to one that
    was given up would be taken for that to the next.
    """

    def __init__(self, sock: socket.socket | None = None, path: str = "") -> None:
        super().__init__(path)
        self._sock = sock
        self._path = path

    async def connect(self) -> None:
        if self._path:
            await super().connect()
            return
        if self._sock is None:
            raise OSError("its connection has ended")
        sock, self._sock = self._sock, None
        self._reader, self._writer = await asyncio.open_unix_connection(sock=sock)

    async def get_keys(
        self, identities: Sequence[bytes] | None = None
    ) -> Sequence[asyncssh.SSHKeyPair]:
        return await asyncio.shield(super().get_keys(identities))

    async def sign(self, key_blob: bytes, data: bytes, flags: int = 0) -> bytes:
        return await asyncio.shield(super().sign(key_blob, data, flags))

    def close(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None
        super().close()


def names(pair: asyncssh.SSHKeyPair) -> set[str]:
    """By what an operator may name a key: its fingerprint (ssh-keygen -l) or its comment."""
    comment = (pair.get_comment_bytes() or b"").decode("utf-8", "replace")
    return {fingerprint(pair.public_data), comment} - {""}


def fingerprint(public: bytes) -> str:
    """The SHA-256 fingerprint of a public key's octets, as ssh-keygen(1) prints it."""
    digest = base64.b64encode(hashlib.sha256(public).digest()).decode().rstrip("=")
    return f"SHA256:{digest}"


def _absent(reason: str) -> RelayError:
    error = RelayError("Unavailable", reason=reason)
    error.next_step = ABSENT
    return error
