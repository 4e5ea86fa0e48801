"""Why a record cannot be kept."""

from __future__ import annotations

import errno

from ..wire.errors import RelayError

CAUSES: dict[str, str] = {
    "no_space": "no space is left",
    "read_only": "the file system is read-only",
    "io": "the disk reports an error",
    "denied": "the file may not be written",
    "lost": "the file or its directory is gone",
    "untrusted": "the file can be changed by others",
    "attribute": "the append-only attribute is lost, run 'chattr +a'",
    "locked": "another process writes this record",
    "journal": "journald does not take records",
    "too_large": "the record is too large",
    "closed": "the record is closed",
}

_ERRNO = {
    errno.ENOSPC: "no_space",
    errno.EDQUOT: "no_space",
    errno.EFBIG: "no_space",
    errno.EROFS: "read_only",
    errno.EACCES: "denied",
    errno.EPERM: "denied",
    errno.ENOENT: "lost",
    errno.ENOTDIR: "lost",
    errno.ELOOP: "untrusted",
    errno.EISDIR: "untrusted",
    errno.ENXIO: "untrusted",
}


class EvidenceError(RelayError):
    """A record that is not safely kept: of kind EvidenceUnavailable, with a `cause` of `CAUSES`."""

    def __init__(self, cause: str, detail: str = "") -> None:
        self.cause = cause
        self.detail = detail
        reason = f"{CAUSES[cause]}: {detail}" if detail else CAUSES[cause]
        super().__init__("EvidenceUnavailable", reason=reason)

    @classmethod
    def of(cls, error: OSError, path: object) -> EvidenceError:
        """The error for what a system call answered."""
        return cls(_ERRNO.get(error.errno or 0, "io"), f"{path}: {error.strerror or error}")
