"""The files of a record: the active one, the rotated ones in order, and the end of each."""

from __future__ import annotations

import bz2
import contextlib
import errno
import gzip
import hashlib
import io
import lzma
import os
import re
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from .chain import Link, link
from .record import MAX_LINE

_CHUNK = 64 * 1024
_HEAD = re.compile(rb'^\{"v":[0-9]+,"seq":([0-9]{1,18}),')
_OPENERS: dict[str, Callable[[Path, str], Any]] = {
    ".gz": gzip.open,
    ".xz": lzma.open,
    ".bz2": bz2.open,
}


LISTINGS = 100
"""How often the files are listed while the active one is replaced again and again."""

DAMAGE = (OSError, EOFError, lzma.LZMAError, zlib.error)
"""What reading a segment can raise: of the file system, or of a damaged compressed file."""


class Tail(NamedTuple):
    """The end of a file: its last intact record, and the bytes after it that are none."""

    link: Link | None
    torn: int
    sha256: str
    terminated: bool
    """Whether the file is empty or ends with a line feed."""


def open_file(path: Path) -> IO[bytes]:
    """A segment's content for reading, decompressed if its name says so.

    Raises:
        DAMAGE: it cannot be read (all but OSError while reading).
    """
    opener = _OPENERS.get(path.suffix)
    return path.open("rb") if opener is None else opener(path, "rb")


def damaged(error: BaseException) -> bool:
    """Whether one of `DAMAGE` is of the content, which a decompressor says without an errno."""
    return getattr(error, "errno", None) is None


def plain(path: Path) -> bool:
    """Whether a segment is not compressed."""
    return path.suffix not in _OPENERS


def segments(path: Path) -> list[Path]:
    """The files of the record at `path`, oldest first, the active one last.

    Rotated files are named by logrotate(8): `.1`, `-20260101`, `-1767225600`, perhaps compressed.
    They are ordered by the number of their first record, for a name proves no order.

    Raises:
        OSError: the directory cannot be listed.
    """
    name = _named(path, r"(?:\.(?:gz|xz|bz2))?")
    rotated = []
    for entry in os.listdir(path.parent):
        if name.fullmatch(entry):
            file = path.parent / entry
            rotated.append((first_number(file), entry, file))
    rotated.sort()
    found = [file for _, _, file in rotated]
    if path.exists():
        found.append(path)
    return found


def opened(path: Path) -> tuple[list[Path], IO[bytes] | None]:
    """The files of the record at `path`, and the active one's content, at one moment.

    Between a list of names and the opening of the last a rotation may put another file there, and
    the one with the records would be in neither.

    Raises:
        OSError: the directory cannot be listed, or the active file not read.
    """
    for _ in range(LISTINGS):
        try:
            active = open_file(path)
        except FileNotFoundError:
            files = segments(path)
            if path not in files:
                return files, None
            continue
        try:
            files = segments(path)
            if path in files and os.path.samestat(os.fstat(active.fileno()), os.stat(path)):
                return files, active
        except FileNotFoundError:
            pass
        except BaseException:
            active.close()
            raise
        active.close()
    raise OSError(errno.EAGAIN, "it is replaced again and again", str(path))


def streams(
    files: Iterable[Path], path: Path, active: IO[bytes] | None
) -> Iterator[tuple[Path, IO[bytes]]]:
    """Each of the files with its content, of the active one at `path` what `opened` opened."""
    with contextlib.nullcontext() if active is None else active:
        for file in files:
            if active is not None and file == path:
                yield file, active
                continue
            with open_file(file) as stream:
                yield file, stream


def strays(path: Path) -> list[Path]:
    """Files beside the record at `path` that are named like one of its segments and are not read
    as one: compressed in another way (`.zst`), or set aside (`.bak`).

    Raises:
        OSError: the directory cannot be listed.
    """
    segment, stray = _named(path, r"(?:\.(?:gz|xz|bz2))?"), _named(path, r".+")
    names = sorted(os.listdir(path.parent))
    return [path.parent / n for n in names if stray.fullmatch(n) and not segment.fullmatch(n)]


