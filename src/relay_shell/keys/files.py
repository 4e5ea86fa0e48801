"""Files of the key directory: whether each is a key that nobody but root has, and which.

Read here, by the format's public part (PROTOCOL.key of OpenSSH): what a file holds, and whether it
asks for a passphrase. Nothing private is.
"""

from __future__ import annotations

import base64
import binascii
import os
import stat
from typing import NamedTuple

MOST = 64 * 1024
"""Octets of a file that is read as a key."""

CERTIFICATE = "-cert.pub"
PUBLIC = ".pub"
_BEGIN, _END = b"-----BEGIN OPENSSH PRIVATE KEY-----", b"-----END OPENSSH PRIVATE KEY-----"
_MAGIC = b"openssh-key-v1\0"


class Key(NamedTuple):
    """A private key that may be used.

    Attributes:
        path: its file.
        blobs: public key, and certificate if there is one, as an agent names them (RFC 4253, 6.6).
        locked: a passphrase is needed.
    """

    path: str
    blobs: tuple[bytes, ...]
    locked: bool


class Refused(Exception):
    """A file, or the whole directory, is not used; the message says which and why."""


def listed(directory: str) -> list[str]:
    """Paths of what should be keys: all but public halves and certificates; [] without a directory.

    Raises:
        Refused: others than root can put files there.
        OSError: it cannot be read.
    """
    try:
        found = os.stat(directory, follow_symlinks=False)
    except FileNotFoundError:
        return []
    if not stat.S_ISDIR(found.st_mode):
        raise Refused(f"{shown(directory)}: is not a directory")
    if found.st_uid != 0 or found.st_mode & 0o022:
        raise Refused(f"{shown(directory)}: can be changed by others than root")
    names = sorted(os.listdir(directory))
    return [os.path.join(directory, name) for name in names if not name.endswith(PUBLIC)]


def examine(path: str) -> Key:
    """Look at one file, and at the certificate beside it.

    Raises:
        Refused: it is not used.
    """
    blob, locked = _private(_read(path, private=True), path)
    beside = path + CERTIFICATE
    if not os.path.lexists(beside):
        return Key(path, (blob,), locked)
    return Key(path, (blob, _certificate(_read(beside, private=False), beside)), locked)


def shown(path: str) -> str:
    """A path as one line of text, whatever is in it."""
    return "".join(
        letter if letter.isprintable() else ascii(letter)[1:-1]
        for letter in os.fsencode(path).decode("utf-8", "backslashreplace")
    )


def _read(path: str, *, private: bool) -> bytes:
    try:
        # Neither a link out of the directory, nor a pipe that nobody writes to.
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if os.path.islink(path):
            raise Refused(f"{shown(path)}: is a symbolic link; put the file itself there") from None
        raise Refused(f"{shown(path)}: {error.strerror}") from None
    try:
        found = os.fstat(fd)
        mode = stat.S_IMODE(found.st_mode)
        if not stat.S_ISREG(found.st_mode):
            raise Refused(f"{shown(path)}: is not a regular file")
        if found.st_uid != 0:
            raise Refused(f"{shown(path)}: belongs to uid {found.st_uid}, not to root")
        if mode & (0o077 if private else 0o022):
            verb = "use" if private else "change"
            raise Refused(f"{shown(path)}: has mode {mode:04o}, so that others can {verb} it")
        if found.st_size > MOST:
            raise Refused(f"{shown(path)}: is too long for a key")
        return os.read(fd, MOST)
    except OSError as error:
        raise Refused(f"{shown(path)}: {error.strerror}") from None
    finally:
        os.close(fd)


def _private(data: bytes, path: str) -> tuple[bytes, bool]:
    """The public key in a private one, and whether the rest is encrypted."""
    start, end = data.find(_BEGIN), data.find(_END)
    if data.lstrip()[: len(_BEGIN)] != _BEGIN or end < start:
        advice = (
            f"; 'ssh-keygen -p -f {shown(path)}' converts" if b"PRIVATE KEY-----" in data else ""
        )
        raise Refused(f"{shown(path)}: is not a private key in OpenSSH's format{advice}")
    try:
        raw = base64.b64decode(b"".join(data[start + len(_BEGIN) : end].split()), validate=True)
        if not raw.startswith(_MAGIC):
            raise ValueError
        cipher, rest = _string(raw[len(_MAGIC) :])
        _, rest = _string(rest)
        _, rest = _string(rest)
        count, rest = rest[:4], rest[4:]
        if count != b"\0\0\0\1":
            raise ValueError
        blob, rest = _string(rest)
        if not blob or not rest:
            raise ValueError
    except (ValueError, binascii.Error):
        raise Refused(f"{shown(path)}: is a damaged private key") from None
    return blob, cipher != b"none"


def _certificate(data: bytes, path: str) -> bytes:
    """The blob of a public key line (sshd(8), AUTHORIZED_KEYS FILE FORMAT, without options)."""
    words = data.split(maxsplit=2)
    try:
        blob = base64.b64decode(words[1], validate=True)
        kind, _ = _string(blob)
        if kind != words[0] or not kind.endswith(b"-cert-v01@openssh.com"):
            raise ValueError
    except (IndexError, ValueError, binascii.Error):
        raise Refused(f"{shown(path)}: is not a certificate of OpenSSH's") from None
    return blob


def _string(data: bytes) -> tuple[bytes, bytes]:
    """A string of RFC 4251, section 5, and what follows it."""
    end = 4 + int.from_bytes(data[:4])
    if len(data) < 4 or len(data) < end:
        raise ValueError("too short")
    return data[4:end], data[end:]
