"""A tar archive of plain files, compressed: the same members are always the same bytes, and what is
read is only what is written here.

ustar of POSIX.1-1988 (pax(1)), in gzip (RFC 1952). A reader that takes nothing but regular files
with short plain names meets none of what archives have been used for: links, devices, paths that
lead outside, names of two meanings, headers of any size.
"""

from __future__ import annotations

import gzip
import io
import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

TOP = "relay-shell-evidence/"
NAME = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9._@~-]*/)*[A-Za-z0-9][A-Za-z0-9._@~-]*")
LONGEST = 160
"""Characters of a name; its last part has fewer than 100."""

MOST = 100_000
"""Members at most."""

_BLOCK = 512
_CHUNK = 1024 * 1024


class Damaged(ValueError):
    """It is no archive as it is written here."""


class Writer:
    """Writes an archive to a file that is open for writing.

    Args:
        moment: modification time of every member, seconds since 1970.
    """

    def __init__(self, file: IO[bytes], moment: int) -> None:
        self._gzip = gzip.GzipFile("", "wb", 6, file, mtime=0)
        self._tar = tarfile.TarFile(fileobj=self._gzip, mode="w", format=tarfile.USTAR_FORMAT)
        self._moment = moment

    def add(self, name: str, content: bytes | IO[bytes], size: int = -1) -> None:
        """Add a member; of a file, so many bytes from where it stands.

        Raises:
            ValueError: a name that a reader would refuse.
        """
        if not NAME.fullmatch(name) or len(name) > LONGEST:
            raise ValueError(f"not a name for a member: {name!r}")
        info = tarfile.TarInfo(TOP + name)
        info.mode, info.mtime = 0o644, self._moment
        if isinstance(content, bytes):
            info.size = len(content)
            content = io.BytesIO(content)
        else:
            info.size = size
        self._tar.addfile(info, content)

    def close(self) -> None:
        """Write the end."""
        self._tar.close()
        self._gzip.close()


class Member(NamedTuple):
    """One file of an archive; its content is to be read before the next member is asked for."""

    name: str
    size: int
    content: Content


class Content:
    """Reads a member's content, in order and no further."""

    def __init__(self, file: gzip.GzipFile, size: int) -> None:
        self._file = file
        self._left = size

    def read(self, most: int = _CHUNK) -> bytes:
        """Some bytes, none at the end.

        Raises:
            Damaged: the archive ends before.
        """
        data = _read(self._file, min(most, self._left))
        self._left -= len(data)
        return data

    def chunks(self) -> Iterator[bytes]:
        """All of it."""
        while data := self.read():
            yield data


def members(path: Path) -> Iterator[Member]:
    """The members of an archive.

    Raises:
        OSError: it cannot be read.
        Damaged: it is not an archive as it is written here.
    """
    try:
        with gzip.open(path, "rb") as file:
            yield from _members(file)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise Damaged(str(error)) from None


def _members(file: gzip.GzipFile) -> Iterator[Member]:
    for _ in range(MOST):
        header = _read(file, _BLOCK)
        if not header.strip(b"\0"):
            break
        name, size = _header(header)
        content = Content(file, size)
        yield Member(name, size, content)
        for _ in content.chunks():
            pass
        if _read(file, -size % _BLOCK).strip(b"\0"):
            raise Damaged("there are bytes between two members")
    else:
        raise Damaged(f"more than {MOST} members")
    while rest := file.read(_CHUNK):
        if rest.strip(b"\0"):
            raise Damaged("there are bytes after the last member")


def _header(header: bytes) -> tuple[str, int]:
    if header[257:265] != b"ustar\x0000" or header[156:157] != b"0":
        raise Damaged("a member is not a plain file")
    try:
        stated = int(header[148:156].rstrip(b" \0"), 8)
        size = int(header[124:136].rstrip(b" \0"), 8)
        name = header[:100].rstrip(b"\0").decode("ascii")
        prefix = header[345:500].rstrip(b"\0").decode("ascii")
    except ValueError:
        raise Damaged("a member's header cannot be read") from None
    if sum(header) - sum(header[148:156]) + 8 * 32 != stated or size < 0:
        raise Damaged("a member's header is damaged")
    name = f"{prefix}/{name}" if prefix else name
    plain = name.removeprefix(TOP)
    if plain == name or not NAME.fullmatch(plain):
        raise Damaged("a member has a name that no bundle has")
    return plain, size


def _read(file: gzip.GzipFile, count: int) -> bytes:
    data = file.read(count)
    if len(data) < count:
        raise Damaged("it ends before its end")
    return data
