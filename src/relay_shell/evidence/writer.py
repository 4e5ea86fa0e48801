"""The sole writer of the record: a line is appended, chained, and made durable together with
whatever else waits."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .active import Active, before
from .canonical import body
from .chain import seal
from .errors import EvidenceError
from .fence import Fence
from .journal import Journal
from .latest import Latest
from .moment import boot_id, now
from .outage import Outage
from .record import GENESIS, MAX_LINE, VERSION, check
from .seals import Seals
from .signing import Signer
from .sync import GroupSync
from .unfinished import unfinished

Record = dict[str, Any]


class Writer:
    """Appends to the record at `path`.

    Whatever keeps it from writing but another writer does not fail the construction: `trouble`
    says what is wrong, every append is refused with it, and each tries again.

    Args:
        path: the active file.
        journal: where records also go; None for nowhere.
        lock: see `Active`.
        on_state: called with the trouble when it begins and with None when it ends.
        signer: signs checkpoints; None for none.
        every: records after which a checkpoint is due.

    Raises:
        EvidenceError: cause locked, if another process writes this record.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        journal: Journal | None = None,
        lock: str | os.PathLike[str] | None = None,
        on_state: Callable[[EvidenceError | None], None] | None = None,
        signer: Signer | None = None,
        every: int = 1000,
    ) -> None:
        self.path = Path(path)
        self.seals = Seals(signer, every)
        self.last = time.monotonic()
        """When the last record was written (time.monotonic)."""
        self.journal = journal
        self._lock = Path(lock) if lock else None
        self._on_state = on_state
        self._file: Active | None = None
        self._seq, self._head = 0, GENESIS
        self._latest = Latest()
        self._boot_id = boot_id()
        self._outage = Outage(self._told, self._recover)
        self.unfinished: list[Record] = []
        """Intents that an earlier writer left without outcome; known once the file is open."""
        self._records = self._bytes = self._torn = self._rotations = 0
        self._events: dict[str, int] = {}
        self._closed = False
        self.fence = Fence(self.path)
        self._sync = GroupSync(lambda: self._file.fd if self._file else None, self._unsynced)
        try:
            self._open()
        except EvidenceError as error:
            if error.cause == "locked":
                self._sync.stop()
                raise
            self._outage.refuse(error)

    @property
    def trouble(self) -> EvidenceError | None:
        """What keeps it from writing; None if nothing does."""
        return self._outage.error

    # ---- appending -----------------------------------------------------------------------

    async def append(self, facts: Mapping[str, Any], *, durable: bool = True) -> Record:
        """Record facts; return the whole record.

        Args:
            facts: members of `record.FIELDS`, `event` among them.
            durable: return only when it is on the disk. Otherwise return when the kernel has it,
                and it is on the disk within `SYNC_WITHIN` seconds.

        Raises:
            EvidenceError: it is not safely kept; whatever it announces must not happen.
            ValueError: facts outside the tables, a defect of the caller.
        """
        if not durable:
            return self.append_now(facts)
        if self.journal is not None:
            await self.journal.ready()
        record = self._append(facts)
        await self._sync.wait()
        return record

    def append_now(self, facts: Mapping[str, Any]) -> Record:
        """Record facts without waiting for the disk; see `append` with durable=False."""
        record = self._append(facts)
        self._sync.soon()
        return record

    async def durable(self) -> None:
        """Return when all that is written by now is on the disk, or raise EvidenceError."""
        await self._sync.wait()

    def _append(self, facts: Mapping[str, Any]) -> Record:
        check(facts)
        if self.trouble is not None:
            self._recover()
        self._look()
        return self._put(facts)

    def _put(self, facts: Mapping[str, Any]) -> Record:
        assert self._file is not None
        seam = self._file.seam()
        if seam is not None:
            self._line({"event": "torn", "facts": seam[1]}, seam[0])
            self._torn += 1
        return self._line(facts)

    def _line(self, facts: Mapping[str, Any], lead: bytes = b"") -> Record:
        try:
            return self._write(facts, lead)
        except EvidenceError as error:
            if error.cause == "too_large":
                raise
            raise self._outage.refuse(error) from None

    def _write(self, facts: Mapping[str, Any], lead: bytes = b"") -> Record:
        file = self._file
        assert file is not None
        record = {
            "v": VERSION,
            "seq": self._seq + 1,
            "ts": now(),
            "boot_id": self._boot_id,
            **facts,
        }
        line, chain = seal(self._head, body(record, self._head))
        if len(line) > MAX_LINE:
            raise EvidenceError("too_large", f"{len(line)} bytes")
        file.write(lead + line)
        record["prev"], record["chain"] = self._head, chain
        self._seq, self._head = self._seq + 1, chain
        self._latest.saw(record["ts"], self._seq)
        self.last = time.monotonic()
        self._sync.written = self._seq
        self._records += 1
        self._events[facts["event"]] = self._events.get(facts["event"], 0) + 1
        self._bytes += len(line)
        if self.journal is not None:
            self.journal.send(record)
        if self.seals.due(self._seq):
            self.checkpoint("records")
        return record

    # ---- checkpoints ---------------------------------------------------------------------

    def checkpoint(self, what: str) -> bool:
        """Sign the record up to here, if anything was recorded since the last checkpoint and there
        is a key; whether a checkpoint was written. Never raises.

        Args:
            what: what it is due to: records, time, start, stop, rotate or operator.
        """
        file, seals = self._file, self.seals
        if self.trouble is not None or file is None or file.torn or seals.busy:
            return False
        return self._sealed(what, self._line)

    def _seal_rotated(self) -> None:
        """Let a checkpoint be the last record of a file that was renamed, while it can be: if it is
        immutable already, or the disk is full, the next file begins with one instead."""
        file = self._file
        assert file is not None
        if not file.torn and not self.seals.busy and os.fstat(file.fd).st_nlink:
            self._sealed("rotate", self._write)

    def _sealed(self, what: str, write: Callable[[Record], Record]) -> bool:
        if not self.seals.put(what, self._seq, self._head, write, self._latest.facts()):
            return False
        self._sync.soon()
        return True

    # ---- opening, rotation ---------------------------------------------------------------

    def _open(self) -> None:
        file = Active(self.path, self._lock)
        try:
            end = file.end()
            try:
                older, unseen = file.older(), ""
            except EvidenceError as error:
                older, unseen = [], error.detail
            last = end.link or before(file, older)
            self.unfinished = unfinished([self.path, *older], last.seq if last else 0)
            self._latest = file.latest()
        except BaseException:
            file.close()
            raise
        self._file = file
        if last is not None:
            self._seq, self._head = last.seq, last.chain
            self.seals.opened(last.seq)
        self._sync.written = self._sync.durable = self._seq
        if last is None and unseen:
            # Whether this is the first file ever cannot be told; a verifier can.
            self._put({"event": "rotate", "detail": str(self.path), "error": unseen})

    def reopen(self) -> bool:
        """Go on in the file that the path names now, after a rotation; False if it is the same.

        Raises:
            EvidenceError: the new file cannot be used.
        """
        if self.trouble is not None:
            self._recover()
        return self._look()

    def _look(self) -> bool:
        file = self._file
        assert file is not None
        if not self.fence.since and file.steady():
            return False
        try:
            if not file.replaced():
                self._guard(file)
                return False
            self._seal_rotated()
            old = file.switch()
            if old is None:
                return False
            said = self._latest.renew(self._seq, empty=not file.torn)
            removed = not os.fstat(old).st_nlink
            try:
                os.fdatasync(old)
            except OSError as error:
                self._doubt()
                failure = EvidenceError.of(error, self.path)
                self._sync.fail(failure)
                raise failure from None
            finally:
                self._sync.retire(old)
        except EvidenceError as error:
            raise self._outage.refuse(error) from None
        self._rotations += 1
        seam: Record = {"event": "rotate", "detail": str(self.path)}
        if said:
            seam["facts"] = said
        if removed:
            seam["error"] = "the file before it was removed"
        self._put(seam)
        self.checkpoint("rotate")
        return True

    def watch(self) -> None:
        """Look after the file without a call that asks for it; never raises."""
        if self.trouble is None and not self._closed:
            with contextlib.suppress(EvidenceError):
                self._look()

    def _guard(self, file: Active) -> None:
        changed = self.fence.look(file)
        if changed is not None:
            if self.journal is not None and "error" in changed:
                self.journal.send({"event": "trouble", "error": changed["error"], "ts": now()})
            self._put(changed)

    def aside(self, facts: Mapping[str, Any]) -> None:
        """Give the journal, without a number, what cannot be recorded now."""
        if self.journal is not None:
            self.journal.send({"boot_id": self._boot_id, **facts})

    # ---- trouble -------------------------------------------------------------------------

    def _told(self, trouble: EvidenceError | None) -> None:
        if trouble is not None and self.journal is not None:
            at = self._outage.since
            self.journal.send({"event": "trouble", "error": trouble.message, "ts": at})
        if self._on_state is not None:
            self._on_state(trouble)

    def _unsynced(self, error: OSError) -> EvidenceError:
        self._doubt()
        return self._outage.refuse(EvidenceError.of(error, self.path))

    def _doubt(self) -> None:
        # fsync(2) reports a lost write once; what was written since the last success is in doubt.
        self._outage.doubt(self._sync.durable + 1)

    def _recover(self) -> None:
        """Try to write again.

        Raises:
            EvidenceError: what still keeps it from it.
        """
        if self._closed:
            raise EvidenceError("closed")
        was, facts = self._outage.leave(self._sync.written)
        try:
            if self._file is None:
                self._open()
                assert self._file is not None
            self._look()
            self._put({"event": "recovered", "what": was.cause, "facts": facts})
            os.fdatasync(self._file.fd)
        except (EvidenceError, OSError) as error:
            if not isinstance(error, EvidenceError):
                self._doubt()
                error = EvidenceError.of(error, self.path)
                self._sync.fail(error)
            self._outage.go_on(error, int(facts["refused"]) + 1)
            raise error from None
        self._sync.durable = self._sync.written
        self._outage.over()

    # ---- the rest ------------------------------------------------------------------------

    @property
    def seq(self) -> int:
        """Number of the last record."""
        return self._seq

    @property
    def inode(self) -> int:
        """Inode of the file that is written to, 0 if none is."""
        return os.fstat(self._file.fd).st_ino if self._file is not None else 0

    @property
    def head(self) -> str:
        """Chain value of the last record."""
        return self._head

    def status(self) -> dict[str, Any]:
        """Figures for `relay-shell status`; times in milliseconds, sizes in bytes."""
        facts: dict[str, Any] = {
            "path": str(self.path),
            "state": self.trouble.cause if self.trouble else "ok",
            "seq": self._seq,
            "chain": self._head,
            "records": self._records,
            "bytes": self._bytes,
            "events": dict(self._events),
            **self._sync.status(),
            "rotations": self._rotations,
            "torn": self._torn,
            **self._outage.status(),
            "degraded": ["attribute"] if self.fence.since else [],
            "signing": self.seals.status(self._seq),
        }
        if self._file is not None:
            facts["append_only"] = self._file.append_only()
            facts["free"] = self._file.free()
        if self.journal is not None:
            facts["journal"] = self.journal.status()
        return facts

    def close(self) -> None:
        """Make everything durable and let go of the file; idempotent.

        Raises:
            EvidenceError: the last records may not be on the disk.
        """
        if self._closed:
            return
        self.checkpoint("stop")
        self._closed = True
        self._sync.stop()
        failure: EvidenceError | None = None
        if self._file is not None:
            try:
                os.fdatasync(self._file.fd)
                self._sync.durable = self._sync.written
            except OSError as error:
                failure = EvidenceError.of(error, self.path)
            self._file.close()
            self._file = None
        self._sync.release(failure)
        self._outage.close()
        if self.journal is not None:
            self.journal.close()
        if failure is not None:
            raise failure
