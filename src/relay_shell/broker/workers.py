"""The workers: which process acts for whom, kept so that a restarted broker knows them again.

Each worker has one small file in the runtime directory. It holds a digest of the worker's resume
secret, never the secret, and the kernel's facts of its process: a re-hello must bring the secret
and be that very process.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ..wire.errors import RelayError
from ..wire.link import Link
from . import peer as kernel
from . import statefile
from .peer import Peer
from .tickets import digest, secret

RECENT = 256
"""Workers that have ended and are still known by their unit."""

_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_ID = re.compile(r"[a-z2-7]{8}")
_FILE = re.compile(r"worker-([a-z2-7]{8})\.json")


@dataclass(slots=True)
class Worker:
    """One worker process."""

    id: str
    principal: str
    user: str
    uid: int
    """Of the principal; the process's own is part of the posture."""
    pid: int
    start: int
    unit: str
    posture: str
    resume: str
    """Digest of the resume secret."""
    conns: list[str] = field(default_factory=list)
    since: float = field(default_factory=time.time)
    link: Link | None = None
    pidfd: int = -1
    sessions: list[Any] = field(default_factory=list)
    """What the worker last said that it holds."""
    stopping: str = ""
    """Why it was told to end."""

    def facts(self) -> dict[str, Any]:
        """What every record of this worker's calls says."""
        return {
            "worker": self.id,
            "pid": self.pid,
            "unit": self.unit or None,
            "posture": self.posture,
        }

    def stored(self) -> dict[str, Any]:
        """The fields that the file keeps."""
        return {name: getattr(self, name) for name in _KEPT}

    def as_status(self) -> dict[str, Any]:
        """The row of `relay-shell status`, and of the front's `workers`."""
        return {
            "worker": self.id,
            "principal": self.principal,
            "user": self.user,
            "pid": self.pid,
            "unit": self.unit,
            "posture": self.posture,
            "conns": list(self.conns),
            "sessions": list(self.sessions),
            "linked": self.link is not None,
            "stopping": self.stopping,
            "since": self.since,
        }


_KEPT = {
    "id": str,
    "principal": str,
    "user": str,
    "uid": int,
    "pid": int,
    "start": int,
    "unit": str,
    "posture": str,
    "resume": str,
    "conns": list,
    "since": float,
}


class Workers:
    """All workers, by id.

    Args:
        directory: the runtime directory; must belong to the broker alone.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._all: dict[str, Worker] = {}
        self._recent: OrderedDict[str, Worker] = OrderedDict()

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Worker]:
        return iter(list(self._all.values()))

    def find(self, ident: str) -> Worker | None:
        """Return a worker, if it is there."""
        return self._all.get(ident)

    def get(self, ident: str) -> Worker:
        """Return a worker.

        Raises:
            RelayError: kind NotFound.
        """
        found = self._all.get(ident)
        if found is None:
            raise RelayError("NotFound", reason=f"no worker {ident[:32]!r}")
        return found

    def of_principal(self, principal: str) -> list[Worker]:
        """The workers of one principal."""
        return [worker for worker in self._all.values() if worker.principal == principal]

    def recent(self, unit: str) -> Worker | None:
        """The worker that a unit was, if it ended lately; no unit is started twice."""
        return self._recent.get(unit)

    def of_process(self, pid: int, start: int) -> Worker | None:
        """The worker that a process is already."""
        for worker in self._all.values():
            if (worker.pid, worker.start) == (pid, start):
                return worker
        return None

    def add(self, worker: Worker) -> str:
        """Enter a worker with a new id and return its resume secret.

        Raises:
            OSError: it cannot be kept, and is not entered.
        """
        resume = secret()
        while not worker.id or worker.id in self._all:
            worker.id = "".join(secrets.choice(_ALPHABET) for _ in range(8))
        worker.resume = digest(resume)
        self.keep(worker)
        self._all[worker.id] = worker
        return resume

    def resume(self, ident: str, shown: str, peer: Peer) -> Worker:
        """Check the re-hello of a worker.

        The secret stays the same: a new one could be lost with a broker that is killed between
        keeping and telling it, and then the worker could never come back.

        Raises:
            RelayError: kind PermissionDenied, with what did not fit.
        """
        worker = self._all.get(ident)
        if worker is None:
            raise _refused("no such worker is known")
        if not hmac.compare_digest(worker.resume, digest(shown)):
            raise _refused("the resume secret is wrong")
        if (worker.pid, worker.start, worker.unit) != (peer.pid, peer.start, peer.unit):
            raise _refused(f"process {peer.pid} is not the one that this worker is")
        return worker

    def keep(self, worker: Worker) -> None:
        """Write a worker's file; /run is memory, so it need not be synced."""
        path = self._path(worker.id)
        statefile.write(path, {"version": 1, "worker": worker.stored()}, durable=False)

    def remove(self, worker: Worker) -> None:
        """Forget a worker that ended."""
        if self._all.get(worker.id) is worker:
            del self._all[worker.id]
            self._recent[worker.unit] = worker
            if len(self._recent) > RECENT:
                self._recent.popitem(last=False)
        if worker.pidfd >= 0:
            os.close(worker.pidfd)
            worker.pidfd = -1
        with contextlib.suppress(OSError):
            os.unlink(self._path(worker.id))

    def restore(self) -> tuple[list[Worker], list[tuple[str, str]]]:
        """Read the files that a former broker left.

        Returns:
            The workers that still run, and (worker, why) for those that are gone or whose file
            cannot be trusted; the files of the latter are removed.

        Raises:
            StateError: the directory cannot be trusted.
        """
        statefile.check_directory(self._directory)
        lost: list[tuple[str, str]] = []
        for name in sorted(os.listdir(self._directory)):
            match = _FILE.fullmatch(name)
            if match is None:
                continue
            path = os.path.join(self._directory, name)
            try:
                worker = _parse(match[1], statefile.read(path))
            except (statefile.StateError, FileNotFoundError) as error:
                lost.append((match[1], f"its state cannot be used: {error}"))
                with contextlib.suppress(OSError):
                    os.unlink(path)
                continue
            if not kernel.runs(worker.pid, worker.start):
                lost.append((worker.id, "it ended while the broker was down"))
                os.unlink(path)
                continue
            self._all[worker.id] = worker
        return list(self._all.values()), lost

    def _path(self, ident: str) -> str:
        assert _ID.fullmatch(ident)
        return os.path.join(self._directory, f"worker-{ident}.json")


def _parse(ident: str, content: Any) -> Worker:
    row = content.get("worker") if isinstance(content, dict) else None
    if not isinstance(row, dict) or row.keys() != _KEPT.keys() or row["id"] != ident:
        raise statefile.StateError(f"worker-{ident}.json is damaged")
    for name, kind in _KEPT.items():
        if not isinstance(row[name], kind) or isinstance(row[name], bool):
            raise statefile.StateError(f"worker-{ident}.json is damaged at {name!r}")
    if not all(isinstance(conn, str) for conn in row["conns"]):
        raise statefile.StateError(f"worker-{ident}.json is damaged at 'conns'")
    return Worker(**row)


def _refused(reason: str) -> RelayError:
    return RelayError("PermissionDenied", reason=f"re-hello refused: {reason}")
