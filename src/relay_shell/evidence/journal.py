"""Records to journald by its native protocol (systemd.io, JOURNAL_NATIVE_PROTOCOL), never waiting.

sd_journal_send(3) blocks for ever on a frozen journald and drops silently where the socket is
missing; so the datagrams are sent here, and what happens when journald does not take them is a
setting.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import json
import os
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from .errors import EvidenceError
from .events import EVENTS
from .message import message
from .moment import now
from .record import FIELDS, journal_name

SOCKET = "/run/systemd/journal/socket"
POLICIES = ("block", "spool", "continue-and-mark", "continue")
TOLD = 5.0
"""Seconds for which journald takes no records before it is more than busy."""

RETRY = 0.1
"""Seconds between attempts while journald does not take records."""

READY = 5.0
"""Seconds that a call waits under the policy `block` before it is refused."""

_ITEMS = 256
"""Items of an array that become fields of their own; journald takes 1024 fields an entry."""

_NAMES = {name: journal_name(name) for name in FIELDS}
_BUSY = {
    errno.EAGAIN,
    errno.ENOBUFS,
    errno.ENOENT,
    errno.ECONNREFUSED,
    errno.ECONNRESET,
    errno.ENOTCONN,
}
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def encode(record: Mapping[str, Any], identifier: str = "relay-shell") -> bytes:
    """One journal entry: MESSAGE, PRIORITY, MESSAGE_ID, and a RELAY_ field for each fact."""
    event = EVENTS[record["event"]]
    fields = [
        ("MESSAGE", message(record)),
        ("PRIORITY", event.priority),
        ("MESSAGE_ID", event.message_id),
        ("SYSLOG_IDENTIFIER", identifier),
    ]
    for name, value in record.items():
        field, kind = _NAMES[name], type(value)
        if kind is str or kind is int:
            fields.append((field, value))
        elif kind in (list, tuple) and len(value) <= _ITEMS:
            fields += [(field, item if isinstance(item, str) else _json(item)) for item in value]
        else:
            fields.append((field, _json(value)))
    text = "".join([f"{field}={value}\n" for field, value in fields])
    if text.count("\n") == len(fields):
        return text.encode("utf-8", "backslashreplace")
    return b"".join([_field(field, str(value)) for field, value in fields])


_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str).encode


def _field(name: str, value: str) -> bytes:
    """A field whose value may hold line feeds, which would end it: those go with their length."""
    field, data = name.encode(), value.encode("utf-8", "backslashreplace")
    if b"\n" in data:
        return b"%b\n%b%b\n" % (field, struct.pack("<Q", len(data)), data)
    return b"%b=%b\n" % (field, data)


class Journal:
    """The journal as a carrier of records.

    Args:
        policy: what to do while journald does not take records. "spool" keeps up to `spool_bytes`
            in memory and counts what is lost beyond; "block" does too, and `ready` refuses calls
            meanwhile; "continue-and-mark" counts all as lost.
        path: journald's socket.
    """

    def __init__(
        self, policy: str = "spool", spool_bytes: int = 16 * 1024 * 1024, path: str = SOCKET
    ) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        self._spool: deque[bytes] = deque()
        self._spooled = 0
        self._timer: asyncio.TimerHandle | None = None
        self._waiters: set[asyncio.Future[None]] = set()
        self.sent = 0
        self.lost = 0
        """Records that never reached journald, in all."""
        self._unreported = 0
        self.error = ""
        """Why journald does not take records at the moment; empty if it does."""
        self.on_state: Callable[[Mapping[str, Any]], None] | None = None
        """Told, from the event loop, facts to record when it takes none, and when it does again."""
        self._down = 0.0
        self._lost_before = 0
        self._since = ""
        self.configure(policy, spool_bytes)

    def configure(self, policy: str, spool_bytes: int) -> None:
        """Take the settings evidence.journal and evidence.spool_bytes, also on a reload."""
        if policy not in POLICIES:
            raise ValueError(policy)
        self.policy = policy
        self.spool_bytes = spool_bytes

    def send(self, record: Mapping[str, Any]) -> None:
        """Hand a record to journald, or keep or count it as the policy says. Never blocks."""
        entry = encode(record)
        if self._spool:
            self.flush()
        if not self._spool and self._try(entry):
            if self._unreported:
                self._report()
            return
        self._later()
        if self.policy.startswith("continue") or self._spooled + len(entry) > self.spool_bytes:
            self.lost += 1
            self._unreported += 1
            return
        self._spool.append(entry)
        self._spooled += len(entry)

    def flush(self) -> bool:
        """Send what waits; True if nothing waits any more."""
        while self._spool:
            if not self._try(self._spool[0]):
                return False
            self._spooled -= len(self._spool.popleft())
        if self._unreported and not self._report():
            return False
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        return True

    async def ready(self, timeout: float = READY) -> None:
        """Under the policy `block`, wait until journald takes records.

        Raises:
            EvidenceError: cause journal, if it does not within `timeout` seconds.
        """
        if self.policy != "block" or not self.error or self._probe():
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        self._later()
        try:
            async with asyncio.timeout(timeout):
                await waiter
        except TimeoutError:
            raise EvidenceError("journal", self.error) from None
        finally:
            self._waiters.discard(waiter)

    def status(self) -> dict[str, Any]:
        """Figures for `relay-shell status`."""
        return {
            "policy": self.policy,
            "state": self.error or "ok",
            "sent": self.sent,
            "lost": self.lost,
            "spooled": len(self._spool),
            "spooled_bytes": self._spooled,
        }

    def close(self) -> None:
        """Send what can be sent at once, then end."""
        with contextlib.suppress(OSError):
            self.flush()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._socket.close()

    def _probe(self) -> bool:
        return bool(self._spool) and self.flush()

    def _try(self, entry: bytes) -> bool:
        try:
            try:
                self._socket.sendto(entry, self._path)
            except OSError as error:
                if error.errno != errno.EMSGSIZE:
                    raise
                self._send_memfd(entry)
        except OSError as error:
            if error.errno in _BUSY:
                self.error = error.strerror or str(error)
                return False
            # Waiting would not make this entry fit; it must not hold up the others.
            self.error = ""
            self.lost += 1
            self._unreported += 1
            return True
        self.error = ""
        self.sent += 1
        return True

    def _send_memfd(self, entry: bytes) -> None:
        fd = os.memfd_create("relay-shell-journal", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            left = memoryview(entry)
            while left:
                left = left[os.write(fd, left) :]
            # journald reads an unsealed memfd from root alone.
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
            self._socket.sendmsg(
                [b""],
                [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", fd))],
                0,
                self._path,
            )
        finally:
            os.close(fd)

    def _report(self) -> bool:
        entry = encode({"event": "journal-lost", "facts": {"records": self._unreported}})
        if not self._try(entry):
            self._later()
            return False
        self._unreported = 0
        return True

    def _later(self) -> None:
        if self._timer is not None:
            return
        with contextlib.suppress(RuntimeError):
            self._timer = asyncio.get_running_loop().call_later(RETRY, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if not self.flush() or (self._waiters and self.error):
            self._later()
        self._tell()

    def _tell(self) -> None:
        """Say what has lasted, or is lost; and that it is over."""
        if self.error or self._spool:
            self._down = self._down or time.monotonic()
            lost = self.lost > self._lost_before
            if not self._since and (lost or time.monotonic() - self._down >= TOLD):
                self._since = now()
                self._say("degraded", {"policy": self.policy}, self.error)
            return
        self._down = 0.0
        count, self._lost_before = self.lost - self._lost_before, self.lost
        if self._since:
            facts = {"since": self._since, "lost": count}
            self._since = ""
            self._say("recovered", facts, "")

    def _say(self, event: str, facts: dict[str, Any], error: str) -> None:
        if self.on_state is not None:
            record = {"event": event, "what": "journal", "facts": facts}
            self.on_state({**record, "error": error} if error else record)
