"""Reading the record back: across rotated files, forwards or backwards, by what is asked for."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from .chain import parse
from .files import DAMAGE, damaged, lines, lines_backwards, open_file, opened, seekable
from .latest import checkpoint, passed, time
from .record import FIELDS, MAX_LINE

Record = dict[str, Any]

_SCALARS = ("string", "integer", "boolean")


class Filter:
    """Which records are asked for.

    Args:
        wanted: fact to the value it must have, or a list of values of which it must have one;
            `since` and `until` bound the time (seconds since the epoch, or an ISO 8601 text).

    Raises:
        ValueError: a fact that cannot be filtered by, or a time that is none.
    """

    def __init__(self, wanted: Mapping[str, Any] | None = None) -> None:
        self.since = self.until = ""
        self._tests: list[tuple[str, tuple[Any, ...], tuple[bytes, ...]]] = []
        for name, value in (wanted or {}).items():
            if name == "since":
                self.since = timestamp(value)
            elif name == "until":
                self.until = timestamp(value)
            elif name not in FIELDS or FIELDS[name].type not in _SCALARS:
                raise ValueError(f"records cannot be filtered by {name!r}")
            else:
                values = tuple(value) if isinstance(value, (list, tuple)) else (value,)
                needles = tuple(
                    f'"{name}":{json.dumps(item, ensure_ascii=False)}'.encode(
                        "utf-8", "backslashreplace"
                    )
                    for item in values
                )
                self._tests.append((name, values, needles))

    def may(self, line: bytes) -> bool:
        """Whether the line can be wanted at all, told without parsing it."""
        return all(any(needle in line for needle in needles) for _, _, needles in self._tests)

    def wants(self, record: Record) -> bool:
        """Whether the record is asked for."""
        ts = record.get("ts", "")
        if not isinstance(ts, str) or (self.since and ts < self.since):
            return False
        if self.until and ts > self.until:
            return False
        return all(record.get(name) in values for name, values, _ in self._tests)


def iter_records(
    path: str | os.PathLike[str],
    *,
    filters: Mapping[str, Any] | None = None,
    reverse: bool = False,
    rotated: bool = True,
) -> Iterator[Record]:
    """The records at `path` in the order of the chain, or last first.

    Lines that are no record are passed over: `verify` is what reports them.

    Args:
        filters: see `Filter`.
        rotated: also those of the rotated files, compressed ones too.

    Raises:
        OSError: a file cannot be read.
        ValueError: the filters make no sense.
    """
    wanted = Filter(filters)
    active = Path(path)
    files, held = [active], None
    # Who may pass through the directory but not list it still reads the active file.
    with contextlib.suppress(PermissionError):
        if rotated:
            files, held = opened(active)
    if not files:
        raise FileNotFoundError(2, os.strerror(2), str(active))
    return _records(files, held, wanted, reverse)


def _records(
    files: list[Path], held: IO[bytes] | None, wanted: Filter, reverse: bool
) -> Iterator[Record]:
    """Records of the files; `held` is the last one's content, if it is open already."""
    newer = None
    with contextlib.nullcontext() if held is None else held:
        for file in reversed(files) if reverse else files:
            if not (reverse and newer and wanted.since and passed(file, newer, wanted.since)):
                yield from _of_file(file, held if file == files[-1] else None, wanted, reverse)
            newer = file


def _of_file(file: Path, held: IO[bytes] | None, wanted: Filter, reverse: bool) -> Iterator[Record]:
    since = wanted.since
    for line in _backwards(file, held) if reverse else _forwards(file, held):
        if since and "" < time(line) < since:
            # Records before it may be of a later time, if the clock was set; a checkpoint knows.
            if reverse and "" < checkpoint(line) < since:
                return
            continue
        # The needles say nothing of the time, and most lines end here.
        record = parse(line) if wanted.may(line) else None
        if record is not None and "seq" in record and wanted.wants(record):
            yield record


def _forwards(path: Path, held: IO[bytes] | None) -> Iterator[bytes]:
    with _damage(path), held or open_file(path) as file:
        yield from lines(file)


def _backwards(path: Path, held: IO[bytes] | None) -> Iterator[bytes]:
    with _damage(path), seekable(path, held) as file:
        for _, line in lines_backwards(file):
            yield line


class _damage:
    """Turns what a decompressor says of a damaged file into an OSError that names the file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if isinstance(error, DAMAGE) and damaged(error):
            raise OSError(5, f"damaged compressed file: {error}", str(self._path)) from error


class Follower:
    """Records as they are written, over rotations.

    Args:
        path: the active file.
        filters: see `Filter`.
        position: byte from which on to read; -1 for the end.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        filters: Mapping[str, Any] | None = None,
        position: int = -1,
    ) -> None:
        self._path = Path(path)
        self._wanted = Filter(filters)
        self._rest = b""
        self._file = self._path.open("rb")
        self._file.seek(*((0, os.SEEK_END) if position < 0 else (position, os.SEEK_SET)))

    def poll(self) -> list[Record]:
        """The records written since the last call, perhaps none.

        Raises:
            OSError: the file cannot be read.
        """
        found = self._read()
        try:
            now = os.stat(self._path)
        except FileNotFoundError:
            return found
        ours = os.fstat(self._file.fileno())
        if (now.st_dev, now.st_ino) != (ours.st_dev, ours.st_ino):
            # What was written between the first reading and the rotation.
            found += self._read()
            self._file.close()
            self._file = self._path.open("rb")
            self._rest = b""
            found += self._read()
        return found

    def close(self) -> None:
        self._file.close()

    def _read(self) -> list[Record]:
        found = []
        while chunk := self._file.read(1024 * 1024):
            *whole, self._rest = (self._rest + chunk).split(b"\n")
            for line in whole:
                record = parse(line) if self._wanted.may(line) else None
                if record is not None and "seq" in record and self._wanted.wants(record):
                    found.append(record)
            if len(self._rest) > MAX_LINE:
                self._rest = b""
        return found


def timestamp(value: Any) -> str:
    """A moment in the form of `ts`, so that the two compare as text.

    Args:
        value: seconds since the epoch, a datetime, or an ISO 8601 text (local time unless it
            names its zone).

    Raises:
        ValueError: it is no moment.
    """
    return _moment(value).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _moment(value: Any) -> datetime:
    try:
        if isinstance(value, datetime):
            return value.astimezone(UTC)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
        return datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, TypeError, OverflowError, OSError):
        raise ValueError(f"not a time: {value!r}") from None


def filterable() -> list[str]:
    """The facts that a filter may name, besides since and until."""
    return [name for name, row in FIELDS.items() if row.type in _SCALARS]
