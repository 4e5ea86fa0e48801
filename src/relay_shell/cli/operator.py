"""Client of the broker's operator socket.

It is synchronous on purpose: an operator's verb asks a question and ends, and importing an event
loop would take longer than the answer.
"""

from __future__ import annotations

import grp
import os
import socket
from typing import Any

from ..wire.checking import check
from ..wire.errors import RelayError
from ..wire.frame import PAYLOAD, Decoder, encode
from ..wire.messages import TABLE, VERSION
from .place import setting

GROUP = "relay-shell-operators"
TIMEOUT = 10.0
"""Seconds to wait for an answer; a kill waits for the units that it ends."""


class Operator:
    """A greeted connection; a context manager.

    Raises:
        RelayError: Unavailable, PermissionDenied, BrokerUnavailable, or what the broker answers.
    """

    def __init__(self, path: str | None = None, timeout: float = TIMEOUT) -> None:
        self.path = path or setting("paths.operator")
        self._timeout = timeout
        self._next = 0
        self._decoder = Decoder()
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        self._sock.settimeout(timeout)
        try:
            self._connect()
            self.broker = self._hello()
        except BaseException:
            self._sock.close()
            raise

    def _hello(self) -> dict[str, Any]:
        try:
            return self.request("hello_operator", {"version": VERSION})
        except RelayError as error:
            # A broker says nothing to who is no operator, even where the socket lets him in.
            if error.kind == "BrokerUnavailable" and not _may_operate():
                raise self._forbidden() from None
            raise

    def _forbidden(self) -> RelayError:
        return RelayError(
            "PermissionDenied", reason=f"{self.path} is for root and members of group {GROUP}"
        )

    def _connect(self) -> None:
        try:
            self._sock.connect(self.path)
        except FileNotFoundError:
            raise RelayError("Unavailable", reason=f"no operator socket at {self.path}") from None
        except PermissionError:
            raise self._forbidden() from None
        except OSError as error:
            raise RelayError(
                "BrokerUnavailable", reason=f"{self.path}: {error.strerror or error}"
            ) from None

    def request(self, name: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask one question and return the body of the reply."""
        row = TABLE[name]
        assert row.sender == "operator" and row.reply is not None
        self._next += 1
        try:
            for packet in encode({"m": name, "i": self._next, "b": body or {}}):
                self._sock.send(packet)
            frame = self._receive()
        except TimeoutError:
            raise RelayError(
                "BrokerUnavailable", reason=f"no answer to {name} in {self._timeout:g} s"
            ) from None
        except OSError as error:
            raise RelayError("BrokerUnavailable", reason=error.strerror or str(error)) from None
        if "e" in frame:
            raise RelayError.from_wire(frame["e"])
        return check(f"reply to {name}", frame.get("b"), row.reply)

    def _receive(self) -> dict[str, Any]:
        while True:
            packet = self._sock.recv(PAYLOAD + 1)
            if not packet:
                raise RelayError("BrokerUnavailable", reason="the broker closed the operator link")
            frame = self._decoder.feed(packet)
            if frame is not None and frame.get("r") == self._next:
                return frame

    def close(self) -> None:
        """End the link."""
        self._sock.close()

    def __enter__(self) -> Operator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _may_operate() -> bool:
    """Whether this process is root or in the operators' group."""
    if os.geteuid() == 0:
        return True
    try:
        return grp.getgrnam(GROUP).gr_gid in (os.getegid(), *os.getgroups())
    except KeyError:
        return False