def _named(path: Path, end: str) -> re.Pattern[str]:
    return re.compile(re.escape(path.name) + r"[.-][0-9][0-9.-]*" + end)


def first_number(path: Path) -> int:
    """Number of the first record in a file, 0 if it has none or cannot be read."""
    try:
        with open_file(path) as file:
            return first_in(file)
    except DAMAGE:
        return 0


def number_in(file: IO[bytes]) -> int:
    """Number of the first record in an open file, as `first_number`; the file is at its start
    before and after."""
    try:
        return first_in(file)
    except DAMAGE:
        return 0
    finally:
        file.seek(0)


def first_numbers(files: Iterable[Path], path: Path, active: IO[bytes] | None) -> list[int]:
    """Number of the first record of each file, 0 for none, of the active one at `path` by what
    `opened` opened."""
    return [
        first_number(file) if active is None or file != path else number_in(active)
        for file in files
    ]


def first_in(file: IO[bytes]) -> int:
    """Number of the first record from here on in an open file, 0 if there is none.

    Raises:
        DAMAGE: it cannot be read.
    """
    for _ in range(64):
        line = file.readline(MAX_LINE + 1)
        if not line:
            break
        if match := _HEAD.match(line):
            return int(match[1])
    return 0


def lines(file: IO[bytes]) -> Iterator[bytes]:
    """The lines forwards, without line feeds; one over the bound comes as its beginning."""
    while line := file.readline(MAX_LINE + 1):
        if not line.endswith(b"\n") and len(line) > MAX_LINE:
            while (rest := file.readline(_CHUNK)) and not rest.endswith(b"\n"):
                pass
        yield line.removesuffix(b"\n")


def lines_backwards(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Offset and content of each line, last first; the file must be seekable.

    What follows the last line feed comes first, if there is anything. A line over the bound
    comes in pieces, none of which is an intact record.
    """
    position = file.seek(0, io.SEEK_END)
    rest = b""
    first = True
    while position:
        step = min(_CHUNK, position)
        position -= step
        file.seek(position)
        rest = file.read(step) + rest
        pieces = rest.split(b"\n")
        at = position + len(rest)
        for piece in reversed(pieces[1:]):
            at -= len(piece)
            if piece or not first:
                yield at, piece
            first = False
            at -= 1
        rest = pieces[0]
        if len(rest) > MAX_LINE:
            yield position, rest
            rest, first = b"", False
    if rest or not first:
        yield 0, rest


def seekable(path: Path, opened: IO[bytes] | None = None) -> IO[bytes]:
    """A segment opened so that it can be read backwards; a compressed one is unpacked first.

    Args:
        opened: its content, if it was opened before; closed with what is returned.
    """
    file = opened or open_file(path)
    if plain(path):
        return file
    with file:
        spool = tempfile.TemporaryFile()  # noqa: SIM115 (the caller closes it)
        shutil.copyfileobj(file, spool, _CHUNK)
    return spool


def tail(file: IO[bytes]) -> Tail:
    """Find the last intact record of a file and what comes after it."""
    size = file.seek(0, io.SEEK_END)
    if not size:
        return Tail(None, 0, "", True)
    file.seek(size - 1)
    terminated = file.read(1) == b"\n"
    good, end, last = None, 0, True
    for offset, line in lines_backwards(file):
        # A line without its line feed was never wholly written, intact as it may look.
        unfinished = last and not terminated
        last = False
        if not unfinished and (good := link(line)):
            end = offset + len(line) + 1
            break
    torn = hashlib.sha256()
    file.seek(end)
    while chunk := file.read(_CHUNK):
        torn.update(chunk)
    return Tail(good, size - end, torn.hexdigest(), terminated)
