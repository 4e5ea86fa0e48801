"""An ssh-agent, asked through ssh-add(1)."""

from __future__ import annotations

import base64
import binascii
import os
import select
import subprocess
import time

PROGRAM = "/usr/bin/ssh-add"
LIMIT = 5.0
"""Seconds for one question."""
STEP = 0.05
"""Seconds after which it is looked at whether the agent lives."""

_EMPTY = 1
"""Status of ssh-add where an agent has nothing to list."""


class AgentError(Exception):
    """The agent, or ssh-add, did not do it; the message says what it said."""


class AgentGone(AgentError):
    """The agent does not answer, and would not answer another question."""


class Agent:
    """The agent that listens at `socket`.

    Args:
        pid: its process, where another than it keeps the socket: questions would wait for ever.
    """

    def __init__(self, socket: str, pid: int | None = None) -> None:
        self._socket = socket
        self._process: int | None = None
        if pid is not None:
            try:
                self._process = os.pidfd_open(pid)
            except ProcessLookupError:
                raise AgentGone(f"the agent at {socket} has ended") from None
        # No home, no display, no terminal: there is nobody to ask for a passphrase.
        self._environment = {
            "SSH_AUTH_SOCK": socket,
            "SSH_ASKPASS_REQUIRE": "never",
            "PATH": "/usr/bin:/bin",
            "LC_ALL": "C.UTF-8",
        }

    def close(self) -> None:
        """Let go of the process."""
        if self._process is not None:
            os.close(self._process)
            self._process = None

    def add(self, path: str) -> None:
        """Add a private key, and the certificate beside it.

        Raises:
            AgentError: it was not added.
        """
        self._ask("-q", "--", path)

    def remove(self, blob: bytes) -> None:
        """Remove the key with this public half.

        Raises:
            AgentError: it was not removed.
        """
        kind = blob[4 : 4 + int.from_bytes(blob[:4])]
        line = kind + b" " + base64.b64encode(blob) + b"\n"
        self._ask("-q", "-d", "-", stdin=line)

    def held(self) -> set[bytes]:
        """Public keys and certificates that it has.

        Raises:
            AgentError: it does not answer.
        """
        try:
            return {
                base64.b64decode(line.split()[1], validate=True)
                for line in self._ask("-L", empty=True).splitlines()
            }
        except (IndexError, binascii.Error) as error:
            raise AgentError(f"ssh-add -L: {error}") from None

    def _ask(self, *arguments: str, stdin: bytes = b"", empty: bool = False) -> bytes:
        """What ssh-add prints.

        Args:
            empty: its status for "nothing to list" is no failure, and an empty answer.
        """
        try:
            process = subprocess.Popen(
                [PROGRAM, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self._environment,
                # Without a terminal either, which it would open to ask.
                start_new_session=True,
            )
        except OSError as error:
            raise AgentError(f"{PROGRAM}: {error.strerror}") from None
        with process:
            try:
                printed, said = self._wait(process, stdin)
            except BaseException:
                process.kill()
                raise
        if empty and process.returncode == _EMPTY:
            return b""
        if process.returncode:
            reason = " ".join(said.decode("utf-8", "backslashreplace").split())[:500]
            raise AgentError(reason or f"ssh-add ended with status {process.returncode}")
        return printed

    def _wait(self, process: subprocess.Popen[bytes], stdin: bytes) -> tuple[bytes, bytes]:
        """Both outputs of ssh-add once it has ended."""
        given: bytes | None = stdin
        deadline = time.monotonic() + LIMIT
        while True:
            try:
                return process.communicate(given, timeout=STEP)
            except subprocess.TimeoutExpired:
                given = None
            if self._ended():
                raise AgentGone(f"the agent at {self._socket} has ended")
            if time.monotonic() > deadline:
                raise AgentGone(f"ssh-add did not end in {LIMIT:g} s")

    def _ended(self) -> bool:
        if self._process is None:
            return False
        poll = select.poll()
        poll.register(self._process, select.POLLIN)
        return bool(poll.poll(0))
